"""New datasets: their rows kept at once where they are few, or near and small; else imported by a job."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final
from uuid import uuid4

from pydantic_core import to_json

from core.apis.datasets import RegisterDataset, RowsSource, SourceContent
from core.errors import Conflict, InvalidRequest, NotFound
from core.frame.callers import ANONYMOUS, Call, principal_of
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.routing.guard import Item, conflict_over
from core.routing.policy import owner_list
from core.services.datasets import keeping
from core.services.datasets.collection import DatasetCollection, missing
from core.services.datasets.formats.rules import RowBlock
from core.services.datasets.records import DATASET, SHOWN_BYTES, DatasetRecord, Segment, resource_of
from core.services.datasets.segments import write_segments
from core.services.datasets.sources import (
    NEAR,
    PARQUET,
    SMALL,
    check_groups,
    check_source,
    choose_provider,
    decode_source,
    encode_row,
    open_source,
)
from core.services.jobs.service import job_service
from core.stores.documents.port import Document, TallyExceeded

KIND: Final = "import"
"""The kind of job."""
SECONDS: Final = 24 * 3600.0
MOST_METADATA: Final = 64 * 1024
"""Bytes as JSON."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is to be registered: `record` has no rows yet."""

    dataset_id: str
    record: DatasetRecord
    rows: Sequence[JsonObject] | None
    uri: str | None


def read_registration(collection: DatasetCollection, request: RegisterDataset) -> Registration:
    """Raises InvalidRequest."""
    metadata = request.metadata or {}
    if len(to_json(metadata)) > MOST_METADATA:
        raise InvalidRequest(f"The metadata has more than {MOST_METADATA} bytes as JSON.", param="metadata")
    rows = request.source.rows if isinstance(request.source, RowsSource) else None
    uri = None if isinstance(request.source, RowsSource) else request.source.uri
    wish = request.provider_id or metadata.get("provider_id")
    if wish is not None and not isinstance(wish, str):
        raise InvalidRequest("`provider_id` must be a string.", param="metadata.provider_id")
    provider_id = choose_provider(collection, wish, uri)
    content = {"purpose": request.purpose, "source": request.source.model_dump(), "metadata": metadata}
    source: JsonObject = request.source.model_dump()
    if rows is not None and len(to_json(rows)) > SHOWN_BYTES:
        del source["rows"]
    record = DatasetRecord(
        provider_id=provider_id,
        purpose=request.purpose,
        source=source,
        metadata=metadata,
        folder=token_hex(16),
        digest=sha256(to_json({**content, "provider_id": provider_id})).hexdigest(),
        own_rows=None if rows is None else len(rows),
    )
    return Registration(request.dataset_id or f"dataset-{uuid4()}", record, rows, uri)


async def register(collection: DatasetCollection, request: RegisterDataset) -> Document:
    """See `core.apis.datasets.Datasets.register`."""
    registration = read_registration(collection, request)
    collection.guard.require("create", Item(DATASET, registration.dataset_id, collection.guard.owner))
    if registration.dataset_id in collection.parts.registries[DATASET](None).declarations:
        raise Conflict(f"`{registration.dataset_id}` is declared in the run config.", param="dataset_id")
    same = await _find_same(collection, registration)
    if same is not None:
        return same
    try:
        return await make(collection, registration)
    except Conflict:  # another request may have been first, with the same
        same = await _find_same(collection, registration)
        if same is None:
            raise
        return same


async def _find_same(collection: DatasetCollection, registration: Registration) -> Document | None:
    """The one that is there with this content; one whose import failed makes room.

    Raises:
        Conflict: something else is there.
    """
    try:
        document = await collection.get(registration.dataset_id)
    except NotFound:  # over another's nothing more is said, when it is made
        return None
    record = DatasetRecord.of(document)
    if record.digest != registration.record.digest:
        raise Conflict(
            f"`{document.id}` is registered already, with another source, purpose or metadata. Unregister it first, or choose another identifier.",
            param="dataset_id",
        )
    if record.status != "failed":
        return document
    collection.guard.require("delete", Item(DATASET, document.id, document.owner))
    await collection.remove(document)
    return None


