"""Pages of lists on the wire, bounded in bytes too: an answer of Lambda has 6 MiB."""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from core.frame.types import JsonObject

MOST_PAGE: Final = 5_000_000
"""Bytes of the elements of a page; one that is larger is a page of its own."""


def size_of(element: JsonObject) -> int:
    """Its bytes as JSON."""
    return len(to_json(element, inf_nan_mode="null"))


def page_of(data: Sequence[JsonObject], *, has_more: bool, backward: bool = False) -> JsonObject:
    """The first of the elements that fit, or with `backward` the last; of the others it says that there are more."""
    fitting = _fit(data[::-1])[::-1] if backward else _fit(data)
    first, last = (fitting[0]["id"], fitting[-1]["id"]) if fitting else ("", "")
    more = has_more or len(fitting) < len(data)
    return {"object": "list", "data": fitting, "first_id": first, "last_id": last, "has_more": more}


def _fit(data: Sequence[JsonObject]) -> list[JsonObject]:
    size = 0
    for place, element in enumerate(data):
        size += size_of(element)
        if place and size > MOST_PAGE:
            return [*data[:place]]
    return [*data]
