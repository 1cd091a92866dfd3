"""The kind of job `vector_ingest`: a row is a file, and its record says how far it is, so that a row may be asked any number of times."""

from collections.abc import Mapping, Sequence
import json
import time
from typing import Final

from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.rows import RowWork
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.engine import Ingest
from core.services.vector_stores.records import BATCHES, STORES
from core.services.vector_stores.stores import StoreCollection

PER_SHARD: Final = 20
AT_ONCE: Final = 3
NOT_DONE: Final = "The job that was to take this file in ended before: {reason} Add the file again."


def vector_ingest(parts: Parts) -> JobKind:
    """Its request is `{"store", "files": [ids], "batch"}`, of which `batch` may be missing; its result counts the files."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        await _place_rest(parts, run)
        count = len(run.job.request["files"])
        return [Slice({"first": n}, min(PER_SHARD, count - n)) for n in range(0, count, PER_SHARD)]

    async def read(run: ShardRun) -> Sequence[Row]:
        request, first = run.job.request, run.shard.source["first"]
        ids = request["files"][first : first + run.shard.rows]
        return [Row(first + place, {"store": request["store"], "file": id_}) for place, id_ in enumerate(ids)]

    async def ask(row: Row, call: Call) -> Result:
        files = await _files_of(parts, row.value["store"], call)
        if files is None:
            return Result(_line(row, "gone"))
        try:
            files.stores.guard.require("update", files.stores.item(files.store))
            files.stores.require_current(files.store)
        except ApiError as refusal:
            await Ingest(_as_stack(parts, files), row.value["file"]).give_up("failed", "server_error", refusal.message)
        ingest = Ingest(files, row.value["file"])
        record = await ingest.run()
        status = "gone" if record is None else record.status
        tokens = _tokens(
            files.store.record.embedding_model, call, {} if ingest.contexts is None else ingest.contexts.tokens
        )
        call.add_tokens(0)
        return Result(_line(row, status), ok=status in {"completed", "gone"}, tokens=tokens)

    async def finish(run: FinishRun) -> JsonObject:
        return await _finish(parts, run)

    work = RowWork(read, ask, at_once=AT_ONCE)
    return JobKind("vector_ingest", prepare, work.work, finish, work.abandon)


def _tokens(embedding_model: str, call: Call, of_contexts: Mapping[str, int]) -> dict[str, int]:
    """What the call used, by model: what did not make contexts made vectors."""
    rest = (call.tokens or 0) - sum(of_contexts.values())
    return {model: count for model, count in {embedding_model: rest, **of_contexts}.items() if count}


async def _place_rest(parts: Parts, run: PrepareRun) -> None:
    """Of a batch, put the files into the store that there was no time for when it was made."""
    request = run.job.request
    files = await _files_of(parts, request["store"], run.call)
    batch = None if files is None else await files.stores.store.get(BATCHES, request.get("batch", ""))
    if files is not None and batch is not None and not batch.body["cancelled"]:
        from core.services.vector_stores.batches import place_rest

        await place_rest(files, batch)


async def _finish(parts: Parts, run: FinishRun) -> JsonObject:
    """What is still in progress has failed, or was cancelled with the job."""
    reasons: dict[int, str] = {}
    async for _, _, line in run.lines():
        entry = json.loads(line)
        if "error" in entry:
            reasons[entry["index"]] = entry["error"]["message"]
    request, files = run.job.request, await _files_of(parts, run.job.request["store"], None)
    if files is not None:
        status = "cancelled" if run.job.outcome == "cancelled" else "failed"
        for place, file_id in enumerate(request["files"]):
            if run.job.outcome is None and place not in reasons:
                continue
            message = NOT_DONE.format(reason=reasons.get(place, "there was no more time."))
            await Ingest(files, file_id).give_up(status, "server_error", message)
    return {"store": request["store"], "files": run.counts.completed + run.counts.failed, "failed": run.counts.failed}


async def _files_of(parts: Parts, store_id: str, call: Call | None) -> StoreFiles | None:
    """Of a store that is there, or is being deleted."""
    stores = StoreCollection(parts, call, clock=time.time)
    document = await stores.store.get(STORES, store_id)
    return None if document is None else StoreFiles(stores, stores.read(document))


def _as_stack(parts: Parts, files: StoreFiles) -> StoreFiles:
    return StoreFiles(StoreCollection(parts, None, clock=time.time), files.store)


def _line(row: Row, status: str) -> bytes:
    return json.dumps({"index": row.index, "file": row.value["file"], "status": status}).encode()
