"""Connections of asyncpg's pool, of which those that have just been used stay outside of it for a moment.

To ask the pool for a connection and to give it back takes a tenth of a millisecond, as long as a tenth of a search: it waits in a
task of its own each time. So a connection goes back to it once a second, or when it is not sound, or another call waits for one;
the pool is what counts them, ends those that were idle or in use for long, and cancels at the server what a caller has given up.
Source: https://magicstack.github.io/asyncpg/current/api/index.html#connection-pools.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

AWAY: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Loan:
    """A connection that the pool has given, and until when it may do without it, by the clock of the event loop."""

    connection: Any
    until: float

    def is_open(self) -> bool:
        """A connection that has ended may have left the pool already, and says nothing then."""
        try:
            return not self.connection.is_closed()
        except asyncpg.InterfaceError:
            return False


class Pool:
    """Of one event loop, over a pool of asyncpg that is open; all times are in seconds."""

    def __init__(
        self,
        pool: Any,  # noqa: ANN401 - it has no types
        *,
        acquire_timeout: float,
        release_timeout: float,
        away: float = AWAY,
    ) -> None:
        self._pool = pool
        self._away = away
        self._acquire_timeout = acquire_timeout
        self._release_timeout = release_timeout
        self._loop = asyncio.get_running_loop()
        self._free: list[Loan] = []
        self._waiting = 0
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._returns = set[asyncio.Future[Any]]()

    def spare(self) -> Loan | None:
        """One that is outside of the pool and not in use."""
        while self._free:
            loan = self._free.pop()
            if loan.is_open():
                return loan
            self._return([loan])
        return None

    async def take(self) -> Loan:
        """Raises TimeoutError, and what asyncpg raises where it cannot connect."""
        if (loan := self.spare()) is not None:
            return loan
        self._waiting += 1
        try:
            return Loan(await self._pool.acquire(timeout=self._acquire_timeout), self._loop.time() + self._away)
        finally:
            self._waiting -= 1

    async def release(self, loan: Loan, *, sound: bool) -> None:
        """`sound`: nothing has failed on it, and nothing was given up."""
        if not sound or self._waiting or self._is_closed or self._loop.time() >= loan.until:
            await self._give_back(loan)
            return
        self._free.append(loan)
        if self._timer is None:
            self._timer = self._loop.call_later(self._away, self._return_free)

    async def close(self) -> None:
        """The pool can be closed then: what is in use goes back to it."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._return_free()
        await asyncio.gather(*self._returns)

    def _return_free(self) -> None:
        self._timer = None
        free, self._free = self._free, []
        self._return(free)

    def _return(self, loans: list[Loan]) -> None:
        """What has ended is given back too, so that the pool may open another in its place; that raises, and is of no matter."""
        returned = asyncio.gather(*[self._give_back(loan) for loan in loans], return_exceptions=True)
        self._returns.add(returned)
        returned.add_done_callback(self._returns.discard)

    async def _give_back(self, loan: Loan) -> None:
        await self._pool.release(loan.connection, timeout=self._release_timeout)
