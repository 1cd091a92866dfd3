"""A job of the kind `eval` as an EvalJob on the wire."""

from typing import Final

from core.apis.answers.evals import EvalJob, EvalStatus
from core.apis.answers.jobs import JobError
from core.services.jobs.service import Progress
from core.services.jobs.spending import cost_in
from core.stores.jobs.port import Job

STATUS: Final[dict[str, EvalStatus]] = {
    "queued": "scheduled",
    "completed": "completed",
    "failed": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}
"""What is not here is in progress: so is one that is being stopped."""


def show_eval(job: Job, progress: Progress) -> EvalJob:
    """`progress` is that of now."""
    counts = progress.counts
    models = counts.models
    return {
        "job_id": str(job.request["number"]),
        "status": STATUS.get(job.status, "in_progress"),
        "id": job.id,
        "benchmark_id": job.request["benchmark_id"],
        "created_at": int(job.created),
        "started_at": _seconds(job.started),
        "ended_at": _seconds(job.ended),
        "progress": {"total": job.rows, "completed": counts.completed, "failed": counts.failed},
        "usage": {"total_tokens": sum(models.values()), "models": models},
        "cost": cost_in(counts.tokens),
        "error": _error_of(job),
        "result_file_id": (job.result or {}).get("result_file_id"),
    }


def _error_of(job: Job) -> JobError | None:
    if not job.reason:
        return None
    code, colon, message = job.reason.partition(": ")
    return {"code": code, "message": message} if colon else {"code": "job_failed", "message": job.reason}


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
