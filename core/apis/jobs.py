"""Jobs: work that outlives the request that made it. Each API with jobs makes its own; here they are seen and stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import Field

from core.apis.answers.jobs import JobList, JobView
from core.frame.types import Query


class ListJobsQuery(Query):
    """At most `limit` jobs; those after the job `after` are of its kind."""

    kind: str | None = None
    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job has come to a status; times are in Unix seconds. `reason` is the code alone, "" where it came to its end.

    `event` is the same for all that tell of it.
    """

    event: str
    job: str
    kind: str
    owner: str
    status: str
    at: float
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


class JobTeller(Protocol):
    """Whoever the operator has told of every status of every job, at least once for each, mostly in their order."""

    async def tell(self, change: JobChange) -> None:
        """Raises nothing: where it cannot be told, it is logged."""
        ...


class Jobs(Protocol):
    """The caller's jobs; of another's nothing is said, unless the access policy permits it (`job::ID`, `job::KIND/ID`)."""

    async def index(self, *, query: ListJobsQuery) -> JobList:
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
