"""What a principal keeps of jobs: they are stopped, then removed with their shards, results and blobs."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
import math
import time
from typing import Final

from core.config.redact import redact
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Extract, extract_bytes, extract_json, path_of
from core.services.jobs.parts import folder
from core.services.jobs.secrets import NAME
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import ENDED, Job, JobStore

PAGE: Final = 100
TOGETHER: Final = 100  # that are removed before the next are looked at
SHOWN: Final = frozenset(
    (
        *("id", "kind", "request", "created", "deadline", "expires", "started", "ended"),
        *("status", "outcome", "reason", "rows", "counts", "result"),
    )
)


def erase(jobs: JobStore, blobs: BlobStore | None, kinds: Iterable[str]) -> Erase:
    """Those of these kinds; without `blobs` no job has any."""
    return partial(_pieces, jobs, blobs, tuple(kinds))


async def _pieces(jobs: JobStore, blobs: BlobStore | None, kinds: tuple[str, ...], estate: Estate) -> Pieces:
    for kind in kinds:
        ids = await _ids(
            jobs, kind, estate.principal.identity
        )  # before any goes: a page begins after one that is there
        for start in range(0, len(ids), TOGETHER):
            yield [
                Piece("jobs", partial(_remove, jobs, blobs, id_), read=partial(_read, jobs, blobs, id_))
                for id_ in ids[start : start + TOGETHER]
            ]


async def _ids(jobs: JobStore, kind: str, owner: str) -> list[str]:
    ids, more = list[str](), True
    while more:
        page = await jobs.page(kind, owner=owner, after=ids[-1] if ids else None, limit=PAGE)
        ids += [job.id for job in page.jobs]
        more = page.has_more and bool(page.jobs)
    return ids


async def _read(jobs: JobStore, blobs: BlobStore | None, job_id: str) -> Extract:
    """What was asked, how it went, and what it has written; nothing of what it keeps sealed for providers."""
    job = await jobs.get(job_id)
    if job is None:
        return
    facts = {name: value for name, value in asdict(job).items() if name in SHOWN}
    async for file in extract_json(path_of("jobs", job_id, "job.json"), redact(facts)):
        yield file
    if blobs is None:
        return
    below = folder(job_id)
    for key in await blobs.old_keys(below, before=math.inf):
        name = key.removeprefix(below)
        if name != NAME:
            async for file in extract_bytes(path_of("jobs", job_id, "blobs", *name.split("/")), blobs.read(key)):
                yield file


async def _remove(jobs: JobStore, blobs: BlobStore | None, job_id: str) -> bool:
    """False while a worker has it, who learns within seconds that it is stopped."""
    job = await jobs.get(job_id)
    if job is None:
        return True
    was_live = job.status not in ENDED
    if was_live:
        job = await jobs.stop(job_id, "cancelled") or job
        if await _is_held(jobs, job):
            return False
    if blobs is not None:
        await blobs.delete_below(folder(job_id))
    await jobs.delete(job)
    if blobs is not None and was_live:  # what a worker wrote that had it a moment ago
        await blobs.delete_below(folder(job_id))
    return True


async def _is_held(jobs: JobStore, job: Job) -> bool:
    """Whether a worker has the lease of it, or of a shard, and so may be writing."""
    now = time.time()
    if job.status not in ENDED and job.holder and job.until > now:
        return True
    shards = await jobs.shards(job) if job.plan else []
    return any(shard.state == "leased" and shard.until > now for shard in shards)