async def make(collection: DatasetCollection, registration: Registration) -> Document:
    """The document, with its rows or the job that reads them.

    Raises:
        Conflict: the id is taken.
        InvalidRequest: no provider takes the source, or a row is none.
        LimitReached: the caller may keep no more.
    """
    provider = collection.provider(registration.record.provider_id)
    if hasattr(provider, "iterrows"):
        return await _make_elsewhere(collection, registration, provider)
    if registration.rows is not None:
        return await _make_with(collection, registration, _groups_of(registration))
    uri = str(registration.uri)
    check_source(provider, uri)
    near = await _open_near(collection, registration, uri)
    if near is not None:
        groups = check_groups(decode_source(near), registration.record.purpose)
        return await _make_with(collection, registration, groups)
    return await _make_with_job(collection, registration)


async def _groups_of(registration: Registration) -> AsyncIterator[Sequence[bytes]]:
    async def rows() -> AsyncIterator[RowBlock]:
        values = registration.rows or ()
        yield RowBlock(values, [encode_row(row, number) for number, row in enumerate(values, 1)])

    async for lines in check_groups(rows(), registration.record.purpose):
        yield lines


async def _open_near(collection: DatasetCollection, registration: Registration, uri: str) -> SourceContent | None:
    """What need not be left to a job: small, and of a format that every function reads."""
    if not uri.startswith(NEAR):
        return None
    content = await open_source(collection, registration.record.provider_id, uri)
    if content.size is None or content.size > SMALL:
        return None
    text = b"".join([chunk async for chunk in content.chunks])
    if text.startswith(PARQUET):
        return None

    async def chunks() -> AsyncIterator[bytes]:
        yield text

    return replace(content, chunks=chunks())


async def _make_with(
    collection: DatasetCollection, registration: Registration, groups: AsyncIterator[Sequence[bytes]]
) -> Document:
    """With these rows, which are kept first: what no record names is never read."""
    from core.services.datasets.drafts import drafting  # late: the import of a source has no use for it

    record = registration.record
    async with drafting(collection, registration.dataset_id, record.folder):
        segments = await write_segments(collection.blobs, record.folder, groups)
        return await create(collection, registration.dataset_id, with_segments(record, segments))


async def _make_with_job(collection: DatasetCollection, registration: Registration) -> Document:
    record, service = registration.record, job_service(collection.parts)
    request = {"dataset": registration.dataset_id, "folder": record.folder}
    job = service.draft(KIND, collection.call or Call(ANONYMOUS, internal=True), request, prefix=KIND, seconds=SECONDS)
    document = await create(collection, registration.dataset_id, replace(record, status="importing", job=job.id))
    async with undoing(partial(collection.remove, document)):
        await service.submit(job, data=None if collection.call is None else collection.call.provider_data)
    return document


async def _make_elsewhere(collection: DatasetCollection, registration: Registration, provider: Any) -> Document:  # noqa: ANN401
    """At a provider that keeps the rows itself, or has them already."""
    record = replace(registration.record, status="elsewhere", source=_whole_source(registration))
    document = await create(collection, registration.dataset_id, record)
    if hasattr(provider, "register_dataset"):
        async with undoing(partial(_forget, collection, document)):
            await collection.ask(provider.register_dataset(resource_of(document)))
    return document


def _whole_source(registration: Registration) -> JsonObject:
    if registration.rows is None:
        return registration.record.source
    return {**registration.record.source, "rows": list(registration.rows)}


async def _forget(collection: DatasetCollection, document: Document) -> None:
    with suppress(NotFound):
        await collection.mark(document)
        await collection.store.delete(document)


async def create(
    collection: DatasetCollection, dataset_id: str, record: DatasetRecord, *, holds: bool = True
) -> Document:
    """The document of a new dataset of the caller, or of nobody where that is the stack; without `holds` limits are not held against it.

    Raises:
        LimitReached: the caller may keep no more.
        Conflict: the id is taken.
        PermissionDenied: the caller may not create it.
    """
    limits = collection.limits
    counted = keeping.tally_id(owner_list(principal_of(collection.call))) if keeping.counts(limits) else ""
    tally = keeping.change(counted, datasets=1, size=record.bytes, limits=limits if holds else None)
    try:
        return await collection.documents.create(dataset_id, replace(record, counted=counted).body(), tally=tally)
    except TallyExceeded as exceeded:
        raise keeping.refusal(exceeded) from None
    except Conflict:
        raise conflict_over(dataset_id) from None


def with_segments(record: DatasetRecord, segments: Sequence[Segment]) -> DatasetRecord:
    return replace(record, status="ready", segments=[segment.body() for segment in segments])


def require_there(document: Document | None, dataset_id: str) -> Document:
    """Raises NotFound for one that has gone meanwhile."""
    if document is None:
        raise missing(dataset_id)
    return document
