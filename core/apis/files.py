"""Files: what users upload, for other APIs to read.

Sources: Files of Llama Stack 0.2.12 and OGX 1.5.0, https://platform.openai.com/docs/api-reference/files and .../uploads.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

from pydantic import BeforeValidator, Field, ValidationError

from core.apis.answers.files import FileDeleted, FileList, FileObject, UploadObject, UploadPart
from core.frame.content import Blob, Bytes, PresignedRequest, Redirect, UploadedFile
from core.frame.forms import of_form
from core.frame.types import Health, Query, Wire

MOST_ANNOUNCED: Final = 5 * 1024**3
"""Bytes of one PUT to S3."""
MOST_IN_PARTS: Final = 8 * 1024**3
"""Bytes of an upload in parts, as at OpenAI."""
MOST_PARTS: Final = 10_000
LONGEST_NAME: Final = 4096

type Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
type AnyPurpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals", "batch_output"]
"""With those of files that the stack makes."""
type Filename = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class ExpiresAfter(Wire):
    """Seconds after `anchor` at which the file is gone: an hour to 30 days."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


def _read_text(value: object) -> object:
    """An object as the text of a form, which is how ogx-client can send it."""
    try:
        return ExpiresAfter.model_validate_json(value) if isinstance(value, str) else value
    except ValidationError:
        return value


class FileForm(Wire):
    """What comes with a file; without `expires_after` it stays as long as its provider says."""

    purpose: Purpose
    expires_after: Annotated[ExpiresAfter | None, BeforeValidator(_read_text)] = None


class AnnouncedFile(FileForm):
    """A file that is to be sent to a URL of the storage, for what no request here can hold."""

    filename: Filename
    bytes: Annotated[int, Field(ge=1, le=MOST_ANNOUNCED)]
    mime_type: str = "application/octet-stream"


class ListFilesQuery(Query):
    """At most `limit` of the caller's own files after the file `after`."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: AnyPurpose | None = None


class NewUpload(FileForm):
    """A file of so many `bytes` that comes in parts."""

    filename: Filename
    bytes: Annotated[int, Field(ge=1, le=MOST_IN_PARTS)]
    mime_type: str = "application/octet-stream"


class CompletedUpload(Wire):
    """The parts in the order of their bytes in the file; `md5` of the whole is in hex."""

    part_ids: Annotated[list[str], Field(min_length=1, max_length=MOST_PARTS)]
    md5: Annotated[str, of_form("^[0-9a-fA-F]{32}$", "must be 32 digits in hex")] | None = None


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file for another API to read: `content.read` gives the bytes from its first argument to before its second."""

    file_id: str
    filename: str
    purpose: str
    content: Bytes


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that the stack makes for a caller. Its id, `file-` and hex digits, follows from what it is made of, so that it is made once.

    Without `seconds` it stays as long as its provider says.
    """

    file_id: str
    filename: str
    purpose: str
    media_type: str = "application/octet-stream"
    seconds: int | None = None


class Files(Protocol):
    """The caller's files. Of what it may not read, and of what has expired, nothing is said."""

    async def upload(self, request: FileForm, *, upload: UploadedFile | None) -> FileObject:
        """Keep the file. Without an `upload` the request is an AnnouncedFile, and the answer says where to send its bytes."""
        ...

    async def index(self, *, query: ListFilesQuery) -> FileList: ...

    async def get(self, file_id: str) -> FileObject: ...

    async def delete(self, file_id: str) -> FileDeleted: ...

    async def content(self, file_id: str) -> Bytes | Redirect:
        """The bytes, or for large ones where they are."""
        ...

    async def open(self, file_id: str, *, store_id: str = "") -> OpenFile:
        """The file, for another API to read; out of the vector store `store_id` it goes when it is deleted. It has no route.

        Raises:
            NotFound: there is none, or the caller may not read it.
            InvalidRequest: its bytes have not come yet.
        """
        ...

    async def keep(self, made: MadeFile, content: AsyncIterator[bytes]) -> FileObject:
        """The file, or the one that was made of the same before, whose bytes are the same. It has no route.

        It counts among what the caller keeps, and is kept where that is more than it may: somebody has paid for it. The access policy
        is not asked.
        """
        ...


class Uploads(Protocol):
    """Files that come in parts; an upload is open for an hour."""

    async def create(self, request: NewUpload) -> UploadObject: ...

    async def add_part(self, upload_id: str, *, upload: UploadedFile) -> UploadPart: ...

    async def complete(self, request: CompletedUpload, upload_id: str) -> UploadObject:
        """Put the parts together; asked again, it answers the same."""
        ...

    async def cancel(self, upload_id: str) -> UploadObject: ...


class FileStorage(Protocol):
    """Where a provider keeps the bytes of files, by key.

    Keys are 1 to 200 bytes of ASCII letters, digits and `-_./`, without empty, `.` or `..` segments. Every method raises
    StateUnavailable when the storage cannot be reached; a stream that fails on the way raises it from `read`.
    """

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        """Keep the content under the key, in the place of what was there; it is there whole, or not at all.

        A storage that names blobs itself has it under another: that of the answer counts.
        """
        ...

    async def head(self, key: str) -> Blob | None:
        """What is known of the blob; None where there is none."""
        ...

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `stop`, in chunks; raises NotFound at the first one where there is none."""
        ...

    async def delete(self, *keys: str) -> None:
        """Remove the blobs; those that are not there do not matter."""
        ...

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        """A GET of the blob for whoever has the URL; None where the storage has no such thing."""
        ...

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        """A PUT of exactly `size` bytes for whoever has the URL; None where the storage has no such thing."""
        ...


class FilesProvider(Protocol):
    """What a provider of files offers: a place for their bytes. Their records are the stack's own documents."""

    def storage(self) -> FileStorage | None:
        """Where the bytes go; None is the blob store of the stack."""
        ...

    def ttl_seconds(self) -> int | None:
        """How long a file stays that comes without an expiry of its own; None is for ever."""
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for one that is down."""
        ...
