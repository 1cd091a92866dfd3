"""Names and ids that Bedrock takes, for those that it does not. Pure."""

from collections.abc import Container, Iterable
import re
from typing import Final

NAME: Final = r"[a-zA-Z0-9_-]{1,64}"
NOT_IN_ALIASES: Final = re.compile(r"[^a-zA-Z0-9_-]")
MOST_KEPT: Final = 40  # characters of a name in its alias
MARK: Final = 12  # characters of its hash


def alias_of(name: str, taken: Container[str]) -> str:
    """What a name looks like and a hash of it, at most 64 characters; always the same but where that is `taken`."""
    from hashlib import sha256

    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:MARK]
    alias = base = f"{NOT_IN_ALIASES.sub('_', name[:MOST_KEPT])}_{mark}"
    number = 1
    while alias in taken:
        number += 1
        alias = f"{base}_{number}"
    return alias


def wire_names(names: Iterable[str]) -> dict[str, str]:
    """What each tool is called at Bedrock: itself, if that can be, else an alias that no other one has."""
    distinct = dict.fromkeys(names)
    taken = {name for name in distinct if re.fullmatch(NAME, name)}
    wire: dict[str, str] = {}
    for name in distinct:
        wire[name] = name if name in taken else alias_of(name, taken)
        taken.add(wire[name])
    return wire
