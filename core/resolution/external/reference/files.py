"""A provider of files written for the reference, as a place for the bytes of this stack's: their records are the stack's own."""

from collections.abc import AsyncIterator, Mapping
from inspect import isawaitable
import re
import tempfile
from typing import IO, Any, Final, cast

from core.errors import InvalidRequest, NotFound, ProviderUnavailable, StateUnavailable, UpstreamFailed, UpstreamTimeout
from core.frame.content import Blob, PresignedRequest
from core.frame.types import Health
from core.platform.json_values import to_object
from core.resolution.external.reference.calls import NO_MISTAKE, Translated, parameters
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.names import find
from core.resolution.external.reference.records import plain, record

METHODS: Final = ("openai_upload_file", "openai_retrieve_file", "openai_delete_file", "openai_retrieve_file_content")
REQUESTS: Final = {
    "openai_retrieve_file": "RetrieveFileRequest",
    "openai_delete_file": "DeleteFileRequest",
    "openai_retrieve_file_content": "RetrieveFileContentRequest",
}
PURPOSE: Final = "assistants"  # the one that all versions have
ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,149}")
IN_MEMORY: Final = 8 * 1024 * 1024
BLOCK: Final = 256 * 1024
MISSING: Final = 404


class ReferenceUpload:
    """An `UploadFile` of FastAPI, as packages read it."""

    def __init__(self, file: IO[bytes], filename: str, content_type: str, size: int) -> None:
        self.file = file
        self.filename = filename
        self.content_type = content_type
        self.size = size
        self.headers = {"content-type": content_type}

    async def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)

    async def close(self) -> None:
        """Nothing: who made it closes it."""


class ReferenceStorage:
    """`provider` has the reference's methods, of 0.2 or later; it names the files, and the name is the end of a blob's key."""

    def __init__(self, provider_id: str, provider: Any) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        folder, _, name = key.rpartition("/")
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            size = await _spool(content, file)
            answer = await self._ask(METHODS[0], **self._upload(ReferenceUpload(file, name, media_type, size)))
        fields = _fields(answer)
        file_id, count = str(fields.get("id")), fields.get("bytes")
        if not ID.fullmatch(file_id):
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not say what it calls the file that it was sent.")
        blob = Blob(f"{folder}/{file_id}" if folder else file_id, size, media_type)
        if count is not None and count != size:
            await self.delete(blob.key)
            raise UpstreamFailed(f"Provider `{self._provider_id}` kept {count} of {size} bytes.")
        return blob

    async def head(self, key: str) -> Blob | None:
        answer = await self._ask_about(METHODS[1], key)
        size = _fields(answer).get("bytes")
        return Blob(key, size) if isinstance(size, int) else None

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """All of it is fetched, whatever part is asked for: the reference has no ranges."""
        answer = await self._ask_about(METHODS[3], key)
        if answer is None:
            raise NotFound(f"There is no blob `{key}`.")
        place = 0
        async for chunk in self._content(answer):
            part = chunk[max(0, start - place) : None if stop is None else max(0, stop - place)]
            place += len(chunk)
            if part:
                yield part
            if stop is not None and place >= stop:
                return

    async def delete(self, *keys: str) -> None:
        for key in keys:
            await self._ask_about(METHODS[2], key)

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        """The reference has none."""
        del key, seconds, filename, media_type
        return None

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        """The reference has none."""
        del key, seconds, size, media_type
        return None

    def _upload(self, file: ReferenceUpload) -> dict[str, Any]:
        """By the form of its signature: keywords of 0.2, or later a record and the file."""
        if "purpose" in parameters(self._provider.openai_upload_file):
            return {"file": file, "purpose": find("OpenAIFilePurpose")(PURPOSE)}
        return {"file": file, "request": record("UploadFileRequest", purpose=PURPOSE)}

    async def _ask_about(self, name: str, key: str) -> Any:  # noqa: ANN401 - a package's answer
        """None for a file that it does not have."""
        file_id = key.rpartition("/")[2]
        is_old = "file_id" in parameters(getattr(self._provider, name))
        fields = {"file_id": file_id} if is_old else {"request": record(REQUESTS[name], file_id=file_id)}
        try:
            return await self._ask(name, **fields)
        except _Missing:
            return None

    async def _ask(self, name: str, **fields: Any) -> Any:  # noqa: ANN401 - a package's answer
        try:
            with Translated(self._provider_id):
                answer = getattr(self._provider, name)(**fields)
                return await answer if isawaitable(answer) else answer
        except InvalidRequest as refusal:
            if name != METHODS[0] and _is_missing(refusal.__cause__):
                raise _Missing from refusal
            raise
        except (ProviderUnavailable, UpstreamFailed, UpstreamTimeout) as failure:
            if getattr(failure.__cause__, "status_code", None) == MISSING:
                raise _Missing from failure
            raise StateUnavailable(failure.message) from failure

    async def _content(self, answer: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - a response, or bytes
        stream = getattr(answer, "body_iterator", None)
        if stream is not None:
            chunks: AsyncIterator[bytes] = aiter(stream)
            while (chunk := await self._next(chunks)) is not None:
                yield chunk
            return
        body: object = answer if isinstance(answer, bytes) else getattr(answer, "body", None)
        if isinstance(body, memoryview):
            body = bytes(cast("memoryview[int]", body))
        if not isinstance(body, bytes):
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with the content of the file.")
        for place in range(0, len(body), BLOCK):
            yield body[place : place + BLOCK]

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            with Translated(self._provider_id):
                return bytes(await anext(chunks))
        except StopAsyncIteration:
            return None
        except (ProviderUnavailable, UpstreamFailed, UpstreamTimeout) as failure:
            raise StateUnavailable(failure.message) from failure


class ReferenceFiles:
    """Gives this stack a place for bytes; what callers bring is not told to it."""

    def __init__(self, provider_id: str, provider: Any, ttl_seconds: int | None) -> None:  # noqa: ANN401 - somebody else's object
        """`ttl_seconds` is when its package forgets a file."""
        self._storage = ReferenceStorage(provider_id, provider)
        self._ttl_seconds = ttl_seconds
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def storage(self) -> ReferenceStorage:
        return self._storage

    def ttl_seconds(self) -> int | None:
        return self._ttl_seconds

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceFiles":
        """Itself: bytes come before the call that they belong to, and go after it."""
        del data
        return self

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()


class _Missing(Exception):
    """The package does not have the file."""


def _is_missing(error: BaseException | None) -> bool:
    """A ValueError is what packages raise for a file that is not there, or an id that is none of theirs."""
    return isinstance(error, ValueError) and not isinstance(error, NO_MISTAKE)


def _fields(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - a record of whatever version
    return to_object(plain(answer)) or to_object(getattr(answer, "__dict__", {}))


async def _spool(content: bytes | AsyncIterator[bytes], file: IO[bytes]) -> int:
    if isinstance(content, bytes):
        file.write(content)
    else:
        async for chunk in content:
            file.write(chunk)
    size = file.tell()
    file.seek(0)
    return size
