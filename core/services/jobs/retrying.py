"""A job that has ended is made once more: within what its owner may have under way, and as the next run of what it was, where its kind has runs."""

from dataclasses import replace
import hashlib
from typing import Final

from core.errors import Conflict, LimitReached
from core.frame.api import JobRow
from core.frame.callers import Call
from core.services.jobs.service import DAY, RETRIED_FROM, JobService
from core.stores.jobs.port import ENDED, Job, JobStore

DIGITS: Final = 32  # of a run's id, in hex
PAGE: Final = 100


async def retry(service: JobService, job: Job, call: Call, row: JobRow, most: int | None = None) -> Job:
    """A new job of the same kind, request and owner, who may have `most` under way; `row` is the kind's.

    Raises:
        Conflict: it has not ended, or where its kind has runs the last of them has not.
        LimitReached: as many are under way. Of calls at once each may find the last place: who prepares them tells them apart.
    """
    job = await last_run(service.jobs, job) if row.has_runs else job
    if job.status not in ENDED:
        raise Conflict(f"Job `{job.id}` is {job.status}; what has not ended is not retried.")
    if most is not None and await _count_under_way(service, job, most) >= most:
        raise no_place(row.limit, most)
    owner = Call(job.principal, call.source, provider_data=call.provider_data)
    prefix, request = job.id.rpartition("_")[0] or "job", {**job.request, RETRIED_FROM: job.id}
    draft = service.draft(job.kind, owner, request, prefix=prefix, seconds=job.deadline - job.created)
    again = replace(draft, id=_next_run(job.id)) if row.has_runs else draft
    return await service.submit(again, data=call.provider_data)


def no_place(limit: str, most: int) -> LimitReached:
    """`limit` is the field of KeepLimits, in whose words jobs of the kind are spoken of."""
    message = f"You may have {most} {limit} under way, and have as many. Wait for one, or cancel it."
    return LimitReached(f"max_{limit}", message)


async def last_run(jobs: JobStore, job: Job) -> Job:
    """The job itself, or where it was made once more, of a kind that has runs, the last that was."""
    while job.status in ENDED and (following := await jobs.get(_next_run(job.id))) is not None:
        job = following
    return job


def _next_run(job_id: str) -> str:
    """Of calls at once all mean the same."""
    digest = hashlib.sha256(f"{job_id}\nonce more".encode()).hexdigest()[:DIGITS]
    return f"{job_id.rpartition('_')[0]}_{digest}"


async def _count_under_way(service: JobService, job: Job, most: int) -> int:
    """Of the owner's jobs of this kind, as far as `most`; none is under way a day after its deadline."""
    count, after, more, oldest = 0, None, True, service.clock() - DAY
    while more and count < most:
        page = await service.jobs.page(job.kind, owner=job.owner, after=after, limit=PAGE)
        count += sum(other.status not in ENDED for other in page.jobs)
        after = page.jobs[-1].id if page.jobs else None
        more = page.has_more and page.jobs[-1].deadline > oldest
    return count
