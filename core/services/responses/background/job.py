"""The kind of job `response`: one row, which is the run. How far it is its log says, so that it may be worked on any number of times."""

from collections.abc import Sequence
from functools import cache
import json
from typing import TYPE_CHECKING, Final

from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.jobs.engine import SOURCE
from core.services.jobs.kind import FinishRun, JobKind, PrepareRun, Slice
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.stores.jobs.port import Job

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys

KIND: Final = "response"
TOLD: Final = frozenset({"completed", "failed", "cancelled", "incomplete"})
SECONDS: Final = 24 * 3600.0
"""That a run may take, with all that it waits for a worker, or for its quota's next window."""


def response_job(parts: Parts) -> JobKind:
    """Its request is `{"response": id}`; its result says how that ended."""

    @cache
    def data_keys() -> "DataKeys":
        from core.services.sealing.sealer import keys_of

        return keys_of(parts, "responses")

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        return [Slice({"response": run.job.request["response"]}, 1)]

    async def work(run: ShardRun) -> None:
        from core.services.responses.background.working import Worker  # late, as below: a worker may have other jobs

        await Worker(parts, data_keys, run).work()

    async def abandon(run: ShardRun, failure: ApiError) -> None:
        run.record(0, json.dumps({"error": failure.message}).encode(), ok=False, tokens={})

    async def finish(run: FinishRun) -> JsonObject:
        from core.services.responses.background.ending import end_job

        lines = [json.loads(line) async for _, _, line in run.lines()]
        reason = next((line["error"] for line in lines if "error" in line), run.job.reason)
        status = await end_job(parts, Call(run.job.principal, SOURCE), run.job, reason)
        return {"response": run.job.request["response"], "status": status}

    async def ended(job: Job) -> None:
        from core.services.responses.background.ending import end_job
        from core.services.webhooks.announcing import announce

        response_id = job.request["response"]
        status = (job.result or {}).get("status") or await end_job(parts, Call(job.principal, SOURCE), job, job.reason)
        if status in TOLD:
            await announce(parts, job, f"response.{status}", response_id)

    return JobKind(KIND, prepare, work, finish, abandon, ended)
