"""Batches of files: their records at once, their ingest by a job, their counts by what each record's write adds to them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import uuid4

from core.apis.answers.vector_stores import FileBatch, Status, VectorStoreFileList
from core.apis.vector_stores import ListFilesQuery, NewFileBatch, NewStoreFile
from core.errors import InvalidRequest, NotFound, StaleRevision
from core.frame.callers import ANONYMOUS, PROVIDER_DATA_HEADERS, Call
from core.platform.concurrency import run_all
from core.services.jobs.service import job_service
from core.services.vector_stores.adding import KIND, FileAdding
from core.services.vector_stores.file_pages import page_of, show_page
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.file_shapes import ask_again
from core.services.vector_stores.ingest.engine import Ingest, wants_work
from core.services.vector_stores.records import BATCHES, BatchRecord, FileRecord
from core.services.vector_stores.shapes import count_files
from core.stores.documents.port import Document, Order

AT_ONCE: Final = 8  # files that are put into the store together
LATE: Final = 60.0
"""Seconds after which a batch without a job has lost whoever made it."""


async def create(files: StoreFiles, request: NewFileBatch) -> FileBatch:
    """Its files are in the store when this returns, as far as there is time, and a job takes them in.

    Raises:
        InvalidRequest: nothing was made: a file of it cannot be added like this, or there are secrets that a job cannot keep.
        StateUnavailable: there is no place for jobs.
    """
    stores, entries = files.stores, _entries(request)
    for entry in entries:
        FileAdding(files).check(entry)
    if stores.call is not None and stores.call.provider_data:
        names = " or ".join(PROVIDER_DATA_HEADERS)
        raise InvalidRequest(f"A batch is taken in by a job, which keeps no secrets: send it without {names}.")
    job_service(stores.parts)
    record = BatchRecord([entry.model_dump(exclude_none=True) for entry in entries])
    batch = Document(
        BATCHES,
        f"batch_{uuid4()}",
        record.body(),
        parent=files.store.id,
        owner=stores.guard.owner,
        created=int(stores.clock()),
    )
    return await _show(files, await _begin(files, await stores.store.create(batch)))


async def show(files: StoreFiles, batch_id: str) -> FileBatch:
    """The batch as it is now."""
    return await _show(files, await revive(files, batch_id))


async def revive(files: StoreFiles, batch_id: str) -> Document:
    """The batch; if its maker died before it had a job, and its owner looks, it gets one."""
    batch = await _find(files, batch_id)
    record = BatchRecord.read(batch.body)
    is_late = batch.created + LATE < files.stores.clock() and batch.owner == files.stores.guard.owner
    return await _begin(files, batch) if is_late and not record.job and not record.cancelled else batch


async def place_rest(files: StoreFiles, batch: Document, until: float | None = None) -> Document:
    """Put the files into the store that are not there yet, until so late in the loop's time; the batch says how many are."""
    adding, record, now = FileAdding(files), BatchRecord.read(batch.body), asyncio.get_running_loop().time
    placed = record.placed
    while placed < len(record.entries) and (until is None or now() < until):
        group = record.entries[placed : placed + AT_ONCE]
        additions = [adding.check(NewStoreFile.model_validate(entry)) for entry in group]
        await run_all([partial(adding.place, addition, batch=batch.id) for addition in additions], at_once=AT_ONCE)
        placed += len(group)
    return await _change(files, batch, lambda record: replace(record, placed=max(record.placed, placed)))


async def list_files(files: StoreFiles, batch_id: str, query: ListFilesQuery) -> VectorStoreFileList:
    """Those that are still of the batch, in its order, or from its last on."""
    ids = BatchRecord.read((await _find(files, batch_id)).body).files

    async def walk(order: Order, after: str | None) -> AsyncGenerator[Document]:
        in_order = ids if order == "asc" else ids[::-1]
        if after is not None and after not in in_order:
            raise NotFound(after)
        for file_id in in_order[0 if after is None else in_order.index(after) + 1 :]:
            document = await files.get(file_id)
            if document is not None and document.body["batch"] == batch_id:
                yield document

    documents, has_more = await page_of(walk, query)
    return show_page(documents, has_more=has_more)


