"""Filters and attributes as S3 Vectors has them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-metadata-filtering.html.
"""

from collections.abc import Mapping
import re
from typing import Any, Final

from core.apis.vector_filters import Combination, Comparison, Filter, Scalar

PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
KEPT: Final = re.compile(rb"[A-Za-z0-9_]")
ESCAPED: Final = "_x"
ESCAPE: Final = re.compile(rb"-([0-9a-f]{2})")


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


def print_filter(tree: Filter) -> dict[str, Any]:
    """The filter in the service's language.

    What the service makes of `$ne` where there is no such key, it does not say; so that is said each time.
    """
    if isinstance(tree, Combination):
        return {f"${tree.operator}": [print_filter(part) for part in _flatten(tree)]}
    condition = {key_of(tree.key): {f"${tree.operator}": _values(tree)}}
    if tree.operator in {"ne", "nin"}:
        return {"$or": [{key_of(tree.key): {"$exists": False}}, condition]}
    return condition


def _flatten(tree: Combination) -> list[Filter]:
    """Its parts, and in the place of a combination of its own kind that one's: fewer levels, the same meaning."""
    parts: list[Filter] = []
    for part in tree.filters:
        if isinstance(part, Combination) and part.operator == tree.operator:
            parts += _flatten(part)
        else:
            parts.append(part)
    return parts


def _values(comparison: Comparison) -> Scalar | list[Scalar]:
    return list(comparison.value) if isinstance(comparison.value, tuple) else comparison.value


def name_attributes(attributes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {key_of(name): value for name, value in attributes.items()}
