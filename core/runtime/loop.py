"""The process's event loop: what is made at import lives on the loop that later serves requests."""

import asyncio
from collections.abc import Callable

from core.runtime.log_format import log_in_context


class _Current:
    loop: asyncio.AbstractEventLoop | None = None


def process_loop(
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> asyncio.AbstractEventLoop:
    """The one loop, made by the first caller's `factory`; Mangum finds it as the current loop."""
    if _Current.loop is None:
        _Current.loop = factory()
        _Current.loop.set_exception_handler(log_in_context)
        asyncio.set_event_loop(_Current.loop)
    return _Current.loop
