"""The loop of a process on a machine; apart, since no function's package has what it is made of."""

import asyncio
from collections.abc import Callable


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes it: uvloop's, where it is installed; it is not made for every platform."""
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        return asyncio.new_event_loop
    return new_event_loop
