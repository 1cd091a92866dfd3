"""When a log is written, and how one waits for that."""

import asyncio
from math import floor
import os
from typing import Final

PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE: Final = 1.0  # seconds
GROWTH: Final = 1 / 40  # of the pause of what is followed, by the second
EARLY: Final = 0.01  # seconds: a timer may ring before its time
NEAR: Final = 0.05  # seconds
PHASES: Final = 8


def phase() -> float:
    """In seconds: where in a second this process writes, so that not all of one machine do so at once."""
    return os.getpid() % PHASES / PHASES


def next_time(now: float, elapsed: float, *, is_first: bool, is_followed: bool) -> float:
    """By the loop's clock, of a log that began `elapsed` seconds ago; at most LONGEST_PAUSE after `now`."""
    if is_followed:
        return now + min(LONGEST_PAUSE, PAUSE_SECONDS + elapsed * GROWTH)
    if is_first:  # before it nobody else finds the run
        return now + PAUSE_SECONDS
    own = phase()
    due = min(floor(now - own + EARLY) + own, now) + LONGEST_PAUSE
    return due if due - now >= PAUSE_SECONDS else due + LONGEST_PAUSE / 2


class Meeting:
    """Has what is due at nearly the same time done at once, since together it costs less: all of one process, by the clock that its loops share."""

    __slots__ = ("_time",)

    def __init__(self) -> None:
        self._time = 0.0

    def join(self, due: float) -> float:
        """When to do what is due then: as the one before it, where that is less than NEAR before."""
        if not due - NEAR < self._time <= due:
            self._time = due
        return self._time


class Bell:
    """Wakes the one who waits: at a time, or as it is rung."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float) -> None:
        """`until` is by the loop's clock."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(until, self.ring)
        try:
            await self._waiter
        finally:
            timer.cancel()
