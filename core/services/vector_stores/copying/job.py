"""The kind of job `vector_copy`: a row is a file, or some chunks of vector-io, as they were listed when it began.

What a row comes to follows from the two stores alone, so that it may be done any number of times, by this job or by the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
import json
import time
from typing import Any, Final
from uuid import uuid4

from core.apis.vector_io import VectorIndex, VectorIOProvider
from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobFailed, JobFiles, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.services.vector_stores.copying.chunks import copy_chunks, list_keys
from core.services.vector_stores.copying.ends import Ends
from core.services.vector_stores.copying.files import GONE, copy_file
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.engine import Ingest
from core.services.vector_stores.native import OWN
from core.services.vector_stores.records import STORES, FileRecord, file_id_of
from core.services.vector_stores.removal import remove_rest
from core.services.vector_stores.stores import StoreCollection
from core.stores.jobs.port import Shard

KIND: Final = "vector_copy"
SECONDS: Final = 7 * 24 * 3600.0
AT_ONCE: Final = 3
CHUNKS: Final = 64  # of a row
FEW_FILES: Final = 20  # of a shard
FEW_ROWS: Final = 4  # of chunks, of a shard
SHARDS: Final = 500
"""Of a copy that would have more of files, or of chunks, the shards are larger."""
COUNTS: Final = ("files", "files_gone", "files_failed", "chunks", "native_chunks", "native_chunks_failed")
SHOWN: Final = 20  # failures of the result
NOT_DONE: Final = "The copy ended before: {reason} Copy the vector store again."
NO_STORE: Final = "vector_store_gone: the vector store `{store}`, which was to be filled, is gone."


def vector_copy(parts: Parts) -> JobKind:
    """Its request is `request_of(...)`; its result counts files and chunks."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        ends = await Ends.open(parts, run.job.request, run.call)
        files = [file_id_of(document) async for document in ends.source.walk("asc", None)]
        keys = await list_keys(ends.stores, ends.source.store)
        # With the parts of the job, it goes when that has ended. By a name of its own: who prepares at the same time has another.
        name = f"parts/list-{uuid4().hex}"
        slices = [*slices_of("files", files, 1, FEW_FILES), *slices_of("chunks", keys, CHUNKS, FEW_ROWS, _size(files))]
        await run.files.put(name, "".join(f"{entry}\n" for entry in (*files, *keys)).encode())
        return [replace(part, source=part.source | {"list": name}) for part in slices]

    async def read(run: ShardRun) -> Sequence[Row]:
        name, request = run.shard.source["of"], run.job.request
        entries = await _entries(JobFiles(run.blobs, run.job.id), run.shard)
        size = CHUNKS if name == "chunks" else 1
        groups = [entries[start : start + size] for start in range(0, len(entries), size)]
        return [Row(place, {"request": request, name: group}) for place, group in enumerate(groups)]

    async def ask(row: Row, call: Call) -> Result:
        ends = await Ends.open(parts, row.value["request"], call)
        if "chunks" in row.value:
            counts = await copy_chunks(ends, row.value["chunks"])
            failures = [_failure("chunks", key, message) for key, message in counts.failures.items()]
            line: JsonObject = {"native_chunks": counts.copies, "failures": failures}
        else:
            line = await _copy(ends, row.value["files"][0])
        tokens = {ends.target.store.record.embedding_model: call.tokens} if call.tokens else {}
        call.add_tokens(0)
        return Result(json.dumps(line).encode(), ok=not line.get("failures"), tokens=tokens)

    async def finish(run: FinishRun) -> JsonObject:
        return await _finish(parts, run)

    work = RowWork(read, ask, _fail, at_once=AT_ONCE)
    return JobKind(KIND, prepare, work.work, finish, work.abandon)


