"""The jobs of one caller: what it may see of them, and their shape on the wire."""

from collections.abc import Callable, Sequence
from typing import Final

from core.apis.answers.jobs import JobError, JobList, JobView
from core.apis.jobs import ListJobsQuery
from core.errors import InvalidRequest, NotFound
from core.frame.api import JobRow
from core.frame.callers import ANONYMOUS, Call, KeepLimits, Principal, principal_of
from core.services.jobs.paging import show_page
from core.services.jobs.service import RETRIED_FROM, JobService
from core.stores.jobs.port import Counts, Job

NO_JOBS: Final = "This stack has no jobs: no API that it serves makes any, or storage.stores has no place for them."


class JobsRouter:
    """Answers `core.apis.jobs.Jobs`; a `call` of None is the stack itself, which may do everything."""

    def __init__(
        self,
        service: JobService | None,
        rows: Sequence[JobRow],
        call: Call | None,
        limits_of: Callable[[Principal], KeepLimits] = lambda _: KeepLimits(),
    ) -> None:
        """`rows` are the kinds of the APIs that are served; without a place for jobs there is no `service`."""
        self._maybe = service
        self._rows = {row.name: row for row in rows}
        self._kinds = tuple(self._rows)
        self._limits_of = limits_of
        self._call = call
        self._principal = principal_of(call)

    @property
    def _service(self) -> JobService:
        if self._maybe is None:
            raise NotFound(NO_JOBS)
        return self._maybe

    async def index(self, *, query: ListJobsQuery) -> JobList:
        kind, after, most = query.kind, query.after, query.limit
        if kind is not None and kind not in self._kinds:
            raise InvalidRequest(
                f"`{kind}` is no kind of job here; {', '.join(self._kinds) or 'none'} are.", param="kind"
            )
        if after is not None:
            kind = (await self._service.readable(after, self._principal)).kind
        kinds = self._kinds if kind is None else (kind,)
        pages = [await self._service.page(name, self._principal, after=after, limit=most) for name in kinds]
        jobs = sorted((job for page in pages for job in page.jobs), key=lambda job: (job.created, job.id), reverse=True)
        data, is_cut = await show_page(jobs[:most], self._show)
        more = is_cut or len(jobs) > most or any(page.has_more for page in pages)
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"object": "list", "data": data, "has_more": more, "first_id": first, "last_id": last}

    async def get(self, job_id: str) -> JobView:
        return await self._show(await self._service.readable(job_id, self._principal))

    async def cancel(self, job_id: str) -> JobView:
        job = await self._service.changeable(job_id, self._principal)
        return await self._show(await self._service.cancel(job))

    async def retry(self, job_id: str) -> JobView:
        from core.services.jobs.retrying import retry  # late: few are

        job = await self._service.changeable(job_id, self._principal)
        row = self._row_of(job)
        most: int | None = getattr(self._limits_of(job.principal), row.limit) if row.limit else None
        return await self._show(await retry(self._service, job, self._call or Call(ANONYMOUS), row, most))

    def _row_of(self, job: Job) -> JobRow:
        """Of a kind that is not served any more one that says nothing."""
        return self._rows.get(job.kind) or JobRow(job.kind, "")

    async def _show(self, job: Job) -> JobView:
        return show_job(job, await self._service.counts(job), self._row_of(job).about)


def show_job(job: Job, counts: Counts, about: Sequence[str] = ()) -> JobView:
    """The shape on the wire; `counts` are those of now, `about` the fields of its request that it shows."""
    return {
        "id": job.id,
        "object": "job",
        "kind": job.kind,
        "status": job.status,
        "created_at": int(job.created),
        "started_at": None if job.started is None else int(job.started),
        "ended_at": None if job.ended is None else int(job.ended),
        "deadline": int(job.deadline),
        "expires_at": job.expires,
        "owner": job.principal.id or None,
        "progress": {"total": job.rows, "completed": counts.completed, "failed": counts.failed},
        "usage": {"total_tokens": sum(counts.models.values()), "models": counts.models},
        "error": _error(job.reason),
        "about": {name: job.request[name] for name in about if name in job.request},
        "retried_from": job.request.get(RETRIED_FROM),
        "result": job.result,
    }


def _error(reason: str) -> JobError | None:
    """Reasons are `code: message`."""
    code, _, message = reason.partition(": ")
    return {"code": code, "message": message} if reason else None
