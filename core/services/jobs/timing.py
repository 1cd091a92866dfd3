"""The times of jobs, and the turn that a worker has for one message."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, and how often something is tried.

    A `lease` is renewed by each `checkpoint`; clocks may be some seconds apart, so that it has at least 30 s. Within `margin` of its deadline
    a worker begins no row, and keeps `reserve` of it for the last checkpoint; a job that is stopped lets what is in
    flight end for `grace`. A live job has a tick every `tick`, the first after `first_tick`; every `sweep` ticks it is
    looked for shards that nobody was told of. After `takeovers` leases that lapsed, and after `tries` failures, no
    other is made. Whoever works elsewhere is asked after `poll`, later each time, at most every `longest_poll`; of a job that is
    stopped it has `winding` to end.
    """

    lease: float = 60.0
    checkpoint: float = 2.0
    margin: float = 60.0
    reserve: float = 3.0
    grace: float = 5.0
    first_tick: int = 5
    tick: int = 60
    sweep: int = 10
    stop: int = 2
    takeovers: int = 5
    tries: int = 5
    retry: float = 2.0
    poll: float = 10.0
    longest_poll: float = 300.0
    winding: float = 900.0


@dataclass(slots=True)
class Turn:
    """`deadline` (the clock's seconds) is when the worker is gone; `stopping` is set when it is asked to end before.

    One that `is_light` takes no place among those that are worked on; `relieve` is the worker's, and says whether it may be.
    """

    deadline: float = float("inf")
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    relieve: Callable[[], bool] | None = None
    is_light: bool = False

    def lighten(self) -> None:
        """What follows does little but wait for others, for long."""
        if not self.is_light and self.relieve is not None:
            self.is_light = self.relieve()

    def end(self, deadline: float) -> None:
        """Ask whoever works in this turn to leave things so that others can go on, before `deadline`."""
        self.deadline = min(self.deadline, deadline)
        self.stopping.set()
