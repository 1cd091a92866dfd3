"""Connections that were closed while the process slept, as a frozen Lambda function does."""

import asyncio
from typing import Final

TURNS: Final = 3  # of the event loop: one polls the sockets, the next reads what they say, and one to spare


async def notice_closed() -> None:
    """Let the event loop hear which kept connections the other side has closed, so that no request is sent on them.

    A request that was lost on one may have been served all the same: it cannot be sent again.
    """
    for _ in range(TURNS):
        await asyncio.sleep(0)
