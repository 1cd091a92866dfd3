"""Pages of what is shown of jobs: no larger than an answer of Lambda's may be."""

from collections.abc import Awaitable, Callable, Iterable
import json
from typing import Final

MOST_BYTES: Final = 2_500_000
"""Of a page as ASCII JSON. Lambda's answer is JSON of at most 6 MB with the page as a text in it, where quotes and backslashes are two bytes."""


async def show_page[T, V](items: Iterable[T], show: Callable[[T], Awaitable[V]]) -> tuple[list[V], bool]:
    """As many of them as there is room for, at least one; and whether some were left out."""
    data, size = list[V](), 0
    for item in items:
        view = await show(item)
        size += len(json.dumps(view))
        if data and size > MOST_BYTES:
            return data, True
        data.append(view)
    return data, False
