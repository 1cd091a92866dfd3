"""Walks everything that a principal keeps: to say what it is, or to remove it, any number of times until nothing is left."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
import time
from typing import Final

from core.errors import ApiError
from core.platform.concurrency import run_all
from core.resolution.erasure.sources import Source
from core.services.erasure import Estate, Piece

AT_ONCE: Final = 8  # pieces that are removed together
PAUSE: Final = 2.0
"""Seconds between two looks at what somebody else is at."""
WAIT: Final = 120.0
"""Seconds that such things have: a lease of a file or of a job ends after 60."""
BUSY: Final = "a worker is at it still; it was told to stop"
MADE_MEANWHILE: Final = "made while this ran"

type Note = Callable[[str, int], None]
"""Is told the API that is looked at, and how many more pieces were counted or removed; often 0, while others' data is read."""
type Key = tuple[str, str]
"""The API, and the name of the pieces."""


@dataclass(slots=True)
class Amount:
    """How many pieces there are under one name, and their bytes."""

    count: int = 0
    bytes: int = 0

    def add(self, piece: Piece) -> None:
        self.count += piece.count
        self.bytes += piece.bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """`removed` is what went, `left` what is there all the same, with the `reasons` by the same keys.

    Under an API and "" is why what there is could not even be listed.
    """

    removed: dict[Key, Amount] = field(default_factory=dict[Key, Amount])
    left: dict[Key, Amount] = field(default_factory=dict[Key, Amount])
    reasons: dict[Key, str] = field(default_factory=dict[Key, str])

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left."""
        return not self.left and not self.reasons


async def count(sources: Iterable[Source], estate: Estate, note: Note) -> dict[Key, Amount]:
    """What the principal keeps; raises ApiError where that cannot be read."""
    amounts: dict[Key, Amount] = {}
    for source in sources:
        note(source.api, 0)
        async with aclosing(source.erase(estate)) as walk:
            async for pieces in walk:
                note(source.api, sum(_add(amounts, source, piece) for piece in pieces))
    return amounts


async def erase(sources: Sequence[Source], estate: Estate, note: Note, *, wait: float = WAIT) -> Outcome:
    """Remove it, and look afterwards what is left.

    All that is there when this begins is gone when it ends, or is left with a reason. What the principal makes meanwhile is removed
    where it is met; else it is left, too. `wait` is in seconds, for what others are at.
    """
    outcome = Outcome()
    deadline = time.monotonic() + wait
    for source in sources:
        erasing = _Erasing(source, estate, outcome, note)
        is_busy = await erasing.run()
        while is_busy and time.monotonic() < deadline:
            await asyncio.sleep(PAUSE)
            is_busy = await erasing.run()
        outcome.reasons.update(erasing.reasons)
    for source in sources:
        await _look_again(source, estate, outcome)
    gone = [key for key in outcome.reasons if key[1] and key not in outcome.left]
    for key in gone:  # another process has removed it
        del outcome.reasons[key]
    return outcome


class _Erasing:
    """One source on its way out; `reasons` are those of the last look at it."""

    def __init__(self, source: Source, estate: Estate, outcome: Outcome, note: Note) -> None:
        self._source = source
        self._estate = estate
        self._outcome = outcome
        self._note = note
        self.reasons: dict[Key, str] = {}

    async def run(self) -> bool:
        """Remove what is there now; whether somebody else is at any of it."""
        self.reasons.clear()
        self._note(self._source.api, 0)
        try:
            async with aclosing(self._source.erase(self._estate)) as walk:
                async for pieces in walk:
                    self._note(self._source.api, 0)
                    await run_all([partial(self._remove, piece) for piece in pieces], at_once=AT_ONCE)
        except ApiError as failure:
            self.reasons[self._source.api, ""] = failure.message
        return BUSY in self.reasons.values()

    async def _remove(self, piece: Piece) -> None:
        key = self._source.api, piece.name
        try:
            is_gone = await piece.remove()
        except ApiError as failure:
            self.reasons[key] = failure.message
            return
        if is_gone:
            self._note(self._source.api, _add(self._outcome.removed, self._source, piece))
        else:
            self.reasons.setdefault(key, BUSY)


async def _look_again(source: Source, estate: Estate, outcome: Outcome) -> None:
    try:
        left = await count([source], estate, quietly)
    except ApiError as failure:
        outcome.reasons[source.api, ""] = failure.message
        return
    outcome.left.update(left)
    for key in left:
        outcome.reasons.setdefault(key, MADE_MEANWHILE)


def quietly(_: str, count: int) -> None:
    """A Note for whoever is told nothing."""
    del count


def _add(amounts: dict[Key, Amount], source: Source, piece: Piece) -> int:
    """How many more those are."""
    if not piece.name:
        return 0
    amounts.setdefault((source.api, piece.name), Amount()).add(piece)
    return piece.count
