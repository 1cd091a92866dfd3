"""Marks: what makes a write to a counter of DynamoDB count once, however often it is sent.

A write leaves its number under a name that no other write has at the time: the process's, and that of a lane in it. It is
carried out while the number there is smaller; where it is the same, it was before. So neither an SDK that asks again after
a lost answer nor a request that comes late counts twice, and it costs a few bytes of the item, not a second one.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import heapq
import os
import time
from typing import Any, Final

PREFIX: Final = "m:"
NAME_BYTES: Final = 6  # random: of as many processes as there will ever be, no two have the same
MOST_MARKS: Final = 24  # in an item, before those of processes that are gone are removed: it should stay below 1 KB
STALE: Final = 60_000  # milliseconds; no write is under way for so long


@dataclass(frozen=True, slots=True)
class Mark:
    """`number` is in Unix milliseconds, or a little later."""

    name: str
    number: int

    def is_in(self, item: Mapping[str, Any]) -> bool:
        """Whether the write was carried out."""
        return self.name in item and int(item[self.name]["N"]) == self.number

    def stale(self, item: Mapping[str, Any]) -> list[str]:
        """The names of marks to remove, once there are many."""
        numbers = {name: int(value["N"]) for name, value in item.items() if name.startswith(PREFIX)}
        if len(numbers) <= MOST_MARKS:
            return []
        return [name for name, number in numbers.items() if number < self.number - STALE]


class Marks:
    """Those of this process. The name is made at the first write: a snapshot of a process is no process yet."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds; where it is set back, numbers go on growing."""
        self._clock = clock
        self._process = 0
        self._name = ""
        self._free: list[int] = []
        self._lanes = 0
        self._last = 0

    @contextmanager
    def mark(self) -> Generator[Mark]:
        """One for a write, until its outcome is known or nobody waits for it any more."""
        if self._process != os.getpid():
            self._process, self._name = os.getpid(), os.urandom(NAME_BYTES).hex()
            self._free, self._lanes = [], 0
        lane = heapq.heappop(self._free) if self._free else self._lanes
        self._lanes = max(self._lanes, lane + 1)
        self._last = max(self._last + 1, int(self._clock() * 1000))
        try:
            yield Mark(f"{PREFIX}{self._name}{lane}", self._last)
        finally:
            heapq.heappush(self._free, lane)
