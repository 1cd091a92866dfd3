"""What is kept of vector stores, of the files in them and of batches: the bodies of their documents.

    vector_store        id STORE         parent ""       StoreRecord
    vector_store_file   id STORE:FILE    parent STORE    FileRecord
    vector_store_batch  id BATCH         parent STORE    BatchRecord

How many files of a store are in which status, and how many bytes they take, are tallies under (`vector_store`, STORE); of a
batch, under (`vector_store_batch`, BATCH). Every write of a file's record carries `tallies_of(...)`: what it changes of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from core.apis.vector_filters import Scalar
from core.frame.types import JsonObject
from core.stores.documents.bodies import Body
from core.stores.documents.port import Document, Tally

STORES: Final = "vector_store"
FILES: Final = "vector_store_file"
BATCHES: Final = "vector_store_batch"
DAY: Final = 86_400  # seconds
BYTES: Final = "usage_bytes"
"""The name of the tally of a store's bytes; the others are statuses."""

type FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class StoreRecord(Body):
    """A vector store. `provider_resource_id` is its id at the provider; `expires_days` count from `last_active` (Unix seconds).

    `chunking` is the strategy of files that come without one, as on the wire. What is `deleting` is hidden: its index and its
    records are being removed, by whoever goes on with that. Of what is `emptied`, which has expired, the index is gone. `counted` is the
    list of the owner in whose tally it is, "" for none. What is filled from another store has in `copy` which one, and by which job.
    """

    provider_id: str
    provider_resource_id: str
    embedding_model: str
    embedding_dimension: int
    name: str | None = None
    description: str | None = None
    chunking: JsonObject | None = None
    metadata: JsonObject = field(default_factory=dict[str, object])
    expires_days: int | None = None
    last_active: int = 0
    deleting: bool = False
    emptied: bool = False
    counted: str = ""
    copy: JsonObject | None = None

    @property
    def expires_at(self) -> int | None:
        """In Unix seconds."""
        return None if self.expires_days is None else self.last_active + self.expires_days * DAY


@dataclass(frozen=True, slots=True)
class FileRecord(Body):
    """A file in a store. `last_error` is `{"code", "message"}`; `chunking` the strategy in force, as on the wire.

    Chunks `0..claimed-1` may be in the index, and no others; those before `next` are. `holder` has the lease of the ingest until
    `until` (Unix seconds); without a holder, a job is expected to have taken it by then. What is `deleting` is hidden, and its chunks
    are being removed. `batch` is the one that it came with, or "". Where `embedded` is not 0, the file has as many chunks, all of them
    in the index, which are to get other attributes. `tries` are those that failed and may not have, or ended in a crash, since
    it got on. While the chunks are copied from another store, `origin` is `{"store", "index", "version"}`: which one, what its provider
    calls it, and the version of the file there.
    """

    status: FileStatus = "in_progress"
    last_error: JsonObject | None = None
    attributes: dict[str, Scalar] = field(default_factory=dict[str, Scalar])
    chunking: JsonObject | None = None
    filename: str = ""
    usage_bytes: int = 0
    claimed: int = 0
    next: int = 0
    holder: str = ""
    until: float = 0.0
    deleting: bool = False
    batch: str = ""
    embedded: int = 0
    tries: int = 0
    origin: JsonObject | None = None

    def is_held(self, now: float) -> bool:
        """Whether somebody has the lease, and so may be writing chunks."""
        return bool(self.holder) and self.until > now


@dataclass(frozen=True, slots=True)
class BatchRecord(Body):
    """A batch of files, in their order, each as it was asked for: `{"file_id", "attributes", "chunking_strategy"}`.

    The first `placed` are in the store; `job` is the id of the job that puts the others there, and takes all of them in.
    """

    entries: list[JsonObject]
    job: str = ""
    placed: int = 0
    cancelled: bool = False

    @property
    def files(self) -> list[str]:
        return [entry["file_id"] for entry in self.entries]


def file_document_id(store_id: str, file_id: str) -> str:
    """The id of the document with the FileRecord."""
    return f"{store_id}:{file_id}"


def file_id_of(document: Document) -> str:
    """The file's id, of the document with its FileRecord."""
    return document.id.removeprefix(f"{document.parent}:")


def chunk_key(file_id: str, number: int) -> str:
    """The key that a chunk of a file has in the index, `number` from 0."""
    return f"{file_id}#{number}"


def tallies_of(store_id: str, before: FileRecord | None, after: FileRecord | None) -> tuple[Tally, ...]:
    """What a write that makes `before` of a file's record to `after` changes of the tallies; None is no record."""
    batches = {record.batch for record in (before, after) if record is not None and record.batch}
    tallies = [Tally(STORES, store_id, _difference(_in_store(before), _in_store(after)))]
    for batch in sorted(batches):
        changes = _difference(_in_batch(batch, before, None), _in_batch(batch, after, before))
        tallies.append(Tally(BATCHES, batch, changes))
    return tuple(tally for tally in tallies if tally.changes)


def _in_store(record: FileRecord | None) -> dict[str, int]:
    return {} if record is None or record.deleting else {record.status: 1, BYTES: record.usage_bytes}


def _in_batch(batch: str, record: FileRecord | None, before: FileRecord | None) -> dict[str, int]:
    """What left its batch after it had ended stays counted there as it ended; before, it counts as cancelled."""
    if record is not None and record.batch == batch:
        is_left, counted = record.deleting, record
    elif before is not None and before.batch == batch:
        is_left, counted = True, before
    else:
        return {}
    return {"cancelled" if is_left and counted.status == "in_progress" else counted.status: 1}


def _difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    names = (*STATUSES, BYTES)
    changes = {name: after.get(name, 0) - before.get(name, 0) for name in names}
    return {name: change for name, change in changes.items() if change}
