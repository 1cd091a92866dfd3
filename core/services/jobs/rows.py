"""The work of a kind whose rows are asked one by one: how many at once, what is tried again, what is final.

A row that is refused (4xx), or that breaks whatever reads it, ends with an error line of its own and stops no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
import heapq
import json
import logging
from random import uniform
from typing import Any, Final

from core.errors import ApiError, ProviderUnavailable, QuotaExceeded, QuotaUnavailable, StateUnavailable
from core.frame.callers import CURRENT_CALL, Call
from core.frame.observed import Observed
from core.platform.outcome import Outcome
from core.services.jobs.admission import Ticket, Unlimited
from core.services.jobs.failures import RowFailed
from core.services.jobs.kind import Result, Row
from core.services.jobs.pace import Pace
from core.services.jobs.shard_run import ShardRun
from core.services.jobs.spending import spending_of

log = logging.getLogger(__name__)

AT_ONCE: Final = 20
TRIES: Final = 8
FIRST_WAIT: Final = 0.5  # seconds, of full jitter
LONGEST_WAIT: Final = 30.0
MOST_RETRY_AFTER: Final = 120.0  # what an upstream may ask for
MOST_DIGITS: Final = 9  # of it
CAREFUL_FROM: Final = 2  # workers that were lost
ROW_SECONDS: Final = 600.0  # for one try of a row
QUOTA_DOWN_SECONDS: Final = 30
CONFLICT: Final = 409
THROTTLED: Final = 429
SERVER_ERROR: Final = 500
UNREACHABLE: Final = "Whatever serves this row could not be reached, or did not answer in time."

type Read = Callable[[ShardRun], Awaitable[Sequence[Row]]]
type Ask = Callable[[Row, Call], Awaitable[Result]]
type Fail = Callable[[Row, ApiError], bytes]


def error_line(row: Row, failure: ApiError) -> bytes:
    """`{"index", "error": {...}}`, in the error's one shape."""
    return json.dumps({"index": row.index, **failure.body()}).encode()


def no_bound(_: Row) -> int:
    """A call that makes tokens, and sets no bound itself."""
    return 0


def no_order(_: Row) -> Any:  # noqa: ANN401 - a core.quota.order.Order, or None
    """What a model is asked is not known before."""
    return None


def one_request(_: Row) -> int:
    """Most rows ask once."""
    return 1


@dataclass(frozen=True, slots=True)
class RowWork:
    """`read` gives the rows of a shard, each time the same in the same order; `ask` what one comes to.

    `fail` spells the error line of a row; `bound` are the tokens that it may make, `requests` how many it counts as (see
    `core.quota.quota.Quota.admit`), and `order` what a model is asked. `at_once` is how many rows of a shard are under way at most.
    """

    read: Read
    ask: Ask
    fail: Fail = error_line
    bound: Callable[[Row], int | None] = no_bound
    requests: Callable[[Row], int] = one_request
    order: Callable[[Row], Any] = no_order
    at_once: int = AT_ONCE

    async def work(self, run: ShardRun) -> None:
        """For JobKind.work."""
        await _Rows(self, run, await self.read(run)).work()

    async def abandon(self, run: ShardRun, failure: ApiError) -> None:
        """For JobKind.abandon."""
        for position, row in enumerate(await self.read(run)):
            if not run.shard.done >> position & 1:
                run.record(position, self.spell(row, failure), ok=False, tokens={})

    def spell(self, row: Row, failure: ApiError) -> bytes:
        """The error line of a row; where `fail` breaks too, or breaks lines, the plain one."""
        try:
            line = self.fail(row, failure)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError) as broken:
            log.warning("an error line could not be made: %r", type(broken).__name__)
            return error_line(row, failure)
        return error_line(row, failure) if b"\n" in line else line


@dataclass(slots=True)
class _Try:
    """A row on its way: `tries` were made of it; one admission is for all of them."""

    position: int
    row: Row
    call: Call
    ticket: Ticket | None = None
    tries: int = 0
    epoch: int = 0


