"""Uploads: multipart/form-data (RFC 7578), parsed as it arrives, its files streamed into the blob store.

Imported only where an operation has an upload. Nothing of a file is held in memory but the chunk that is on its way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
import logging
import re
from secrets import token_hex
from typing import Final

from starlette.requests import Request

from core.errors import BodyTooLarge, InvalidRequest, StateUnavailable, UnsupportedMediaType
from core.frame.content import UploadedFile
from core.frame.operations import Upload
from core.frame.types import Wire
from core.stores.blobs.port import BlobStore
from core.web.body import content_coding, declares_more, parse_texts
from core.web.multipart import End, Part, boundary_of, parts

MOST_FORM: Final = 1024 * 1024  # bytes of all parts that are no file, and of everything between the parts
LONGEST_NAME: Final = 255  # characters of a file name
MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

log = logging.getLogger(__name__)

type Uploaded = UploadedFile | tuple[UploadedFile, ...] | None


@dataclass(frozen=True, slots=True)
class UploadReceiver:
    """`blobs` is None where the stack has no store of them; `limit` bounds all files together, in bytes."""

    upload: Upload
    body_type: Callable[[], type[Wire] | None]
    blobs: BlobStore | None
    limit: int

    async def receive(self, request: Request, cleanup: AsyncExitStack) -> tuple[Wire | None, Uploaded]:
        """The other parts as the body, and what was uploaded; `cleanup` deletes it again.

        Raises:
            UnsupportedMediaType: it is no form.
            InvalidRequest: it is none that can be read, a field is wrong, or there are too many files, or none.
            BodyTooLarge: it has more than `limit` bytes, or says so.
            StateUnavailable: the blobs cannot be reached.
        """
        if content_coding(request) is not None:
            raise UnsupportedMediaType("Send files as they are, without a content-encoding.")
        boundary = self._boundary(request)
        if self.blobs is None:
            raise StateUnavailable("This stack keeps no files: its run config names no store for them.")
        form = _Form(self, self.blobs, cleanup)
        chunks = _read_up_to(request, self.limit + MOST_FORM, self.limit)
        await form.read(parts(boundary, chunks))
        kind = self.body_type()
        body = None if kind is None else parse_texts(kind, form.fields)
        return body, self._check_number(form.files)

    def _boundary(self, request: Request) -> bytes:
        header = request.headers.get("content-type", "")
        if header.partition(";")[0].strip().lower() != "multipart/form-data":
            name = self.upload.field
            raise UnsupportedMediaType(f"Send multipart/form-data, with the file as its part `{name}`.")
        return boundary_of(header)

    def _check_number(self, files: list[UploadedFile]) -> Uploaded:
        name = self.upload.field
        if not files and self.upload.required:
            raise InvalidRequest(f"There is no file: send one as the part `{name}`.", param=name)
        if self.upload.most > 1:
            return tuple(files)
        return files[0] if files else None


class _Form:
    """What has been read of a form."""

    def __init__(self, receiver: UploadReceiver, blobs: BlobStore, cleanup: AsyncExitStack) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[UploadedFile] = []
        self._receiver = receiver
        self._blobs = blobs
        self._cleanup = cleanup
        self._field_bytes = 0
        self._file_bytes = 0

    async def read(self, events: AsyncGenerator[Part | bytes | End]) -> None:
        upload = self._receiver.upload
        async for event in events:
            if not isinstance(event, Part):
                continue
            if event.name in {upload.field, f"{upload.field}[]"}:
                await self._keep(event, events)
            elif event.filename is not None:
                raise InvalidRequest(f"The file must be the part `{upload.field}`.", param=event.name)
            else:
                self.fields.append((event.name, await self._text(event, events)))

    async def _keep(self, part: Part, events: AsyncIterator[Part | bytes | End]) -> None:
        upload = self._receiver.upload
        if len(self.files) >= upload.most:
            number = "one file" if upload.most == 1 else f"{upload.most} files"
            raise InvalidRequest(f"Send at most {number} in one request.", param=upload.field)
        key = f"{upload.prefix.rstrip('/')}/{token_hex(16)}"
        # First: a store that was not told to stop may have it all the same.
        self._cleanup.push_async_callback(partial(_discard, self._blobs, key))
        digest = sha256()

        async def content() -> AsyncGenerator[bytes]:
            async for data in _data(events):
                self._file_bytes += len(data)
                if self._file_bytes > self._receiver.limit:
                    raise BodyTooLarge(self._receiver.limit)
                digest.update(data)
                yield data

        media_type = clean_media_type(part.media_type)
        blob = await self._blobs.put(key, content(), media_type=media_type)
        name = clean_filename(part.filename or "")
        self.files.append(UploadedFile(key, name, media_type, blob.size, digest.hexdigest()))

    async def _text(self, part: Part, events: AsyncIterator[Part | bytes | End]) -> str:
        text = bytearray()
        async for data in _data(events):
            self._field_bytes += len(data)
            if self._field_bytes > MOST_FORM:
                raise InvalidRequest(f"The fields of a form have at most {MOST_FORM} bytes.", param=part.name)
            text += data
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("A field of a form must be UTF-8 text.", param=part.name) from None


async def _data(events: AsyncIterator[Part | bytes | End]) -> AsyncGenerator[bytes]:
    """The content of the part that has begun; what follows it stays in `events`."""
    while isinstance(event := await anext(events), bytes):
        yield event


async def _read_up_to(request: Request, most: int, limit: int) -> AsyncGenerator[bytes]:
    """The body as it arrives, refused at once where its own word on its length is too much."""
    if declares_more(request, most):
        raise BodyTooLarge(limit)
    remaining = most
    async for chunk in request.stream():
        remaining -= len(chunk)
        if remaining < 0:
            raise BodyTooLarge(limit)
        if chunk:
            yield chunk


async def _discard(blobs: BlobStore, key: str) -> None:
    try:
        await blobs.delete(key)
    except StateUnavailable:
        log.warning("an upload was given up, and its blob %s could not be deleted", key)


def clean_filename(name: str) -> str:
    """The last part of a path, of at most 255 printable characters; "file" where nothing is left."""
    name = "".join(letter for letter in re.split(r"[/\\]", name)[-1] if letter.isprintable()).strip()
    return name[:LONGEST_NAME] if name.strip(".") else "file"


def clean_media_type(header: str) -> str:
    """Without parameters; bytes of no known kind where it is none."""
    name = header.partition(";")[0].strip().lower()
    return name if MEDIA_TYPE.fullmatch(name) else "application/octet-stream"
