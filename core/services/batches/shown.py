"""A job of the kind `batch` as a Batch on the wire."""

from math import ceil
from typing import cast

from core.apis.answers.batches import Batch, BatchFault, BatchStatus
from core.services.batches.job.usage import usage_of
from core.services.jobs.service import Progress
from core.stores.jobs.port import ENDED, Job


def status_of(job: Job) -> BatchStatus:
    """As OpenAI has it."""
    if job.status in ENDED:
        return cast("BatchStatus", job.status)
    if job.outcome == "cancelled":
        return "cancelling"
    return {"queued": "validating", "running": "in_progress"}.get(job.status, "finalizing")  # type: ignore[return-value]


def show_batch(job: Job, progress: Progress) -> Batch:
    """`progress` is that of now."""
    counts, paused = progress.counts, progress.paused
    status, result, request = status_of(job), job.result or {}, job.request
    faults = cast("list[BatchFault]", result.get("errors") or [])
    ended = _seconds(job.ended)
    batch: Batch = {
        "id": job.id,
        "object": "batch",
        "endpoint": request["endpoint"],
        "model": result.get("model"),
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": request.get("input_file_id"),
        "completion_window": request["completion_window"],
        "status": status,
        "output_file_id": result.get("output_file_id"),
        "error_file_id": result.get("error_file_id"),
        "created_at": int(job.created),
        "in_progress_at": _seconds(job.started),
        "expires_at": int(job.deadline),
        "finalizing_at": _seconds(job.finishing),
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": _seconds(job.stopped) if job.outcome == "cancelled" else None,
        "cancelled_at": ended if status == "cancelled" else None,
        "request_counts": {"total": job.rows, "completed": counts.completed, "failed": counts.failed},
        "usage": usage_of(counts.tokens),
        "metadata": request.get("metadata"),
        "waiting": None if paused is None else {"for": "quota", "until": ceil(paused)},
    }
    if "input_dataset_id" in request:
        batch["input_dataset_id"] = request["input_dataset_id"]
    if "output_dataset_id" in result:
        batch["output_dataset_id"] = result["output_dataset_id"]
    return batch


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