class _Rows:
    """The rows of one run. Those that wait for another try take no place.

    Where workers were lost and none got on, the next is careful: one row at a time, each kept before the next begins, and
    from another row each time. So one that kills whoever asks it is alone in the end.
    """

    def __init__(self, work: RowWork, run: ShardRun, rows: Sequence[Row]) -> None:
        self._work = work
        self._run = run
        self._is_careful = run.shard.attempts >= CAREFUL_FROM
        self._pace = Pace(1 if self._is_careful else work.at_once)
        tries = [
            _Try(position, row, _call_like(run.call))
            for position, row in enumerate(rows)
            if not run.shard.done >> position & 1
        ]
        first = run.shard.attempts - CAREFUL_FROM if self._is_careful else 0
        self._fresh = [*tries[first:], *tries[:first]][::-1]
        self._later: list[tuple[float, int, _Try]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def work(self) -> None:
        """Until every row has ended, or the run halts and what is in flight has ended; cancelled, so is that."""
        halt = self._run.halt
        try:
            while self._running or (halt.reason is None and (self._fresh or self._later)):
                halt.changed.clear()
                self._begin()
                await self._wait()
            for _, _, attempt in self._later:  # whoever asks them next is admitted anew
                await self._settle(attempt, failed=True)
        finally:
            self._is_over = True
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._may_begin():
            if self._later and self._later[0][0] <= now:
                attempt = heapq.heappop(self._later)[2]
            elif self._fresh:
                attempt = self._fresh.pop()
            else:
                return
            attempt.epoch = self._pace.begin()
            # Each has a context of its own; that it begins at once saves a turn of the loop.
            task = asyncio.Task(self._try(attempt), loop=loop, eager_start=True)
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _may_begin(self) -> bool:
        may = self._run.halt.reason is None and not self._run.holding and not self._is_over
        return may and len(self._running) < self._pace.limit

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Its place is the next one's at once; `work` is woken where there is none, or one that waits for its time."""
        self._running.discard(task)
        self._begin()
        if not self._running or self._later:
            self._run.halt.changed.set()

    async def _wait(self) -> None:
        """For a row that ends, one whose wait is over, or news of the run."""
        due = self._later[0][0] if self._later and self._may_begin() else None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._run.halt.changed.wait()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _try(self, attempt: _Try) -> None:
        CURRENT_CALL.set(attempt.call)
        outcome = await self._outcome_of(attempt)
        if isinstance(outcome, Result) and b"\n" not in outcome.line:
            self._pace.succeeded()
            tokens = {**outcome.tokens, **spending_of(attempt.call)}
            await self._settle(
                attempt, failed=False
            )  # before it is kept: what is done is in the usage, whoever dies when
            self._run.record(attempt.position, outcome.line, ok=outcome.ok, tokens=tokens)
            if self._is_careful:
                with suppress(StateUnavailable):  # the next checkpoint keeps it
                    await self._run.checkpoint()
            return
        if isinstance(outcome, QuotaExceeded | QuotaUnavailable) and attempt.ticket is None and not _is_final(outcome):
            self._run.halt.set("quota", pause=_wait_of(outcome, QUOTA_DOWN_SECONDS))
            return
        await self._failed(attempt, outcome)

    async def _outcome_of(self, attempt: _Try) -> object:
        """Whatever a row raises is a value, but a cancellation of this very task."""
        outcome = Outcome()
        with outcome:
            return await self._ask(attempt)
        task = asyncio.current_task()
        error, outcome.error = outcome.error, None
        try:
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise error
            return error
        finally:
            del error  # whose traceback has this frame: the row would stay until garbage is looked for

    async def _ask(self, attempt: _Try) -> Result:
        if attempt.ticket is None:
            bound, requests, order = None, 1, None
            if not isinstance(self._run.admission, Unlimited):
                bound, requests = self._work.bound(attempt.row), self._work.requests(attempt.row)
                order = self._work.order(attempt.row)
            attempt.ticket = await self._run.admission.admit(attempt.call, bound, requests, order)
        async with asyncio.timeout(ROW_SECONDS):
            return await self._work.ask(attempt.row, attempt.call)

    async def _failed(self, attempt: _Try, failure: object) -> None:
        attempt.tries += 1
        if isinstance(failure, ApiError) and failure.status == THROTTLED:
            self._pace.throttled(attempt.epoch)
        if _may_pass(failure) and attempt.tries < TRIES:
            due = self._now() + _pause(attempt.tries, failure)
            heapq.heappush(self._later, (due, attempt.position, attempt))
            return
        if not isinstance(failure, ApiError | OSError):
            trace = failure if isinstance(failure, BaseException) else None
            log.error("job %s: row %d broke", self._run.job.id, attempt.row.index, exc_info=trace)
        line = self._work.spell(attempt.row, _error_of(failure))
        await self._settle(attempt, failed=True)
        self._run.record(attempt.position, line, ok=False, tokens={})

    async def _settle(self, attempt: _Try, *, failed: bool) -> None:
        charge = attempt.call.end(failed=failed)
        if attempt.ticket is not None:
            await attempt.ticket.settle(charge)


def _call_like(call: Call) -> Call:
    """A row's own, of the same caller for the same operation."""
    observed = Observed(call.observed.api, call.observed.operation)
    return Call(call.principal, call.source, provider_data=call.provider_data, observed=observed)


def _error_of(failure: object) -> ApiError:
    if isinstance(failure, ApiError):
        return failure
    return ProviderUnavailable(UNREACHABLE) if isinstance(failure, OSError) else RowFailed()


def _may_pass(failure: object) -> bool:
    """Whether the same row may be answered later. A conflict may where it says when, as with two responses of one conversation."""
    if not isinstance(failure, ApiError):
        return isinstance(failure, OSError)
    passes = failure.status == THROTTLED or failure.status >= SERVER_ERROR
    passes = passes or (failure.status == CONFLICT and "retry-after" in failure.headers)
    return passes and not _is_final(failure)


def _is_final(failure: object) -> bool:
    """Whether it says itself that to ask again is in vain: more than any window of the quota has, or than may be kept."""
    if isinstance(failure, QuotaExceeded):
        return failure.final
    return isinstance(failure, ApiError) and failure.headers.get("x-should-retry") == "false"


def _pause(tries: int, failure: object) -> float:
    """Full jitter, after whatever the upstream asks for."""
    jitter = uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**tries))  # noqa: S311 - no secret
    asked = _wait_of(failure, 0) if isinstance(failure, ApiError) else 0
    return min(asked, MOST_RETRY_AFTER) + jitter


def _wait_of(failure: ApiError, otherwise: int) -> int:
    """Its Retry-After, in seconds."""
    value = failure.headers.get("retry-after", "")
    return int(value) if value.isdecimal() and len(value) <= MOST_DIGITS else otherwise
