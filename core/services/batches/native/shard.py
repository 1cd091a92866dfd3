"""A native shard: submitted to its model's provider, looked at now and then, and its results recorded when they are there.

No worker waits for it: its message comes back later each time, so that it costs nothing in between. Rows that the provider gave no final
result for are asked row by row at last, by the same shard.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
import logging
from typing import Any, Final

from pydantic_core import from_json

from core.apis.batch_engine import BatchEngine, NativeBatch, NativeBatches, NativeRow, is_passing
from core.errors import ApiError, PermissionDenied, QuotaExceeded, QuotaUnavailable, StateUnavailable
from core.platform.json_values import to_object
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.job.entries import read_contents
from core.services.batches.job.output import InputGone
from core.services.batches.job.spans import spans_of
from core.services.batches.native.account import NativeAccount
from core.services.batches.native.results import ResultRecorder
from core.services.batches.native.state import NativeState
from core.services.jobs.kind import JobFiles
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts, surface_for

TRIES: Final = 5
LOST_SECONDS: Final = 3600.0  # that a provider may not be asked how far it is
SHARE: Final = 10  # of the time that it took so far, the wait for the next look

log = logging.getLogger(__name__)

type AskRows = Callable[[ShardRun], Awaitable[None]]


class NativeShard:
    """One run of a shard whose source has an `engine`; `ask_rows` asks what is not done row by row."""

    def __init__(self, parts: Parts, endpoint: Endpoint, run: ShardRun, state: NativeState) -> None:
        self._parts = parts
        self._endpoint = endpoint
        self._run = run
        self._state = state
        self._of: dict[str, str] = run.shard.source["engine"]
        self._account = NativeAccount(endpoint, run, state, self._of)

    async def work(self, ask_rows: AskRows) -> None:
        """For JobKind.work; raises InputGone."""
        engine, state, run = self._engine(), self._state, self._run
        if state.phase in {"new", "submitted"} and engine is None:
            await self._give_up("its provider is gone")
        elif state.phase == "new" and engine is not None:
            await self._begin(engine)
        elif state.phase == "submitted" and engine is not None:
            if self._is_early():
                run.halt.set("early")
            else:
                await self._look(engine)
        if state.phase == "ended":
            await self._clear(engine)
        if state.phase == "queue" and run.halt.reason is None:
            await ask_rows(run)

    async def wind_up(self) -> None:
        """For Elsewhere.wind_up: the batch at the provider is stopped, and what there is of it recorded."""
        engine, state = self._engine(), self._state
        if engine is not None and state.phase == "submitted" and state.handle is not None:
            await self._stop(engine)
        if state.phase == "ended":
            await self._clear(engine)
        elif self._run.halt.reason is None:
            await self.settle()

    async def settle(self) -> None:
        """Charge what there is, of a shard that is left as it is; where the counters cannot be reached for too long, nobody is charged."""
        if self._state.phase == "queue":
            return
        try:
            await self._account.settle()
        except QuotaUnavailable as failure:
            log.warning("job %s, shard %d is not charged: %s", self._run.job.id, self._run.shard.number, failure)
            self._state.stopped = self._state.stopped or self._run.clock()
            await self._come_back_soon()

    def _engine(self) -> BatchEngine | None:
        natives: NativeBatches | None = surface_for(self._parts, "native_batches", self._run.call)
        return None if natives is None else natives.at(self._of["provider_id"])

    def _is_early(self) -> bool:
        """Another message is due later: of clocks that differ, one may come before its time."""
        seconds = self._state.due - self._run.clock()
        return seconds > max(self._run.timing.poll / 2, self._pause() / 5)

    async def _begin(self, engine: BatchEngine) -> None:
        state, run = self._state, self._run
        try:
            if not await self._account.admit(self._rows):
                return
        except (PermissionDenied, QuotaExceeded) as refusal:
            await self._give_up(refusal.message)
            return
        batch = NativeBatch(self._token(), self._endpoint.path, self._of["model"])
        try:
            state.handle = await engine.submit(batch, self._rows())
        except (InputGone, StateUnavailable):
            raise
        except ApiError as failure:
            state.tries += 1
            log.warning("job %s, shard %d is not submitted: %s", run.job.id, run.shard.number, failure)
            if not is_passing(failure) or state.tries >= TRIES:
                await self._give_up("it could not be submitted")
            else:
                await self._come_back()
            return
        state.phase, state.since = "submitted", run.clock()
        log.info("job %s, shard %d: %d rows are submitted", run.job.id, run.shard.number, run.shard.rows)
        await self._come_back()

    async def _look(self, engine: BatchEngine) -> None:
        state, run = self._state, self._run
        handle = state.handle or {}
        try:
            progress = await engine.poll(handle)
            if not progress.ended:
                state.failing = 0.0
                await self._come_back()
                return
            if progress.reason:
                log.warning("job %s, shard %d ended: %s", run.job.id, run.shard.number, progress.reason)
            await self._record(engine)
        except StateUnavailable:
            raise
        except ApiError as failure:
            await self._note_failure(failure)

    async def _stop(self, engine: BatchEngine) -> None:
        state, run = self._state, self._run
        handle = state.handle or {}
        state.stopped = state.stopped or run.clock()
        try:
            if not (await engine.poll(handle)).ended:
                await engine.stop(handle)
                if not (await engine.poll(handle)).ended:
                    await self._come_back_soon()
                    return
            await self._record(engine)
        except StateUnavailable:
            raise
        except ApiError as failure:
            log.warning("job %s, shard %d is not stopped: %s", run.job.id, run.shard.number, failure)
            await self._come_back_soon()

    async def _record(self, engine: BatchEngine) -> None:
        run, state = self._run, self._state
        natives: NativeBatches | None = surface_for(self._parts, "native_batches", run.call)
        place = self._of["public"], self._of["provider_id"]
        recorder = ResultRecorder(run, *place, None if natives is None else await natives.price_at(*place))
        if await recorder.record(engine.results(state.handle or {})):
            state.phase = "ended"
            await state.save(run)

    async def _note_failure(self, failure: ApiError) -> None:
        """The provider may be down for a while; a batch that it does not know will not come back."""
        state, run = self._state, self._run
        log.warning("job %s, shard %d cannot be looked at: %s", run.job.id, run.shard.number, failure)
        state.failing = state.failing or run.clock()
        if not is_passing(failure) or run.clock() - state.failing > LOST_SECONDS:
            await self._give_up("it is lost at its provider")
        else:
            await self._come_back()

    async def _clear(self, engine: BatchEngine | None) -> None:
        """What is recorded by now is all that the provider will be paid for: it is charged before anything is thrown away."""
        try:
            is_ours = await self._account.settle()
        except QuotaUnavailable as failure:
            log.warning("job %s, shard %d is charged later: %s", self._run.job.id, self._run.shard.number, failure)
            self._run.halt.set("later", pause=round(self._run.timing.poll))
            return
        if not is_ours:
            return
        self._state.reservations = []
        if engine is not None and self._state.handle is not None:
            with suppress(ApiError):  # what stays there, the provider, or a rule of the bucket, removes in time
                await engine.discard(self._state.handle)
        self._state.phase = "queue"
        await self._state.save(self._run)

    async def _give_up(self, reason: str) -> None:
        run = self._run
        log.warning("job %s, shard %d is asked row by row: %s", run.job.id, run.shard.number, reason)
        self._state.phase = "ended"
        await self._state.save(run)

    async def _come_back(self) -> None:
        pause = self._pause()
        self._run.get_on()  # else workers that were lost in the course of a day would be too many
        self._state.due = self._run.clock() + pause
        await self._state.save(self._run)
        self._run.halt.set("later", pause=round(pause))

    async def _come_back_soon(self) -> None:
        """Unless it has been asked to stop for too long: then what there is, is all there is."""
        await self._state.save(self._run)
        if self._run.clock() - self._state.stopped < self._run.timing.winding:
            self._run.halt.set("later", pause=round(self._run.timing.poll))

    def _pause(self) -> float:
        timing = self._run.timing
        elapsed = self._run.clock() - self._state.since if self._state.since else 0.0
        return min(timing.longest_poll, max(timing.poll, elapsed / SHARE))

    async def _rows(self) -> AsyncIterator[NativeRow]:
        run = self._run
        spans = await spans_of(JobFiles(run.blobs, run.job.id), run.shard)
        position = 0
        async for content in read_contents(self._parts, run, spans):
            if content:
                value: Any = from_json(content)
                yield NativeRow(position, to_object(to_object(value).get("body")))
            position += 1

    def _token(self) -> str:
        shard = self._run.shard
        return f"{shard.job.replace('_', '-')}-{shard.plan}-{shard.number}"
