"""Jobs as a client gets them."""

from typing import Any, Literal, NotRequired, TypedDict


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
    """A job as its owner sees it; times are Unix seconds.

    `about` says what it is of, in its kind's words, as the benchmark and the number of an evaluation. `result` is its
    kind's, null until it has ended.
    """

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
    about: NotRequired[dict[str, Any]]
    retried_from: str | None
    result: dict[str, Any] | None


class JobList(TypedDict):
    """Newest first."""

    object: Literal["list"]
    data: list[JobView]
    has_more: bool
    first_id: str | None
    last_id: str | None