async def cancel(files: StoreFiles, batch_id: str) -> FileBatch:
    """Of its files, those that are in progress are not taken in any more; what was put of them is removed.

    Raises:
        InvalidRequest: it has ended.
    """
    status = (await _show(files, await _find(files, batch_id)))["status"]
    if status != "in_progress":
        message = f"The batch `{batch_id}` has ended, with the status `{status}`: there is nothing to cancel."
        raise InvalidRequest(message, param="batch_id")
    batch = await _change(files, await _find(files, batch_id), lambda record: replace(record, cancelled=True))
    record, service = BatchRecord.read(batch.body), job_service(files.stores.parts)
    if record.job and (job := await service.jobs.get(record.job)) is not None:
        await service.cancel(job)
    await _cancel_files(files, batch)
    return await _show(files, batch)


async def _cancel_files(files: StoreFiles, batch: Document) -> None:
    ids = BatchRecord.read(batch.body).files
    await run_all([partial(cancel_file, files, batch.id, file_id) for file_id in ids], at_once=AT_ONCE)


async def cancel_file(files: StoreFiles, batch_id: str, file_id: str) -> None:
    """Cancel a file of the batch that is in progress; whoever has it, or else this, removes its chunks."""

    def change(before: FileRecord | None) -> FileRecord | None:
        if before is None or before.batch != batch_id or before.status != "in_progress" or before.deleting:
            return None
        return replace(before, status="cancelled", embedded=0)

    document = await files.change(file_id, change)
    record = FileRecord() if document is None else FileRecord.read(document.body)
    if record.status == "cancelled" and wants_work(record) and not record.is_held(files.stores.clock()):
        await FileAdding(files).ingest({file_id: Ingest(files, file_id)})


async def _begin(files: StoreFiles, batch: Document) -> Document:
    """Make the records of the files and the job; again, it makes what is missing."""
    stores = files.stores
    batch = await place_rest(files, batch, FileAdding(files).limit())
    request = {"store": files.store.id, "batch": batch.id, "files": BatchRecord.read(batch.body).files}
    owner = stores.call or Call(ANONYMOUS)
    job = await job_service(stores.parts).create(KIND, owner, request, key=batch.id, prefix="ingest")
    batch = await _change(files, batch, lambda record: replace(record, job=job.id))
    if BatchRecord.read(batch.body).cancelled:  # meanwhile
        await _cancel_files(files, batch)
    return batch


async def _change(files: StoreFiles, batch: Document, change: Callable[[BatchRecord], BatchRecord]) -> Document:
    """The batch with the change, whoever writes at the same time; raises NotFound where it is gone."""
    while True:
        before = BatchRecord.read(batch.body)
        after = change(before)
        if after == before:
            return batch
        try:
            return await files.stores.store.put(batch, after.body())
        except StaleRevision:
            batch = await _find(files, batch.id)


def _entries(request: NewFileBatch) -> list[NewStoreFile]:
    if (request.files is None) == (request.file_ids is None):
        raise InvalidRequest(
            "Name the files as `file_ids`, or as `files` each with its own attributes.", param="file_ids"
        )
    if request.files is not None:
        ids = [entry.file_id for entry in request.files]
        if len(set(ids)) < len(ids):
            raise InvalidRequest("A file is in `files` twice.", param="files")
        return request.files
    common = {"attributes": request.attributes, "chunking_strategy": request.chunking_strategy}
    every = dict.fromkeys(request.file_ids or ())
    return [NewStoreFile.model_validate({"file_id": file_id, **common}) for file_id in every]


async def _find(files: StoreFiles, batch_id: str) -> Document:
    document = await files.stores.store.get(BATCHES, batch_id)
    if document is None or document.parent != files.store.id:
        raise NotFound(f"There is no batch `{batch_id}` in the vector store `{files.store.id}`.", param="batch_id")
    return document


async def _show(files: StoreFiles, batch: Document) -> FileBatch:
    """What has no record yet is in progress."""
    record, stores = BatchRecord.read(batch.body), files.stores
    counts = count_files(await stores.store.tallies(BATCHES, batch.id))
    ended = counts["completed"] + counts["failed"] + counts["cancelled"]
    total = len(record.entries)
    in_progress = 0 if record.cancelled else max(0, total - ended)
    cancelled = total - counts["completed"] - counts["failed"] if record.cancelled else counts["cancelled"]
    counts["in_progress"], counts["cancelled"], counts["total"] = in_progress, cancelled, total
    status: Status = "failed" if counts["failed"] == total else "completed"
    if record.cancelled or in_progress:
        status = "cancelled" if record.cancelled else "in_progress"
    if in_progress and not record.cancelled:
        ask_again(stores.call, batch.created, stores.clock())
    return {
        "id": batch.id,
        "object": "vector_store.files_batch",
        "created_at": batch.created,
        "vector_store_id": batch.parent,
        "status": status,
        "file_counts": counts,
    }
