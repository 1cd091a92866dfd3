"""A file of one store in another: its record there, and its ingest from the chunks that the first has."""

from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from core.errors import InvalidRequest
from core.services.vector_stores.adding import changed_attributes
from core.services.vector_stores.attributes import check_attributes
from core.services.vector_stores.copying.ends import Ends
from core.services.vector_stores.ingest.engine import Ingest
from core.services.vector_stores.ingest.lease import WAIT
from core.services.vector_stores.ingest.origin import FileOrigin, SourceInProgress
from core.services.vector_stores.records import FileRecord
from core.services.vector_stores.stores import missing
from core.stores.documents.port import Document, StaleDocument

GONE: Final = "gone"

type Outcome = Literal["completed", "failed", "cancelled", "in_progress", "gone"]


async def copy_file(ends: Ends, file_id: str) -> tuple[Outcome, FileRecord]:
    """What became of the file in the target: `gone` is one that was taken out of a store meanwhile.

    Raises:
        NotFound: the target is being deleted.
        ApiError: it failed for now, and may be tried again.
    """
    document = await ends.source.get(file_id)
    if document is not None and not document.body["deleting"]:
        await _place(ends, file_id, document)
    record = await _ingest(ends, file_id)
    return (GONE, FileRecord()) if record is None or record.deleting else (record.status, record)


async def _ingest(ends: Ends, file_id: str) -> FileRecord | None:
    document = await ends.target.get(file_id)
    return None if document is None else await Ingest(ends.target, file_id).run()


async def _place(ends: Ends, file_id: str, document: Document) -> None:
    """Make the record in the target what the source has, where it is something else; then a copy has begun."""
    record, stores, target = FileRecord.read(document.body), ends.stores, ends.target
    if record.status == "in_progress":
        raise SourceInProgress(ends.source.store.id, file_id)
    origin = FileOrigin(ends.source, file_id, document)
    refusal = _refusal_of(ends, record)

    def place(before: FileRecord | None) -> FileRecord | None:
        if record.status != "completed" or refusal is not None:
            # What could not be taken in there is the same here; what was taken in here by itself stays.
            return _same_end(record, refusal) if before is None else None
        if before is None:
            return replace(origin.begin(FileRecord()), until=stores.clock() + WAIT)
        if not before.deleting and before.status == "in_progress":
            return None
        if not before.deleting and before.status == "completed" and _has_same_chunks(before, record):
            same = changed_attributes(before, record.attributes)
            return None if before.attributes == record.attributes else replace(same, until=stores.clock() + WAIT)
        return replace(origin.begin(before), batch="", tries=0, until=stores.clock() + WAIT, holder="")

    placed = await target.change(file_id, place, created=document.created)
    if placed is None or await stores.is_there(target.store):
        return
    with suppress(StaleDocument):  # whoever removes the store has seen it
        await target.remove(placed)
    raise missing(target.store.id)


def _has_same_chunks(copy: FileRecord, record: FileRecord) -> bool:
    """Whether a copy that is whole has the texts of the file as it is in the source: bytes of a file never change."""
    return (copy.chunking, copy.filename, copy.next) == (record.chunking, record.filename, record.next)


def _same_end(record: FileRecord, refusal: str | None) -> FileRecord:
    same = FileRecord(
        status=record.status,
        last_error=record.last_error,
        attributes=record.attributes,
        chunking=record.chunking,
        filename=record.filename,
    )
    if refusal is None:
        return same
    return replace(same, status="failed", last_error={"code": "invalid_file", "message": refusal})


def _refusal_of(ends: Ends, record: FileRecord) -> str | None:
    """Why the target's provider does not keep the file's attributes; None where it does."""
    store = ends.target.store
    try:
        check_attributes(dict(record.attributes), ends.stores.provider(store).capabilities.filtered_bytes)
    except InvalidRequest as refusal:
        return refusal.message
    return None
