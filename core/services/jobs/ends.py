"""The two ends of a job, each done by whoever leases it: it is prepared, which makes its shards, and it is finished."""

import asyncio
from collections.abc import Awaitable, Sequence
import logging
from typing import Final, override
from uuid import uuid4

from core.errors import ApiError, StateUnavailable
from core.frame.types import JsonObject
from core.services.jobs import messages
from core.services.jobs.engine import Engine, new_holder, reason_of
from core.services.jobs.kind import MOST_SHARDS, FinishRun, JobFailed, JobKind, PrepareRun
from core.services.jobs.messages import DONE, Again, GiveBack, Outcome, Task
from core.services.jobs.parts import parts_folder
from core.services.jobs.telling import tell, tell_after
from core.services.jobs.timing import Turn
from core.stores.jobs.port import ENDED, Counts, Job, Shard

log = logging.getLogger(__name__)

WORKER_LOST: Final = "worker_lost: several workers ended without a word over it."
TOO_LONG: Final = "It takes longer than a worker lives."
SERVER_ERROR: Final = 500
THROTTLED: Final = 429


class LeaseLost(Exception):
    """Another worker has the job by now."""


async def prepare(engine: Engine, task: Task, turn: Turn, *, redelivered: bool) -> Outcome:
    job = await engine.jobs.get(task.job)
    if job is not None and job.status == "running" and redelivered:
        # Whoever made the shards may have died before it sent them all; those that are sent twice do no harm.
        await _send_shards(engine, job, [s for s in await engine.jobs.shards(job) if s.state == "waiting"])
    return await _take_step(engine, _Prepare(engine, task, turn), job, redelivered=redelivered)


async def finish(engine: Engine, task: Task, turn: Turn, *, redelivered: bool) -> Outcome:
    job = await engine.jobs.get(task.job)
    if (
        job is not None and job.status in ENDED and job.status != "failed"
    ):  # where finishing failed, they are all there is
        await engine.blobs.delete_below(parts_folder(job.id))
    return await _take_step(engine, _Finish(engine, task, turn), job, redelivered=redelivered)


class _Step:
    """An end of a job, while this worker has its lease."""

    status = "queued"
    code = "prepare_failed"

    def __init__(self, engine: Engine, task: Task, turn: Turn) -> None:
        self.engine = engine
        self.task = task
        self.turn = turn

    async def run(self, job: Job, kind: JobKind) -> None:
        """Do it and write it down; raises what the kind raises, or LeaseLost."""
        raise NotImplementedError

    async def end(self, job: Job, reason: str, result: JsonObject | None = None) -> None:
        """The job has failed here; what its shards came to is counted and kept."""
        shards = await self.engine.jobs.shards(job) if job.plan else []
        await self.engine.jobs.end(
            job, "failed", reason=reason, counts=_total(shards), result=result or {}, now=self.engine.clock()
        )


class _Prepare(_Step):
    @override
    async def run(self, job: Job, kind: JobKind) -> None:
        engine = self.engine
        call = await engine.call_of(job)
        if call is None:
            return
        slices = await kind.prepare(PrepareRun(job, engine.files(job), call))
        if len(slices) > MOST_SHARDS:
            raise JobFailed(f"too_large: it makes {len(slices)} shards, and at most {MOST_SHARDS} are served.")
        plan = uuid4().hex[:12]
        shards = [Shard(job.id, plan, number, part.source, part.rows) for number, part in enumerate(slices)]
        if not await engine.jobs.start(job, shards, now=engine.clock()):
            raise LeaseLost
        if shards:
            await _send_shards(engine, job, shards)
        else:
            await engine.send(job, [messages.finish(job)])


class _Finish(_Step):
    status = "finishing"
    code = "finish_failed"

    @override
    async def run(self, job: Job, kind: JobKind) -> None:
        engine = self.engine
        shards = await engine.jobs.shards(job) if job.plan else []
        counts = _total(shards)
        result = await kind.finish(FinishRun(job, engine.files(job), shards, counts))
        status = job.outcome or "completed"
        if not await engine.jobs.end(job, status, reason=job.reason, counts=counts, result=result, now=engine.clock()):
            raise LeaseLost
        log.info("job %s (%s): %s, %d rows, %d failed", job.id, job.kind, status, job.rows, counts.failed)
        await engine.blobs.delete_below(parts_folder(job.id))


