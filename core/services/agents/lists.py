"""Parts of lists as Llama Stack 0.2 has them: from an index on, as many as are asked for, or as fit an answer."""

from collections.abc import AsyncIterable
from typing import Final

from core.apis.agents import MOST_LISTED, PartQuery
from core.frame.types import JsonObject
from core.services.responses.state.pages import MOST_PAGE, size_of

ALL: Final = (None, -1)
"""Limits that are none."""


async def part_of(elements: AsyncIterable[JsonObject], query: PartQuery, url: str) -> JsonObject:
    """`url` is the path of the route."""
    start = query.start_index or 0
    most = MOST_LISTED if query.limit in ALL else min(query.limit or 0, MOST_LISTED)
    data, size, place = list[JsonObject](), 0, -1
    async for element in elements:
        place += 1
        if place < start:
            continue
        size += size_of(element)
        if len(data) == most or (data and size > MOST_PAGE):
            return {"data": data, "has_more": True, "url": url}
        data.append(element)
    return {"data": data, "has_more": False, "url": url}
