"""A file that is copied from another store: its chunks as that one has them, all of one version of the file there.

A store's record of a file changes before its chunks do. So what was read between two looks at the record that are alike is whole.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Self

from pydantic_core import to_json

from core.errors import InvalidRequest, NotFound, PermissionDenied, ProviderUnavailable
from core.frame.types import JsonObject
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.failures import IngestFailed
from core.services.vector_stores.ingest.lease import RecordChanged
from core.services.vector_stores.ingest.pieces import Piece
from core.services.vector_stores.records import FileRecord, StoreRecord, chunk_key
from core.stores.documents.port import Document

NO_STORE: Final = (
    "The vector store `{store}`, from which it was to be copied, is gone, or you may not read it any more."
)
NO_CHUNKS: Final = "The vector store `{store}` has lost chunks of this file. Add the file there again, or add it to this store by itself."
ENDED: Final = "In the vector store `{store}`, from which it was to be copied, this file is `{status}` by now."


class SourceInProgress(ProviderUnavailable):
    """The file is not whole in the store that it is copied from."""

    code = "source_in_progress"

    def __init__(self, store_id: str, file_id: str) -> None:
        super().__init__(
            f"The file `{file_id}` is still being taken into `{store_id}`, and can be copied when that is done."
        )


def origin_of(source: StoreFiles, document: Document) -> JsonObject:
    """For `FileRecord.origin`: the file as `source` has it, with its record `document`."""
    record = source.store.record
    return {"store": source.store.id, "index": record.provider_resource_id, "version": _version_of(document)}


def shares_vectors(source: StoreRecord, target: StoreRecord) -> bool:
    """Whether the vectors of one store are those that the other would have."""
    return (source.embedding_model, source.embedding_dimension) == (target.embedding_model, target.embedding_dimension)


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """The file in `source`, as its `document` there was read."""

    source: StoreFiles
    file_id: str
    document: Document

    @classmethod
    async def open(cls, target: StoreFiles, file_id: str, origin: JsonObject) -> Self | None:
        """None where the file was taken out of the other store.

        Raises:
            IngestFailed: that store is gone, or the caller may not read it; or the file has failed there.
            SourceInProgress: it is being changed there.
        """
        stores = target.stores
        try:
            store = await stores.open(origin["store"])
        except (NotFound, PermissionDenied):
            raise IngestFailed("server_error", NO_STORE.format(store=origin["store"])) from None
        except InvalidRequest as refusal:  # it has expired
            raise IngestFailed("server_error", refusal.message) from None
        if store.record.provider_resource_id != origin["index"]:
            raise IngestFailed("server_error", NO_STORE.format(store=origin["store"]))
        source = StoreFiles(stores, store)
        document = await source.get(file_id)
        if document is None or document.body["deleting"]:
            return None
        match document.body["status"]:
            case "completed":
                return cls(source, file_id, document)
            case "in_progress":
                raise SourceInProgress(store.id, file_id)
            case status:
                raise IngestFailed("server_error", ENDED.format(store=store.id, status=status))

    @property
    def record(self) -> FileRecord:
        return FileRecord.read(self.document.body)

    def begin(self, before: FileRecord) -> FileRecord:
        """The record of the copy that is made of this version from its first chunk on; it keeps its lease."""
        record = self.record
        return replace(
            before,
            status="in_progress",
            last_error=None,
            attributes=record.attributes,
            chunking=record.chunking,
            filename=record.filename,
            usage_bytes=0,
            next=0,
            deleting=False,
            embedded=0,
            origin=origin_of(self.source, self.document),
        )

    async def is_current(self) -> bool:
        document = await self.source.get(self.file_id)
        return document is not None and _version_of(document) == _version_of(self.document)

    async def pieces(self, copy: FileRecord, target: StoreRecord, size: int) -> AsyncGenerator[Piece]:
        """All of its chunks, `size` together, for `copy`; those that are in its store already come without their vectors.

        Raises:
            RecordChanged: it is not the version any more that it was.
            IngestFailed: chunks are missing.
        """
        store, stores, count = self.source.store, self.source.stores, self.record.next
        same = shares_vectors(store.record, target)
        for first in range(0, count, size):
            keys = [chunk_key(self.file_id, number) for number in range(first, min(first + size, count))]
            is_put = first + len(keys) <= copy.next
            chunks = await stores.ask(stores.provider(store).fetch(store.index, keys, with_vectors=same and not is_put))
            if len(chunks) != len(keys):
                if await self.is_current():
                    raise IngestFailed("server_error", NO_CHUNKS.format(store=store.id))
                raise RecordChanged
            yield Piece(first, [replace(chunk, attributes=copy.attributes) for chunk in chunks], fresh=not same)
        if not await self.is_current():
            raise RecordChanged


def _version_of(document: Document) -> str:
    """The same as long as nobody writes the record."""
    return sha256(to_json([document.created, document.revision, document.body])).hexdigest()[:32]
