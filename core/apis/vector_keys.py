"""Names of stores and of attributes as providers keep them that take no others, and filters with as few levels as they need."""

from base64 import b32encode
from hashlib import sha256
import re
from typing import Final

from core.apis.vector_filters import Combination, Filter

PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
KEPT: Final = re.compile(rb"[A-Za-z0-9_]")
ESCAPED: Final = "_x"
ESCAPE: Final = re.compile(rb"-([0-9a-f]{2})")


MOST_SLUG: Final = 10


def digest_name(name: str) -> str:
    """Of a-z, 0-9 and `-`, at most 43: what can be read of a store's name, and 160 bits of a digest of it."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:MOST_SLUG].strip("-")
    digest = b32encode(sha256(name.encode(errors="surrogatepass")).digest()[:20]).decode().lower()
    return f"{slug}{'-' if slug else ''}{digest}"


def key_of(attribute: str) -> str:
    """The metadata key of an attribute, another for each: its name, or where that is not plain `_x` and its bytes.

    A name of letters alone could be taken for nothing else; keys of ours begin with another `_`.
    """
    if PLAIN.fullmatch(attribute):
        return attribute
    return ESCAPED + "".join(
        chr(byte) if KEPT.match(bytes((byte,))) else f"-{byte:02x}" for byte in attribute.encode(errors="surrogatepass")
    )


def attribute_of(key: str) -> str:
    """The attribute that has this metadata key."""
    if not key.startswith(ESCAPED):
        return key
    escaped = key.removeprefix(ESCAPED).encode()
    return ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), escaped).decode(errors="surrogatepass")


def flatten(tree: Combination) -> list[Filter]:
    """Its parts, and in the place of a combination of its own kind that one's: fewer levels, the same meaning."""
    parts: list[Filter] = []
    for part in tree.filters:
        if isinstance(part, Combination) and part.operator == tree.operator:
            parts += flatten(part)
        else:
            parts.append(part)
    return parts
