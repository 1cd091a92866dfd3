"""A kind of job that a test makes: rows are numbers, and what one comes to is asked of whatever the test has."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
import json
from pathlib import Path

from core.errors import ApiError, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.stores.blobs.port import Blob, PresignedRequest

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


class FolderBlobs:
    """A BlobStore in a folder, without what jobs make no use of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{id(content)}~")
        with part.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                async for chunk in content:
                    file.write(chunk)
        part.rename(path)
        return Blob(key, path.stat().st_size, media_type)

    async def head(self, key: str) -> Blob | None:
        path = self.folder / key
        return Blob(key, path.stat().st_size) if path.exists() else None

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        try:
            content = (self.folder / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(key) from None
        yield content[start:stop]

    async def delete(self, *keys: str) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    async def delete_below(self, prefix: str) -> int:
        paths = [path for path in (self.folder / prefix).rglob("*") if path.is_file()]
        for path in paths:
            path.unlink()
        return len(paths)

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        return None

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        return None

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        return None
