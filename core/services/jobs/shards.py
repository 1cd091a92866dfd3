"""One shard of a job: taken, worked on until it is done or the worker has to leave it, and kept."""

import asyncio
from contextlib import suppress
from dataclasses import replace
import logging

from core.errors import ApiError, StateUnavailable
from core.frame.types import JsonObject
from core.services.jobs import messages
from core.services.jobs.engine import Engine, new_holder, reason_of
from core.services.jobs.failures import WorkerLost
from core.services.jobs.kind import JobFailed, JobKind
from core.services.jobs.messages import DONE, Again, GiveBack, Outcome, Task
from core.services.jobs.secrets import SecretLost
from core.services.jobs.shard_run import EXPIRED, ShardRun
from core.services.jobs.timing import Turn
from core.stores.jobs.port import Counts, Job, Shard
from core.stores.queue.port import MOST_DELAY

log = logging.getLogger(__name__)


async def work_on_shard(engine: Engine, task: Task, turn: Turn, *, redelivered: bool) -> Outcome:
    job = await engine.jobs.get(task.job)
    if job is not None and job.status == "running" and engine.clock() >= job.deadline:
        job = await engine.stop(job, "expired", EXPIRED)
    if job is None or job.status != "running":
        return await _close(engine, task, job, turn)
    kind = engine.kind_of(job)
    try:
        call = await engine.call_of(job)
    except ApiError as failure:
        log.warning("job %s: its owner cannot be read now: %s", job.id, failure)
        return GiveBack()
    if kind is None or call is None:
        return GiveBack() if kind is None else DONE
    now, holder = engine.clock(), new_holder()
    shard = await engine.jobs.lease_shard(job, task.number, holder, now=now, until=now + engine.timing.lease)
    if shard is None or shard.state == "done":
        return await _send_on(engine, await engine.jobs.get(job.id))
    if shard.holder != holder:
        return engine.busy(task, job, shard.until, redelivered=redelivered)
    return await _work(engine, kind, task, ShardRun(engine.parts(), job, call, shard, turn))


async def _close(engine: Engine, task: Task, job: Job | None, turn: Turn) -> Outcome:
    """Of a job that is stopped: its `stop` may wait behind the messages of all its shards."""
    if job is not None and job.status == "stopping":
        shards = await engine.jobs.shards(job)
        free = [shard for shard in shards if shard.number == task.number and is_free(shard, engine.clock())]
        kind = engine.kind_of(job) if free else None
        if kind is not None and kind.outside_work is not None and kind.winds_up(free[0]):
            return await _wind_up(engine, replace(kind, work=kind.outside_work.wind_up), task, job, turn)
        for shard in free:
            await engine.jobs.close_shard(shard, now=engine.clock())
        job = await engine.jobs.get(job.id) if free else job
    return await _send_on(engine, job)


async def _wind_up(engine: Engine, kind: JobKind, task: Task, job: Job, turn: Turn) -> Outcome:
    """Not as the owner, who may be nobody by now: nothing is asked for it any more."""
    data: JsonObject = {}
    now, holder = engine.clock(), new_holder()
    shard = await engine.jobs.lease_shard(job, task.number, holder, now=now, until=now + engine.timing.lease)
    if shard is None or shard.holder != holder or shard.state == "done":
        return await _send_on(engine, await engine.jobs.get(job.id))
    with suppress(SecretLost):
        data = await engine.data_of(job)
    run = ShardRun(engine.parts(), job, engine.call_as(job.principal, job, data), shard, turn, "stopping")
    return await _work(engine, kind, task, run)


async def _send_on(engine: Engine, job: Job | None) -> Outcome:
    """Whoever did the last shard may have died before it could say so."""
    if job is not None and job.status == "finishing":
        await engine.send_on(job)
    return DONE


async def _work(engine: Engine, kind: JobKind, task: Task, run: ShardRun) -> Outcome:
    if run.shard.attempts >= engine.timing.takeovers:
        return await _give_up(engine, kind, run)
    work = asyncio.ensure_future(kind.work(run))
    keeping = asyncio.ensure_future(run.keep())
    over = asyncio.ensure_future(run.halt.over.wait())
    try:
        await asyncio.wait((work, keeping, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task_ in (work, keeping, over):
            task_.cancel()
        await asyncio.wait((work, keeping, over))
    if not keeping.cancelled():
        keeping.result()  # it ends by itself only where the shard is lost, or by a bug
    if run.halt.reason == "lost":
        return await _send_on(engine, await engine.jobs.get(run.job.id))
    failure = None if work.cancelled() else work.exception()
    if failure is not None:
        return await _failed(engine, task, run, failure)
    return await _leave(engine, kind, task, run, whole=not work.cancelled() and run.halt.reason is None)


async def _leave(engine: Engine, kind: JobKind, task: Task, run: ShardRun, *, whole: bool) -> Outcome:
    """Keep what was done: all of the shard, or as far as it is."""
    reason, pause = run.halt.reason, run.halt.pause
    stops = reason == "stopping" and not kind.winds_up(run.shard)
    if whole or stops:
        left = await run.finish()
        if left is None or left == 0:
            return await _send_on(engine, await engine.jobs.get(run.job.id))
        return DONE
    if not await run.release(pause if reason == "quota" else 0) or reason == "early":
        return DONE
    seconds = min(MOST_DELAY, pause) if reason in {"quota", "later"} else 0
    return Again(messages.work(run.job, task.number), run.job.owner, seconds)


async def _failed(engine: Engine, task: Task, run: ShardRun, failure: BaseException) -> Outcome:
    """Of the work as a whole, as its input that cannot be read: tried again, and then the job has failed."""
    if isinstance(failure, StateUnavailable):
        with suppress(StateUnavailable):
            await run.release()
        raise failure
    log.error("job %s, shard %d failed", run.job.id, run.shard.number, exc_info=failure)
    await run.release()
    again = None if isinstance(failure, JobFailed) else engine.retry(task, run.job)
    if again is not None:
        return again
    if run.job.status == "stopping":  # nothing else would end it
        await engine.jobs.close_shard(run.shard, now=engine.clock())
        return await _send_on(engine, await engine.jobs.get(run.job.id))
    reason = str(failure) if isinstance(failure, JobFailed) else reason_of("shard_failed", failure)
    await engine.stop(run.job, "failed", reason)
    return DONE


async def _give_up(engine: Engine, kind: JobKind, run: ShardRun) -> Outcome:
    """The rows left are errors; where even that kills the worker, they are only counted."""
    log.error("job %s, shard %d: %d workers were lost over it", run.job.id, run.shard.number, run.shard.attempts)
    if kind.abandon is not None and run.shard.attempts == engine.timing.takeovers:
        await kind.abandon(run, WorkerLost())
    else:
        run.count(Counts(failed=_rows_left(run.shard)))
    if await run.finish() in {0, None}:
        return await _send_on(engine, await engine.jobs.get(run.job.id))
    return DONE


def is_free(shard: Shard, now: float) -> bool:
    """Whether nobody has it."""
    return shard.state == "waiting" or (shard.state == "leased" and shard.until < now)


def _rows_left(shard: Shard) -> int:
    return shard.rows - shard.done.bit_count()
