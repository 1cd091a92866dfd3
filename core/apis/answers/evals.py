"""Benchmarks and evaluations as a client gets them."""

from typing import Any, Literal, NotRequired, TypedDict

from core.apis.answers.jobs import JobError, JobProgress, JobUsage
from core.frame.resources import ShownResource

type EvalStatus = Literal["scheduled", "in_progress", "completed", "failed", "cancelled"]


class Benchmark(ShownResource):
    dataset_id: str
    scoring_functions: list[str]
    metadata: dict[str, Any]


class EvalJob(TypedDict):
    """`job_id` counts within the benchmark; all but it and `status` are our own.

    Times are Unix seconds. `id` is that of the job among all jobs of the caller, absent where its provider runs it; `cost` is in
    USD, with the judges', null where the price of an answer is not known. `result_file_id` is there for a result over 5 MB where the stack has files.
    """

    job_id: str
    status: EvalStatus
    id: NotRequired[str]
    benchmark_id: NotRequired[str]
    created_at: NotRequired[int]
    started_at: NotRequired[int | None]
    ended_at: NotRequired[int | None]
    progress: NotRequired[JobProgress]
    usage: NotRequired[JobUsage]
    cost: NotRequired[float | None]
    error: NotRequired[JobError | None]
    result_file_id: NotRequired[str | None]


class EvalScores(TypedDict):
    """`score_rows` are in the order of the rows, `aggregated_results` by aggregation."""

    score_rows: list[dict[str, Any]]
    aggregated_results: dict[str, Any]


class EvalResult(TypedDict):
    """A generation for each row: `{"generated_answer", "context"?}`, or `{"generated_answer": null, "error"}`; scores by function."""

    generations: list[dict[str, Any]]
    scores: dict[str, EvalScores]
