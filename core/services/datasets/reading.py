"""The rows of a dataset: counted, and read by where they are."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Any, Final

from core.apis.datasets import ImportUnderWay
from core.errors import InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.services.datasets.collection import DatasetCollection, missing
from core.services.datasets.records import DATASET, DatasetRecord, resource_of
from core.services.datasets.segments import read_lines
from core.services.jobs.service import job_service
from core.stores.documents.port import Document
from core.stores.jobs.port import ENDED

MOST_BYTES: Final = 5 * 1024 * 1024
"""Of a page, as it is in an answer of Lambda."""
WAIT_SECONDS: Final = 5.0
"""For an import that is under way."""
RETRY_SECONDS: Final = 5
POLL_SECONDS: Final = 0.1
LOST_SECONDS: Final = 60.0
"""After which a dataset whose job is nowhere was left by who registered it."""
TRIES: Final = 5
"""Of a read, while segments are put together."""
NEVER_BEGUN: Final = "it was never begun."


async def open_dataset(
    collection: DatasetCollection, dataset_id: str, *, wait: float = WAIT_SECONDS
) -> tuple[Document, DatasetRecord]:
    """The dataset once its rows are there; raises as `core.apis.datasets.DatasetIO.iterrows`."""
    patience = wait
    while True:
        document = await collection.get(dataset_id)
        record = DatasetRecord.of(document)
        if record.status == "failed":
            raise InvalidRequest(
                f"The rows of dataset `{dataset_id}` could not be imported: {record.error} Register it again once that is mended, or upload the file and register its id as the uri.",
                param="dataset_id",
            )
        if record.status != "importing":
            return document, record
        if patience <= 0:
            await _check_job(collection, document, record)
            raise ImportUnderWay(dataset_id, record.job, retry_after=RETRY_SECONDS)
        await sleep(POLL_SECONDS)
        patience -= POLL_SECONDS


async def _check_job(collection: DatasetCollection, document: Document, record: DatasetRecord) -> None:
    """Note it where the job has ended without a word, or never was: who registered it may have died over it."""
    from core.services.datasets.importing import fail

    service = job_service(collection.parts)
    job = await service.jobs.get(record.job)
    if job is None and collection.clock() - document.created > LOST_SECONDS:
        await fail(collection, document.id, record.job, NEVER_BEGUN)
    elif job is not None and job.status in ENDED:
        await fail(collection, document.id, record.job, job.reason or f"the job is {job.status}.")
    elif job is not None:
        await service.progress(job)  # its ticks begin again where it is overdue


async def read_rows(
    collection: DatasetCollection, document: Document, start: int, count: int | None, most_bytes: int = MOST_BYTES
) -> tuple[list[JsonObject], bool]:
    """At most `count` rows from `start`, None is all that `most_bytes` hold, and whether there are more.

    Raises as `core.apis.datasets.DatasetIO.iterrows`.
    """
    record = DatasetRecord.of(document)
    if record.status == "elsewhere":
        provider = collection.provider(record.provider_id)
        rows, more = await collection.ask(provider.iterrows(resource_of(document), start, count))
        kept = list(rows)[:count]  # some give more than they are asked for
        return kept, more or len(kept) < len(rows)

    async def read(record: DatasetRecord) -> tuple[list[JsonObject], bool]:
        most = record.rows if count is None else count
        lines = await read_lines(collection.blobs, record.parts(), start, most, most_bytes, weigh=weigh_row)
        return [read_json(line) for line in lines], start + len(lines) < record.rows

    return await _with_newest(collection, document, read)


def weigh_row(line: bytes) -> int:
    """Bytes in an answer of Lambda, which is JSON with ours in it as a text: quotes and backslashes are two, and a comma follows."""
    return len(line) + line.count(b'"') + line.count(b"\\") + 1


async def _with_newest[T](
    collection: DatasetCollection, document: Document, read: Callable[[DatasetRecord], Awaitable[T]]
) -> T:
    """Read once more where segments were put together, or taken away, while it was read."""
    newest: Document | None = document
    for _ in range(TRIES):
        if newest is None:
            break
        try:
            return await read(DatasetRecord.of(newest))
        except NotFound:
            newest = await collection.store.get(DATASET, document.id)
    raise missing(document.id)


async def whole_source(collection: DatasetCollection, document: Document) -> dict[str, Any]:
    """The source as it was registered; of more rows than one answer holds, none."""
    record = DatasetRecord.of(document)
    if record.own_rows is None or "rows" in record.source or record.status != "ready":
        return record.source
    rows, _ = await read_rows(collection, document, 0, record.own_rows)
    return {**record.source, "rows": rows} if len(rows) == record.own_rows else record.source
