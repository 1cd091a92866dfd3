"""Jobs: work that outlives the request that made it. Each API with jobs makes its own; here they are seen and stopped."""

from typing import Literal, Protocol, TypedDict

from core.frame.types import JsonObject


class JobProgress(TypedDict):
    """Rows: `total` is 0 until the job is prepared; of a stopped job the rest was never asked."""

    total: int
    completed: int
    failed: int


class JobError(TypedDict):
    code: str
    message: str


class JobUsage(TypedDict):
    """Tokens of the rows that have ended, together and by model."""

    total_tokens: int
    models: dict[str, int]


class JobView(TypedDict):
    """A job as its owner sees it; times are Unix seconds. `result` is its kind's, null until it has ended."""

    id: str
    object: Literal["job"]
    kind: str
    status: str
    created_at: int
    started_at: int | None
    ended_at: int | None
    deadline: int
    expires_at: int
    owner: str | None
    progress: JobProgress
    usage: JobUsage
    error: JobError | None
    retried_from: str | None
    result: JsonObject | None


class JobList(TypedDict):
    """Newest first."""

    object: Literal["list"]
    data: list[JobView]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Jobs(Protocol):
    """The caller's jobs; of another's nothing is said, unless the access policy permits it (`job::ID`, `job::KIND/ID`)."""

    async def index(self, kind: str | None = None, after: str | None = None, limit: str | None = None) -> JobList:
        """The newest of the caller's own; those after another one are of its kind, or of `kind`."""
        ...

    async def get(self, job_id: str) -> JobView:
        """Raises NotFound."""
        ...

    async def cancel(self, job_id: str) -> JobView:
        """Stop it, and keep what was done; one that has ended stays as it is."""
        ...

    async def retry(self, job_id: str) -> JobView:
        """A new job with the same request and owner; raises Conflict while the other has not ended."""
        ...