async def _take_step(engine: Engine, step: _Step, job: Job | None, *, redelivered: bool) -> Outcome:
    """Take it where it is due, and tell of what has become of the job, also where whoever took it died before they could."""
    if job is None:
        return DONE
    outcome: Outcome = DONE
    if job.status == step.status:
        await tell(engine, job)
        outcome = await _with_lease(engine, step, redelivered=redelivered)
    await tell_after(engine, job, again=redelivered)
    return outcome


async def _with_lease(engine: Engine, step: _Step, *, redelivered: bool) -> Outcome:
    task, now, holder = step.task, engine.clock(), new_holder()
    job = await engine.jobs.lease(task.job, holder, now=now, until=now + engine.timing.lease)
    if job is None:
        return DONE
    if job.status != step.status:
        if (
            job.holder == holder
        ):  # stopped between the look at it and the lease, which would keep whoever finishes it waiting
            await engine.jobs.release(job)
            await engine.send_on(job)
        return DONE
    if job.holder != holder:
        return engine.busy(task, job, job.until, redelivered=redelivered)
    if job.attempts >= engine.timing.takeovers:
        await step.end(job, WORKER_LOST)
        return DONE
    kind = engine.kind_of(job)
    if kind is None:
        await engine.jobs.release(job)
        return GiveBack()
    return await _outcome(engine, step, job, await _run(engine, step.run(job, kind), job, step.turn))


async def _run(engine: Engine, work: Awaitable[None], job: Job, turn: Turn) -> BaseException | None:
    """What `work` raised, None for nothing; it is cancelled where the lease is lost, or the worker must leave."""
    running = asyncio.ensure_future(work)
    keeping = asyncio.ensure_future(_keep(engine, job, turn))
    try:
        await asyncio.wait((running, keeping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (running, keeping):
            task.cancel()
        await asyncio.wait((running, keeping))
    if not running.cancelled():
        return running.exception()
    return LeaseLost() if keeping.cancelled() else keeping.exception()


async def _keep(engine: Engine, job: Job, turn: Turn) -> None:
    """Renew the lease; raises LeaseLost, or TimeoutError when the turn is over."""
    while True:
        seconds = min(engine.timing.lease / 3, max(0.0, turn.deadline - engine.timing.reserve - engine.clock()))
        try:
            async with asyncio.timeout(seconds):
                await turn.stopping.wait()
            seconds = max(0.0, turn.deadline - engine.timing.reserve - engine.clock())
            await asyncio.sleep(min(seconds, engine.timing.lease / 3))
        except TimeoutError:
            pass
        if engine.clock() >= turn.deadline - engine.timing.reserve:
            raise TimeoutError
        try:
            renewed = await engine.jobs.renew(job, until=engine.clock() + engine.timing.lease)
        except StateUnavailable as failure:
            log.warning("job %s: its lease is not renewed: %s", job.id, failure)
            continue
        if not renewed:
            raise LeaseLost


async def _outcome(engine: Engine, step: _Step, job: Job, failure: BaseException | None) -> Outcome:
    if failure is None or isinstance(failure, LeaseLost):
        return DONE
    if isinstance(failure, StateUnavailable):
        await engine.jobs.release(job)
        raise failure
    if isinstance(failure, JobFailed):
        await step.end(job, str(failure), failure.result)
        return DONE
    if isinstance(failure, ApiError) and _is_final(failure):
        await step.end(job, reason_of(step.code, failure))
        return DONE
    stopping = isinstance(failure, TimeoutError) and step.turn.stopping.is_set()
    if not stopping:
        log.error("job %s: %s", job.id, step.code, exc_info=failure)
    again = Again(step.task, job.owner) if stopping else engine.retry(step.task, job)
    if again is None:
        reason = f"{step.code}: {TOO_LONG}" if isinstance(failure, TimeoutError) else reason_of(step.code, failure)
        await step.end(job, reason)
        return DONE
    await engine.jobs.release(job)
    return again


def _is_final(failure: ApiError) -> bool:
    return failure.status < SERVER_ERROR and failure.status != THROTTLED


async def _send_shards(engine: Engine, job: Job, shards: Sequence[Shard]) -> None:
    await engine.send(job, [messages.work(job, shard.number) for shard in shards])


def _total(shards: Sequence[Shard]) -> Counts:
    return Counts.sum(shard.counts for shard in shards)