def slices_of(name: str, entries: Sequence[str], size: int, few: int, start: int = 0) -> Iterator[Slice]:
    """Of rows of `size` entries, `few` a shard, or more where that would make too many shards.

    The list of a job has an entry a line, these from the byte `start` on: a shard knows which bytes its own are, so that it
    is small, since all shards are read by whoever looks at a job.
    """
    rows = max(few, -(-len(entries) // (size * SHARDS)))
    for first in range(0, len(entries), rows * size):
        part = entries[first : first + rows * size]
        stop = start + _size(part)
        yield Slice({"of": name, "start": start, "stop": stop}, -(-len(part) // size))
        start = stop


def _size(entries: Sequence[str]) -> int:
    """Bytes of their lines: all of them are ASCII."""
    return sum(map(len, entries)) + len(entries)


async def _entries(files: JobFiles, shard: Shard) -> list[str]:
    source = shard.source
    content = [part async for part in files.read(source["list"], start=source["start"], stop=source["stop"])]
    return b"".join(content).decode().split("\n")[:-1]


async def _copy(ends: Ends, file_id: str) -> JsonObject:
    """The line of a file's row: with `failures` where it is not in the target as it is in the source."""
    status, record = await copy_file(ends, file_id)
    if status == GONE:
        return {"files_gone": 1}
    line: JsonObject = {"files": 1, "chunks": record.next}
    if status == "completed":
        return line
    document = await ends.source.get(file_id)
    if document is not None and document.body["status"] == status:
        return line
    message = (record.last_error or {}).get("message") or f"Its status is `{status}`."
    return {"failures": [_failure("files", file_id, message)]}


def _fail(row: Row, failure: ApiError) -> bytes:
    name = "files" if "files" in row.value else "chunks"
    return json.dumps({"failures": [_failure(name, entry, failure.message) for entry in row.value[name]]}).encode()


def _failure(name: str, entry: str, message: str) -> JsonObject:
    if name == "files":
        return {"file_id": entry, "message": message}
    return {"chunk_id": entry.removeprefix(OWN), "message": message}


async def _finish(parts: Parts, run: FinishRun) -> JsonObject:
    """The sums; and what is still in progress has failed, or was cancelled with the job."""
    request = run.job.request
    result: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    failures: list[JsonObject] = []
    reasons: dict[tuple[int, int], str] = {}  # "" of a row that is whole
    async for number, position, content in run.lines():
        line = json.loads(content)
        news: list[JsonObject] = line.pop("failures", [])
        reasons[number, position] = news[0]["message"] if news else ""
        for name, count in line.items():
            result[name] += count
        result["files_failed"] += sum("file_id" in failure for failure in news)
        result["native_chunks_failed"] += sum("chunk_id" in failure for failure in news)
        failures += news[: SHOWN - len(failures)]
    stores = StoreCollection(parts, None, clock=time.time)
    document = await stores.store.get(STORES, request["store"])
    if document is not None:
        await _give_up(StoreFiles(stores, stores.read(document)), run, reasons)
    if not await _keep_target(stores, request) and run.job.outcome is None:
        raise JobFailed(NO_STORE.format(store=request["store"]))
    return {"from": request["from"], "store": request["store"], **result, "failures": failures}


async def _keep_target(stores: StoreCollection, request: JsonObject) -> bool:
    """False for one that was deleted: then nothing stays of what was put meanwhile."""
    document = await stores.store.get(STORES, request["store"])
    if document is not None and document.body["deleting"]:
        await remove_rest(stores, document)
        return False
    if document is not None and stores.read(document).record.provider_resource_id == request["index"]:
        return True
    provider: VectorIOProvider | None = stores.parts.providers("vector_io").get(request["provider_id"])
    if provider is not None:
        await stores.ask(provider.drop(VectorIndex(request["store"], request["index"], 0)))
    return False


async def _give_up(files: StoreFiles, run: FinishRun, reasons: Mapping[tuple[int, int], str]) -> None:
    """End the copies that nobody goes on with: of rows that failed, or were not done."""
    status = "cancelled" if run.job.outcome == "cancelled" else "failed"
    for shard in run.shards:
        is_whole = all(reasons.get((shard.number, position)) == "" for position in range(shard.rows))
        if shard.source["of"] != "files" or is_whole:
            continue
        for position, file_id in enumerate(await _entries(run.files, shard)):
            reason = reasons.get((shard.number, position), "there was no more time.")
            document = await files.get(file_id) if reason else None
            origin = None if document is None else FileRecord.read(document.body).origin
            if origin is not None and origin["store"] == run.job.request["from"]:
                await Ingest(files, file_id).give_up(status, "server_error", NOT_DONE.format(reason=reason))
