"""Marks: what makes a write to an account in DynamoDB count once, however often it is sent.

A write leaves its number under a name that no other write has at the time: the process's, and that of a lane in it. It is
carried out while the number there is smaller; where it is the same, it was before. So neither an SDK that asks again after
a lost answer nor a request that comes late counts twice, and it costs a few bytes of the item, not a second one. A lane is
a call's from the write that takes to the one that settles; where it is not known what a write has done, no other gets it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import heapq
import os
import time
from typing import Any, Final

PREFIX: Final = "m:"
HOLDS: Final = "r:"  # of the attribute that says what a call holds, before the same name
NAME_BYTES: Final = 6  # random: of as many processes as there will ever be, no two have the same
STALE: Final = 60_000  # milliseconds; no write is under way for so long


@dataclass(frozen=True, slots=True)
class Mark:
    """`number` is in Unix milliseconds, or a little later."""

    name: str
    number: int

    @property
    def hold(self) -> str:
        """The name of the attribute that says what its call holds."""
        return f"{HOLDS}{self.name.removeprefix(PREFIX)}"

    def is_in(self, item: Mapping[str, Any]) -> bool:
        """Whether the write was carried out."""
        return self.name in item and int(item[self.name]["N"]) == self.number

    def holds_in(self, item: Mapping[str, Any]) -> bool:
        """Whether what its call holds is there."""
        return self.is_in(item) and self.hold in item

    def stale(self, item: Mapping[str, Any]) -> dict[str, int]:
        """The marks that no write will ask for, with their numbers: old ones, of calls that hold nothing."""
        numbers = {name: int(value["N"]) for name, value in item.items() if name.startswith(PREFIX)}
        return {
            name: number
            for name, number in numbers.items()
            if number < self.number - STALE and Mark(name, number).hold not in item
        }


class Marks:
    """Those of this process. The name is made at the first write: a snapshot of a process is no process yet."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds; where it is set back, numbers go on growing."""
        self._clock = clock
        self._process = 0
        self._name = ""
        self._free: list[int] = []
        self._begun: dict[str, int] = {}  # the first number of the call that has a lane, by the lane's name
        self._lanes = 0
        self._last = 0

    def begin(self) -> Mark:
        """One for a write, and for the one that settles it."""
        if self._process != os.getpid():
            self._process, self._name = os.getpid(), os.urandom(NAME_BYTES).hex()
            self._free, self._begun, self._lanes = [], {}, 0
        lane = heapq.heappop(self._free) if self._free else self._lanes
        self._lanes = max(self._lanes, lane + 1)
        mark = self.follow(Mark(f"{PREFIX}{self._name}{lane}", 0))
        self._begun[mark.name] = mark.number
        return mark

    def follow(self, mark: Mark) -> Mark:
        """A later one for the same call: of a further write before the one that settles it."""
        self._last = max(self._last + 1, int(self._clock() * 1000))
        return Mark(mark.name, self._last)

    def end(self, mark: Mark) -> None:
        """Its outcome is known, or nobody waits for it and it holds nothing: the lane is another's from here on.

        A second time it changes nothing: a call that is settled again has no lane any more.
        """
        begun = self._begun.get(mark.name) if self._process == os.getpid() else None
        if begun is not None and mark.number >= begun:
            del self._begun[mark.name]
            heapq.heappush(self._free, int(mark.name.removeprefix(f"{PREFIX}{self._name}")))
