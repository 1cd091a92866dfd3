"""A run whose log is silent: its job still has it, or has ended without a word, or it is given to a worker now."""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from core.errors import ApiError, Conflict, ConversationLocked
from core.frame.callers import ANONYMOUS, Call
from core.routing.policy import same_owner
from core.services.jobs.service import job_service
from core.services.jobs.shards import is_free
from core.services.responses.background.creating import LATE, has_jobs
from core.services.responses.background.ending import end_run
from core.services.responses.background.job import KIND, SECONDS
from core.services.responses.contract import RunQueued
from core.services.responses.recording.ending import GONE, settle
from core.services.responses.recording.folding import RunState
from core.services.responses.recording.log import RunLog, RunLost
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.state.leases import ConversationLease, is_left
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import LEASE, tail_of
from core.stores.documents.port import Document, StaleDocument
from core.stores.jobs.port import ENDED

GONE_ON: Final = "Its conversation has gone on without it."
MOST_LEFT: Final = 100
"""Runs in one conversation that nobody has any more: nearly always one."""
STOPPABLE: Final = frozenset({"queued", "running"})


async def look_after(state: StatePlace, run: Document, now: RunState) -> bool:
    """Whether a worker has the run, or gets it: of one that died in the foreground it is made a job's. Raises StateUnavailable."""
    record = RunRecord.read(run.body)
    if not has_jobs(state.parts):
        return False
    if not record.job:
        return (
            record.owner_list == state.owner
            and same_owner(run.owner, state.guard.owner)
            and await _give(state, run, now)
        )
    service = job_service(state.parts)
    job = await service.jobs.get(record.job)
    if job is None or job.status in ENDED:
        return False
    await service.counts(job)  # which begins its ticks again, where they have stopped
    return True


async def _give(state: StatePlace, run: Document, now: RunState) -> bool:
    """False where it cannot go on: its conversation has gone on without it, or its owner may not make jobs.

    While its conversation is locked by who died it is left as it is: whoever looks later gives it to a worker.
    """
    record, jobs = RunRecord.read(run.body), job_service(state.parts)
    try:
        job = jobs.draft(KIND, state.call or Call(ANONYMOUS), {"response": run.id}, seconds=SECONDS)
        lease = await _lease(state, record, now)
    except ConversationLocked:
        return True
    except ApiError:
        return False
    log = RunLog(state.store, run.id, run.expires, clock=state.clock)
    log.next = now.next
    try:
        await log.append([RunQueued()])
        await state.store.put(run, replace(record, job=job.id).body())
        if lease is not None:
            await lease.lend(run.id, int(job.deadline) + LATE)
        await jobs.submit(job)
    except (RunLost, Conflict):  # another was quicker
        if lease is not None:
            await lease.release()
    return True


async def free_conversation(state: StatePlace, conversation_id: str) -> bool:
    """Whether it is free now, which was left by who died, or lent to a run that nobody has any more."""
    lease = await state.store.get(LEASE, conversation_id)
    if lease is None:
        return True
    response_id = lease.body.get("response", "")
    if not response_id:
        return await _end_left(state, lease)
    run = await state.store.get(RUN, response_id)
    if run is not None and (await settle(state, run)).ending is None:
        return False
    if (
        await state.store.get(RUN, response_id) is None
    ):  # and what has taken its place has taken the lease along, but for one that was left over
        await state.store.delete(lease, expect=lease.revision)
    return True


async def _end_left(state: StatePlace, lease: Document) -> bool:
    """Whether its time has passed: what died with it has ended then, and its conversation goes on without that."""
    if not is_left(lease, state.clock()):
        return False
    for run in (await state.store.page(RUN, lease.id, limit=MOST_LEFT)).documents:
        await end_run(state, run, "failed", GONE)
    with suppress(StaleDocument):  # another was quicker
        await state.store.delete(lease, expect=lease.revision)
    return True


async def _lease(state: StatePlace, record: RunRecord, now: RunState) -> ConversationLease | None:
    """Of its conversation, whose next turn is still the run's. Raises Conflict, and ConversationLocked where it may be only the lease of who died."""
    conversation = record.conversation
    if conversation is None:
        return None
    lease = await ConversationLease.inherit(state, conversation)
    try:
        lease = lease or await ConversationLease.take(state, conversation, None)
    except ConversationLocked:
        current = await state.store.get(LEASE, conversation)
        if current is None or not current.body.get("response"):  # lent it would be another run's
            raise
        raise Conflict(GONE_ON) from None
    tail = tail_of(await state.threads.find_next(conversation))
    if any(not item["id"].endswith(tail) for item in now.output):
        await lease.release()
        raise Conflict(GONE_ON)
    return lease


async def has_no_worker(state: StatePlace, run: Document) -> bool:
    """Whether its job waits: for a worker, or for its owner's quota."""
    service = job_service(state.parts)
    job = await service.jobs.get(RunRecord.read(run.body).job)
    if job is None or job.status != "running":
        return job is None or not job.holder
    return all(is_free(shard, state.clock()) for shard in await service.jobs.shards(job))


async def stop_job(state: StatePlace, run: Document) -> None:
    """Of a run that was ended by somebody else."""
    job_id = RunRecord.read(run.body).job
    if not job_id or not has_jobs(state.parts):
        return
    service = job_service(state.parts)
    job = await service.jobs.get(job_id)
    if job is not None and job.status in STOPPABLE:
        await service.cancel(job)
