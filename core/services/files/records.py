"""What is kept of files and of uploads in parts: the bodies of their documents, and how they are shown.

    file          id file-HEX      parent OWNER    FileRecord
    upload        id upload_HEX    parent OWNER    UploadRecord
    upload_part   id part_HEX      parent UPLOAD   PartRecord

OWNER is whoever made it: a caller's lists have its own. What has expired stays until its owner or a sweep (`sweeping`) sees it, since
its owner's tally and its bytes go with it; no reader is told of it. Tallies under (`file`, `owner:OWNER`) are `files` and `bytes`, of those that
are `counted`; under (`upload`, UPLOAD) they are `bytes` and `parts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.apis.answers.files import FileObject, UploadObject
from core.stores.documents.bodies import Body
from core.stores.documents.port import Document

FILE: Final = "file"
UPLOAD: Final = "upload"
PART: Final = "upload_part"
FILES: Final = "files"
BYTES: Final = "bytes"
PARTS: Final = "parts"
OPEN_SECONDS: Final = 3600
"""How long an upload in parts, or the URL for an announced file, may be used."""
LATE_SECONDS: Final = 600  # for a PUT that began in time

type FileStatus = Literal["uploaded", "processed", "error"]
type UploadStatus = Literal["pending", "completing", "completed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class FileRecord(Body):
    """A file whose bytes are at `key` of a provider; of one that is `uploaded` they are to come until `until` (Unix seconds).

    `etag` is that of the bytes, or their digest. `counted` is what is in the tally of its owner. One that is `assembled` has its
    bytes from a job, which puts parts together; `details` say why it could not.
    """

    filename: str
    purpose: str
    bytes: int
    provider_id: str
    key: str
    expires_at: int | None = None
    status: FileStatus = "processed"
    media_type: str = "application/octet-stream"
    etag: str = ""
    until: int = 0
    counted: bool = False
    assembled: bool = False
    details: str = ""

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_late(self, now: float) -> bool:
        """Whether its bytes should have come by now."""
        return self.status == "uploaded" and self.until + LATE_SECONDS <= now


@dataclass(frozen=True, slots=True)
class UploadRecord(Body):
    """An upload in parts. `life` is how many seconds its file stays, None for ever.

    While it is `completing`, whoever puts the parts together has it until `until` (Unix seconds). From `part_ids` on
    it is about one whose parts a job puts together, at `key` of a provider.
    """

    filename: str
    purpose: str
    bytes: int
    media_type: str
    expires_at: int
    life: int | None
    status: UploadStatus = "pending"
    until: float = 0.0
    counted: bool = False
    part_ids: Sequence[str] = ()
    md5: str | None = None
    provider_id: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class PartRecord(Body):
    provider_id: str
    key: str
    bytes: int


def file_id_of(upload_id: str) -> str:
    """The id of the file that an upload in parts becomes: so none becomes two."""
    return f"file-{upload_id.removeprefix('upload_')}"


def show_file(document: Document) -> FileObject:
    """The shape on the wire."""
    record = FileRecord.read(document.body)
    return {
        "id": document.id,
        "object": "file",
        "bytes": record.bytes,
        "created_at": document.created,
        "expires_at": record.expires_at,
        "filename": record.filename,
        "purpose": record.purpose,
        "status": record.status,
        "status_details": record.details or None,
    }


def show_upload(document: Document, file: Document | None) -> UploadObject:
    """The shape on the wire, with the `file` that it has become."""
    record = UploadRecord.read(document.body)
    return {
        "id": document.id,
        "object": "upload",
        "bytes": record.bytes,
        "created_at": document.created,
        "expires_at": record.expires_at,
        "filename": record.filename,
        "purpose": record.purpose,
        "status": "pending" if record.status == "completing" else record.status,
        "file": None if file is None else show_file(file),
    }
