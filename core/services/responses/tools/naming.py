"""What the tools of a request are called for a model, which takes letters, digits, `_` and `-`, 64 at most. Pure.

A caller's own tools keep their names. A tool of a server has its own name where nothing else of the request is called so, else its
server's label before it: what one server calls its tools takes no name from another's, nor from a search of the stack.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import count
import re
from typing import Final

from core.services.mcp.naming import full_name

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
OTHERS: Final = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST: Final = 64


def plain_name(name: str) -> str:
    """`name` as a model may be told it, of whatever a server calls its tool."""
    return OTHERS.sub("_", name)[:LONGEST] or "tool"


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or with a number behind it the first that is not taken."""
    if name not in taken:
        return name
    stem = name[: LONGEST - 6]
    return next(numbered for number in count(2) if (numbered := f"{stem}_{number}") not in taken)


def name_tools(tools: Sequence[tuple[str, str]], taken: Collection[str]) -> list[str]:
    """A name for each tool, given as the label of its server and its own name; `taken` are those of the request's other tools."""
    bare, names_in_use, names = Counter(name for _, name in tools), set(taken), list[str]()
    alone = [bare[name] == 1 and name not in names_in_use and NAME.fullmatch(name) is not None for _, name in tools]
    names_in_use |= {name for (_, name), is_alone in zip(tools, alone, strict=True) if is_alone}
    for (label, name), is_alone in zip(tools, alone, strict=True):
        if is_alone:
            names.append(name)
            continue
        joined = f"{label}_{name}"
        good = NAME.fullmatch(joined) is not None and joined not in names_in_use
        names.append(joined if good else free_name(full_name(label, name), names_in_use))
        names_in_use.add(names[-1])
    return names
