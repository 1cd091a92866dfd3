"""Processes of their own that begin a work together: few of them in `make test`, and as many as it takes in `make exact`."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
import multiprocessing
from multiprocessing.synchronize import Barrier
from typing import Any, Final

SECONDS: Final = 60  # a slow machine is no failure

_barrier: list[Barrier] = []


@dataclass(frozen=True, slots=True)
class Crew:
    """`size` processes, started afresh."""

    pool: ProcessPoolExecutor
    size: int

    async def work[T](self, work: Callable[..., T], *shares: tuple[Any, ...]) -> list[T]:
        """What `work` returns in each process for its share; with a share for each, they may wait for `together`."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self.pool, work, *share) for share in shares))


async def together() -> None:
    """In a process of the crew: until all are here."""
    await asyncio.to_thread(_barrier[0].wait, SECONDS)


def _start(barrier: Barrier) -> None:
    _barrier.append(barrier)


@contextmanager
def hiring(size: int) -> Generator[Crew]:
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(size, spawning, _start, (spawning.Barrier(size),)) as pool:
        yield Crew(pool, size)
