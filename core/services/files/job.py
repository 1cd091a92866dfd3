"""The kinds of job of files: the parts of a large upload as one file, and a deleted file out of vector stores."""

from collections.abc import Sequence
import json

from core.errors import ApiError, InvalidRequest
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.files.assembly import assemble, give_up
from core.services.files.uses import take_out
from core.services.jobs.kind import FinishRun, JobFailed, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts


def file_assembly(parts: Parts) -> JobKind:
    """Its request is `{"upload"}`; its result says what became of the upload's file."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        return [Slice({"upload": run.job.request["upload"]}, 1)]

    async def work(run: ShardRun) -> None:
        try:
            status = await assemble(parts, run.job.request["upload"])
        except InvalidRequest as refusal:
            raise JobFailed(refusal.message) from refusal
        run.record(0, json.dumps({"status": status}).encode(), ok=True, tokens={})

    async def abandon(run: ShardRun, failure: ApiError) -> None:
        run.record(0, json.dumps({"status": "error", "reason": failure.message}).encode(), ok=False, tokens={})

    async def finish(run: FinishRun) -> JsonObject:
        upload_id = run.job.request["upload"]
        lines = [json.loads(line) async for _, _, line in run.lines()]
        result = lines[0] if lines else {"status": "error"}
        if run.job.outcome is not None or result["status"] == "error":
            await give_up(parts, upload_id, result.get("reason") or run.job.reason or f"The job was {run.job.outcome}.")
        return {"upload": upload_id, **result}

    return JobKind("file_assembly", prepare, work, finish, abandon)


def file_removal(parts: Parts) -> JobKind:
    """Its request is `{"file"}`; its result is how many stores that was taken out of."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        return [Slice({"file": run.job.request["file"]}, 1)]

    async def read(run: ShardRun) -> Sequence[Row]:
        return [Row(0, run.job.request["file"])]

    async def ask(row: Row, call: Call) -> Result:
        del call
        return Result(json.dumps({"stores": await take_out(parts, row.value)}).encode())

    async def finish(run: FinishRun) -> JsonObject:
        return {"file": run.job.request["file"], "failed": run.counts.failed}

    work = RowWork(read, ask)
    return JobKind("file_removal", prepare, work.work, finish, work.abandon)
