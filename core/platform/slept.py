"""Connections that were closed while the process slept, as a frozen Lambda function does."""

import asyncio
import time
from typing import Final

TURNS: Final = 3  # of the event loop: one polls the sockets, the next reads what they say, and one to spare
AWAKE_SECONDS: Final = 0.1  # since the event loop last ran, in which nothing can have slept


class SleepWatch:
    """Notices, before a request, what happened to kept connections while nobody was awake to hear it.

    By the clock on the wall: the monotonic one may stand still in a frozen function.
    """

    __slots__ = ("_awake_at",)

    def __init__(self) -> None:
        self._awake_at = 0.0

    def note(self) -> None:
        """The event loop runs."""
        self._awake_at = time.time()

    async def notice_closed(self) -> None:
        """Let the event loop hear which kept connections the other side has closed, so that no request is sent on them.

        A request that was lost on one may have been served all the same: it cannot be sent again.
        """
        if not 0 <= time.time() - self._awake_at < AWAKE_SECONDS:
            for _ in range(TURNS):
                await asyncio.sleep(0)
        self.note()
