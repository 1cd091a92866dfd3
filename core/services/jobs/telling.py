"""Who is told of what becomes of jobs: the operator's event bus of every status, a kind of the end.

A status is told when the message that found or made it is seen to, and again where such a message is delivered again: at least once.
"""

import hashlib
from typing import TYPE_CHECKING, Final

from core.apis.jobs import JobChange
from core.stores.jobs.port import ENDED, Job

if TYPE_CHECKING:
    from core.services.jobs.engine import Engine

DIGITS: Final = 32  # of an event's id, in hex


def change_of(job: Job, now: float) -> JobChange:
    """That the job has its status, since `now` where the job does not say when; a job has each status once."""
    since = {"queued": job.created, "running": job.started}.get(job.status, job.ended)
    counts = {} if job.counts is None else {"completed": job.counts.completed, "failed": job.counts.failed}
    digest = hashlib.sha256(f"{job.id}\0{job.status}".encode()).hexdigest()[:DIGITS]
    return JobChange(
        f"evt_{digest}",
        job.id,
        job.kind,
        job.principal.id,
        job.status,
        since or now,
        job.reason.partition(":")[0],
        counts,
    )


async def tell(engine: "Engine", job: Job) -> None:
    if engine.teller is not None:
        await engine.teller.tell(change_of(job, engine.clock()))


async def tell_after(engine: "Engine", job: Job, *, again: bool) -> None:
    """After a step, and also where whoever took it died before: `job` is as it was before, `again` for a message that came before.

    Raises:
        StateUnavailable: the message has to be delivered again.
    """
    kind = engine.kinds.get(job.kind)
    ends = kind is not None and kind.ended is not None
    if not ends and engine.teller is None and engine.secrets is None:
        return
    now = job if job.status in ENDED else await engine.jobs.get(job.id)
    if now is None:
        return
    if now.status != job.status or again:
        await tell(engine, now)
    if now.status in ENDED:
        await _end(engine, now)


async def _end(engine: "Engine", job: Job) -> None:
    if engine.secrets is not None:
        await engine.secrets.forget(job)
    kind = engine.kinds.get(job.kind)
    if kind is not None and kind.ended is not None:
        await kind.ended(job)
