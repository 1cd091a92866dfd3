"""Making, reading and stopping jobs, for the APIs that have them: what is sent and written so that a crash loses nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import json
import time
from typing import Any, Final
from uuid import uuid4

from core.errors import ApiError, Conflict, InvalidRequest, NotFound, StateUnavailable
from core.frame.callers import PROVIDER_DATA_HEADERS, Call, Principal, principal_of
from core.frame.types import JsonObject
from core.routing.guard import Enforcement, Guard, Item
from core.routing.policy import owner_of
from core.services.jobs import messages
from core.services.jobs.secrets import JobSecrets
from core.services.jobs.timing import Timing
from core.services.parts import Parts
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.jobs.port import ENDED, Counts, Job, JobPage, JobStore, Shard
from core.stores.queue.port import WorkQueue

DAY: Final = 24 * 3600
KEPT: Final = 30 * DAY
RETRIED_FROM: Final = "retried_from"
"""In a job's request: the job that it does once more."""
NO_SECRETS: Final = (
    "A job keeps no secrets: send it without {}, so that the stack's providers serve it. With a key of KMS at `jobs.provider_data_key` of the run "
    "config jobs keep them sealed."
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `paused` is until when (Unix seconds) shards of it wait for the owner's quota, None where none does."""

    counts: Counts
    paused: float | None = None


@dataclass(frozen=True, slots=True)
class JobService:
    """`clock` gives Unix seconds. Without `secrets` a call that brings provider data is refused."""

    jobs: JobStore
    queue: WorkQueue
    enforcement: Enforcement
    timing: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.time
    secrets: JobSecrets | None = None

    async def create(
        self,
        kind: str,
        call: Call,
        request: JsonObject,
        *,
        key: str = "",
        prefix: str = "job",
        seconds: float = DAY,
    ) -> Job:
        """A new job of the caller, which ends in `seconds` at the latest; with a `key` of before, the job of then.

        Raises:
            PermissionDenied: the access policy does not let the caller make one.
            Conflict: the key came with another request.
            InvalidRequest: the call has provider data, which no key of KMS is there to seal, or the request is too large.
            StateUnavailable: there is no job, or there is one that will be done; the same key tells.
        """
        job = self.draft(kind, call, request, prefix=prefix, seconds=seconds)
        return await self.submit(job, key=key, data=call.provider_data)

    def draft(self, kind: str, call: Call, request: JsonObject, *, prefix: str = "job", seconds: float = DAY) -> Job:
        """As `create`, a job that is nowhere yet, for who has to keep its id before anybody works on it: see `submit`."""
        if call.provider_data and self.secrets is None:
            raise InvalidRequest(NO_SECRETS.format(" or ".join(PROVIDER_DATA_HEADERS)))
        job = self._new(kind, call.principal, request, prefix=prefix, seconds=seconds)
        Guard(self.enforcement, principal_of(call)).require("create", *_entity(job))
        return job

    async def create_for(
        self, principal: Principal, kind: str, request: JsonObject, *, key: str, seconds: float = DAY
    ) -> Job:
        """As `create`, a job that the stack itself makes for a principal, whatever that may make."""
        return await self.submit(self._new(kind, principal, request, prefix="job", seconds=seconds), key=key)

    def _new(self, kind: str, principal: Principal, request: JsonObject, *, prefix: str, seconds: float) -> Job:
        now = self.clock()
        return Job(
            id=f"{prefix}_{uuid4().hex[:24]}",
            kind=kind,
            principal=principal,
            request=request,
            created=now,
            deadline=now + seconds,
            expires=int(now + seconds + KEPT),
        )

    async def submit(self, job: Job, *, key: str = "", data: Mapping[str, Any] | None = None) -> Job:
        """Have a draft done, with the provider `data` of its call; raises as `create`."""
        secrets = self.secrets if data else None
        if not data or secrets is None or await self.jobs.get(job.id) is not None:  # its id may follow from its key
            return await self._submit(job, key)
        await secrets.keep(job, data)  # first: nobody is to work on it without
        try:
            stored = await self._submit(job, key)
        except StateUnavailable:  # it may be there
            raise
        except ApiError:
            if await self.jobs.get(job.id) is None:
                await secrets.forget(job)
            raise
        if stored.id != job.id:
            await secrets.forget(job)
        return stored

    async def _submit(self, job: Job, key: str) -> Job:
        # First the tick, which finds a job that was made just before a crash, and sends what was not sent.
        await self.queue.send([messages.tick(job, 0).to_message(job.owner)], delay=self.timing.first_tick)
        stored = _same(await self.jobs.create(job, key=key), job)
        if (stored.id, stored.created) != (job.id, job.created):  # a draft's id may follow from its key
            return stored
        await self.queue.send([messages.prepare(job).to_message(job.owner)])
        return stored

    async def readable(self, job_id: str, principal: Principal | None) -> Job:
        """The job; raises NotFound also for one that may not be read, after the same time."""
        guard = Guard(self.enforcement, principal)
        asked_at = guard.now()
        job = await self.jobs.get(job_id)
        if job is None or not guard.allows("read", *_entity(job)):
            await guard.pause(asked_at)
            raise NotFound(f"There is no job `{job_id}`.", param="job_id")
        return job

    async def changeable(self, job_id: str, principal: Principal | None) -> Job:
        """As `readable`; raises PermissionDenied for one that may be read alone."""
        job = await self.readable(job_id, principal)
        Guard(self.enforcement, principal).require("update", *_entity(job))
        return job

    async def page(self, kind: str, principal: Principal | None, *, after: str | None, limit: int) -> JobPage:
        """At most `limit` of the caller's own jobs of a kind, newest first; for the stack itself everybody's."""
        if principal is None:
            return await self.jobs.page(kind, owner=None, after=after, limit=limit)
        guard = Guard(self.enforcement, principal)
        page = await self.jobs.page(kind, owner=principal.identity, after=after, limit=limit)
        return JobPage([job for job in page.jobs if guard.allows("read", *_entity(job))], page.has_more)

    async def cancel(self, job: Job) -> Job:
        """Stop it, and keep what was done; a job that has ended, or is stopping, stays as it is."""
        stopped = await self.jobs.stop(job.id, "cancelled")
        if stopped is None or job.status in {"stopping", "finishing"} or stopped.status in ENDED:
            return stopped or job
        task = messages.stop(stopped) if stopped.status == "stopping" else messages.finish(stopped)
        await self.queue.send([task.to_message(stopped.owner)])
        return stopped

    async def counts(self, job: Job) -> Counts:
        """As `progress` has them."""
        return (await self.progress(job)).counts

    async def progress(self, job: Job) -> Progress:
        """Of a job that runs, the sum over its shards: nothing is ever added, so that no retry counts twice.

        Where it should have ended, or have been looked after, by now, its ticks begin again.
        """
        if job.counts is not None:
            return Progress(job.counts)
        shards = await self.jobs.shards(job) if job.plan else []
        if job.status not in ENDED and self._is_overdue(job, shards):
            await self.queue.send([messages.tick(job, job.tick).to_message(job.owner)])
        waits = [shard.until for shard in shards if shard.state == "waiting" and shard.until > self.clock()]
        paused = max(waits) if waits and job.status == "running" else None
        return Progress(Counts.sum(shard.counts for shard in shards), paused)

    def _is_overdue(self, job: Job, shards: list[Shard]) -> bool:
        late = self.clock() - 2 * self.timing.tick
        leases = [job.until] if job.holder else []
        leases += [shard.until for shard in shards if shard.state == "leased"]
        return late > job.deadline or (job.status == "queued" and late > job.created) or any(u < late for u in leases)


def job_service(parts: Parts) -> JobService:
    """For an API that has jobs; raises StateUnavailable where the run config has no place for them."""
    keys = parts.job_keys
    secrets = None if keys is None else JobSecrets(parts.stores.get(BLOBS), keys)
    return JobService(parts.stores.get(JOBS), parts.stores.get(QUEUE), parts.enforcement, secrets=secrets)


def _entity(job: Job) -> tuple[Item, tuple[str, ...]]:
    """As rules see it: `job::ID`, or `job::KIND/ID`."""
    return Item("job", job.id, owner_of(job.principal)), (f"{job.kind}/{job.id}",)


def _same(stored: Job, job: Job) -> Job:
    same = json.dumps(stored.request, sort_keys=True) == json.dumps(job.request, sort_keys=True)  # as it is stored
    if stored.kind != job.kind or not same:
        raise Conflict(
            "Conflict: this key came with another request before; a new request needs a new key.", param="key"
        )
    return stored
