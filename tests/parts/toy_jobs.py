"""A kind of job that a test makes: rows are numbers, and what one comes to is asked of whatever the test has."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
import json

from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.stores.blobs.port import BlobStore

type Ask = Callable[[Row, Call], Awaitable[Result]]

OUTPUT = "output.jsonl"


def echo(row: Row) -> Result:
    return Result(json.dumps({"row": row.index}).encode(), tokens={"m": 2})


async def answer(row: Row, call: Call) -> Result:
    call.add_tokens(2)
    return echo(row)


def fail(row: Row, failure: ApiError) -> bytes:
    return json.dumps({"row": row.index, "error": failure.code}).encode()


def row_kind(ask: Ask = answer, *, name: str = "toy", per_shard: int = 100, at_once: int = 20) -> JobKind:
    """Its request is `{"rows": n}`; its result names the blob with a line per row."""
    work = RowWork(_read, ask, fail, at_once=at_once)

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        rows: int = run.job.request["rows"]
        return [Slice({"first": first}, min(per_shard, rows - first)) for first in range(0, rows, per_shard)]

    return JobKind(name, prepare, work.work, finish, work.abandon)


async def _read(run: ShardRun) -> Sequence[Row]:
    first: int = run.shard.source["first"]
    return [Row(first + number, {"n": first + number}) for number in range(run.shard.rows)]


async def finish(run: FinishRun) -> JsonObject:
    lines = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal lines
        async for _, _, line in run.lines():
            lines += 1
            yield line + b"\n"

    await run.files.put(OUTPUT, content())
    return {"lines": lines, "file": OUTPUT}


async def output_of(blobs: BlobStore, job_id: str) -> list[JsonObject]:
    """The lines of the result, in their order."""
    content = b"".join([chunk async for chunk in blobs.read(f"jobs/{job_id}/{OUTPUT}")])
    return [json.loads(line) for line in content.splitlines()]
