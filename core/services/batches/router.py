"""The batches of one caller: jobs of the kind `batch`, in the shape of the wire."""

from dataclasses import replace
from hashlib import sha256
from typing import Final

from core.apis.answers.batches import Batch, BatchList
from core.apis.batches import WINDOW_SECONDS, ListBatchesQuery, NewBatch, NewBatchQuery
from core.errors import Conflict, NotFound
from core.frame.callers import ANONYMOUS, Call, principal_of
from core.services.batches.requests import key_of, request_of
from core.services.batches.shown import show_batch, status_of
from core.services.jobs.paging import show_page
from core.services.jobs.service import JobService, job_service
from core.services.parts import Parts
from core.stores.jobs.port import Job

KIND: Final = "batch"
STOPPED: Final = frozenset({"cancelling", "cancelled"})


class BatchesRouter:
    """Answers `core.apis.batches.Batches`; a `call` of None is the stack itself, which may do everything."""

    def __init__(self, parts: Parts, call: Call | None) -> None:
        """Raises StateUnavailable where the run config has no place for jobs."""
        self._service: JobService = job_service(parts)
        self._parts = parts
        self._call = call
        self._principal = principal_of(call)

    async def create(self, request: NewBatch, *, query: NewBatchQuery) -> Batch:
        call, key = self._call or Call(ANONYMOUS), key_of(request, query)
        job = self._service.draft(KIND, call, request_of(request), prefix=KIND, seconds=WINDOW_SECONDS)
        if key:  # an id that follows from it: who comes again is known before anything is counted
            job = replace(job, id=f"{KIND}_{sha256(f'{job.owner}\n{key}'.encode()).hexdigest()[:24]}")
        await self._claim(job)
        key = f"{KIND} {key}" if key else ""
        return await self._show(await self._service.submit(job, key=key, data=call.provider_data))

    async def _claim(self, job: Job) -> None:
        """Where the caller may not have any number under way; what was made under this key before has its slot."""
        if (
            self._parts.keep_limits(self._principal).batches is not None
            and await self._service.jobs.get(job.id) is None
        ):
            from core.services.batches.slots import claim_slot  # late: few have a limit

            await claim_slot(self._parts, job)

    async def index(self, *, query: ListBatchesQuery) -> BatchList:
        if query.after is not None:
            await self._find(query.after)
        page = await self._service.page(KIND, self._principal, after=query.after, limit=query.limit)
        data, is_cut = await show_page(page.jobs, self._show)
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"object": "list", "data": data, "has_more": is_cut or page.has_more, "first_id": first, "last_id": last}

    async def get(self, batch_id: str) -> Batch:
        return await self._show(await self._find(batch_id))

    async def cancel(self, batch_id: str) -> Batch:
        await self._find(batch_id)
        job = await self._service.cancel(await self._service.changeable(batch_id, self._principal))
        status = status_of(job)
        if status not in STOPPED:
            raise Conflict(f"Cannot cancel a batch with status '{status}'.", param="batch_id")
        return await self._show(job)

    async def _find(self, batch_id: str) -> Job:
        """Raises NotFound also for a job of another kind."""
        try:
            job = await self._service.readable(batch_id, self._principal)
        except NotFound:
            raise _missing(batch_id) from None
        if job.kind != KIND:
            raise _missing(batch_id)
        return job

    async def _show(self, job: Job) -> Batch:
        return show_batch(job, await self._service.progress(job))


def _missing(batch_id: str) -> NotFound:
    return NotFound(f"There is no batch `{batch_id}`.", param="batch_id")
