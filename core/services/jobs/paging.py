"""Pages of what is shown of jobs: no larger than an answer of Lambda's may be."""

from collections.abc import Awaitable, Callable, Iterable
import json

from core.frame.content import MOST_IN_ANSWER


async def show_page[T, V](items: Iterable[T], show: Callable[[T], Awaitable[V]]) -> tuple[list[V], bool]:
    """As many of them as there is room for, at least one; and whether some were left out."""
    data, size = list[V](), 0
    for item in items:
        view = await show(item)
        size += len(json.dumps(view))
        if data and size > MOST_IN_ANSWER:
            return data, True
        data.append(view)
    return data, False
