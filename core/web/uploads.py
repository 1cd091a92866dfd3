"""Uploads: multipart/form-data (RFC 7578), parsed as it arrives, its files streamed into the blob store.

Imported only where an operation has an upload. Nothing of a file is held in memory but the chunk that is on its way.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
import logging
from secrets import token_hex
from typing import Final

from starlette.requests import Request

from core.apis.parsing import parse
from core.errors import BodyTooLarge, InvalidRequest, StateUnavailable, UnsupportedMediaType
from core.frame.content import UploadedFile, UploadStore, clean_filename, clean_media_type
from core.frame.operations import Upload
from core.frame.types import Wire
from core.web.body import content_coding, declares_more, parse_texts, read
from core.web.media_types import is_json
from core.web.multipart import End, Part, boundary_of, parts

MOST_FORM: Final = 1024 * 1024  # bytes of all parts that are no file, and of everything between the parts
PART: Final = 4 * 1024 * 1024  # bytes of a part that also passes where the front door is API Gateway, in base64

HELD: Final = 5 * 1024 * 1024  # bytes: more than a front door lets through at once
TURN: Final = 256 * 1024  # bytes that are hashed before others have theirs
SHORT: Final = 64 * 1024  # bytes that are hashed in less time than a turn of the loop takes

log = logging.getLogger(__name__)

type Fields = list[tuple[str, str]]
"""Names and texts, in their order."""
type Uploaded = UploadedFile | tuple[UploadedFile, ...] | None


@dataclass(frozen=True, slots=True)
class UploadReceiver:
    """`blobs` is None where the stack has no store of them; `limit` bounds all files together, in bytes.

    `folder` gives the folder below the prefix, of the fields that came before the file.
    """

    upload: Upload
    body_type: Callable[[], type[Wire] | None]
    blobs: UploadStore | None
    limit: int
    folder: Callable[[Fields], str] | None = None

    async def receive(self, request: Request, cleanup: AsyncExitStack) -> tuple[Wire | None, Uploaded]:
        """The other parts as the body, and what was uploaded; `cleanup` deletes it again. JSON in place of a form is a body alone.

        Raises:
            UnsupportedMediaType: it is no form, or has a content-encoding.
            InvalidRequest: it is none that can be read, a field is wrong, or there are too many files, or none.
            BodyTooLarge: it has more than `limit` bytes, or says so.
            StateUnavailable: the blobs cannot be reached.
        """
        body_type = self.upload.json_type()
        if body_type is not None and is_json(request):
            return parse(body_type, await read(request, MOST_FORM)), None
        if content_coding(request) is not None:
            raise UnsupportedMediaType("Send files as they are, without a content-encoding.")
        boundary = self._boundary(request)
        if self.blobs is None:
            raise StateUnavailable("This stack keeps no files: its run config names no store for them.")
        form = _Form(self, self.blobs, cleanup)
        chunks = _read_up_to(request, self.limit + MOST_FORM, self.too_large)
        await form.read(parts(boundary, chunks))
        kind = self.body_type()
        body = None if kind is None else parse_texts(kind, form.fields)
        return body, self._check_number(form.files)

    def too_large(self) -> BodyTooLarge:
        """The refusal to raise for more than `limit` bytes."""
        return BodyTooLarge(self.limit, self.upload.advice.format(part=min(self.limit, PART)))

    def _boundary(self, request: Request) -> bytes:
        header = request.headers.get("content-type", "")
        if header.partition(";")[0].strip().lower() != "multipart/form-data":
            name = self.upload.field
            other = "" if self.upload.json is None else ", or JSON that describes the file"
            raise UnsupportedMediaType(f"Send multipart/form-data, with the file as its part `{name}`{other}.")
        return boundary_of(header)

    def _check_number(self, files: list[UploadedFile]) -> Uploaded:
        name = self.upload.field
        if not files and self.upload.required:
            raise InvalidRequest(f"There is no file: send one as the part `{name}`.", param=name)
        if self.upload.most > 1:
            return tuple(files)
        return files[0] if files else None


class _Digest:
    """The SHA-256 of a stream, of which up to HELD bytes are seen to while their store waits for its disk, or for others."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._held: list[bytes] = []
        self._size = 0
        self._hashing: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._hashing is not None:
            self._hashing.cancel()  # where the store has failed

    def add(self, data: bytes) -> None:
        self._size += len(data)
        self._held.append(data)
        if self._size > HELD:
            self._hash_held()

    def end(self) -> None:
        """The stream has ended, and what is left of it is on its way to the store."""
        if self._size > SHORT:
            self._hashing = asyncio.ensure_future(self._hash_in_turns())

    async def hex(self) -> str:
        """Once the store has it all."""
        if self._hashing is not None:
            await self._hashing
        self._hash_held()
        return self._hash.hexdigest()

    def _hash_held(self) -> None:
        for data in self._held:
            self._hash.update(data)
        self._held.clear()

    async def _hash_in_turns(self) -> None:
        for data in self._held:
            whole = memoryview(data)
            for start in range(0, len(data), TURN):
                self._hash.update(whole[start : start + TURN])
                await asyncio.sleep(0)
        self._held.clear()


class _Form:
    """What has been read of a form."""

    def __init__(self, receiver: UploadReceiver, blobs: UploadStore, cleanup: AsyncExitStack) -> None:
        self.fields: Fields = []
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
        if part.filename is None:
            hint = f"for curl, write -F {upload.field}=@NAME, with the @"
            raise InvalidRequest(
                f"The part `{upload.field}` is no file, since it has no file name: {hint}.", param=upload.field
            )
        if len(self.files) >= upload.most:
            number = "one file" if upload.most == 1 else f"{upload.most} files"
            raise InvalidRequest(f"Send at most {number} in one request.", param=upload.field)
        folder = "" if self._receiver.folder is None else self._receiver.folder(self.fields)
        key = "/".join(filter(None, (upload.prefix.rstrip("/"), folder, token_hex(16))))
        # First: a store that was not told to stop may have it all the same.
        self._cleanup.push_async_callback(partial(_discard, self._blobs, key))
        digest = _Digest()

        async def content() -> AsyncGenerator[bytes]:
            async for data in _data(events):
                self._file_bytes += len(data)
                if self._file_bytes > self._receiver.limit:
                    raise self._receiver.too_large()
                digest.add(data)
                yield data
            digest.end()

        media_type = clean_media_type(part.media_type)
        with digest:
            blob = await self._blobs.put(key, content(), media_type=media_type)
            etag = await digest.hex()
        if blob.key != key:
            self._cleanup.push_async_callback(partial(_discard, self._blobs, blob.key))
        name = clean_filename(part.filename)
        self.files.append(UploadedFile(blob.key, name, media_type, blob.size, etag))

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
    while isinstance(event := await anext(events), bytes | memoryview):
        yield event


async def _read_up_to(request: Request, most: int, too_large: Callable[[], BodyTooLarge]) -> AsyncGenerator[bytes]:
    """The body as it arrives, refused at once where its own word on its length is too much."""
    if declares_more(request, most):
        raise too_large()
    remaining = most
    async for chunk in request.stream():
        remaining -= len(chunk)
        if remaining < 0:
            raise too_large()
        if chunk:
            yield chunk


async def _discard(blobs: UploadStore, key: str) -> None:
    try:
        await blobs.delete(key)
    except StateUnavailable:
        log.warning("an upload was given up, and its blob %s could not be deleted", key)
