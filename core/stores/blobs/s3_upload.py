"""A stream to S3 by aioboto3's transfer: a multipart upload of a few parts at a time.

aioboto3 reads from a pipe, and asks a client of ours, which passes on what it is asked. So the stream is read where it
belongs, in its own task; of what was read no more than a few parts wait to be sent; and a failure, or a cancellation,
which aioboto3 by itself would leave an unfinished upload after, ends in its AbortMultipartUpload.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

PART: Final = 5 * 1024 * 1024  # bytes, the fewest that S3 takes of all but the last
PARTS_AT_ONCE: Final = 2
READ: Final = 256 * 1024  # bytes that aioboto3 asks for at once; a part is a multiple of it


class UploadStopped(Exception):
    """The stream ended in a failure, or its reader was cancelled."""


class Upload:
    """`async with`: what is written is there after `finish`, or nothing is."""

    def __init__(self, client: "S3Client", request: Mapping[str, Any]) -> None:
        """`request` has `Bucket`, `Key`, and whatever both PutObject and CreateMultipartUpload take."""
        self._pipe = _Pipe()
        self._requests = _Requests(client, self._pipe)
        self._request = request
        self._transfer: asyncio.Task[None] | None = None
        self.size = 0  # bytes

    async def write(self, content: bytes) -> None:
        """Wait until there is room for more; raises what the SDK raised meanwhile."""
        self.size += len(content)
        for at in range(0, len(content), PART):
            await self._pipe.write(content[at : at + PART])

    async def finish(self) -> str:
        """The ETag of what is there now; raises what the SDK raised."""
        self._pipe.end()
        await asyncio.wait({self._running})
        self._pipe.check()
        self._running.result()
        return self._requests.etag

    async def __aenter__(self) -> Self:
        self._transfer = asyncio.create_task(self._upload())
        self._transfer.add_done_callback(self._note_end)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Unless it is finished: stop, and wait until S3 has nothing of it."""
        if not self._running.done():
            self._pipe.fail(UploadStopped())
            self._requests.stop()
            await asyncio.wait({self._running})

    @property
    def _running(self) -> asyncio.Task[None]:
        if self._transfer is None:
            raise RuntimeError("an upload is used within `async with`")
        return self._transfer

    async def _upload(self) -> None:
        from aioboto3.s3 import inject  # pyright: ignore[reportMissingTypeStubs]

        aioboto3: Any = inject
        config = aioboto3.S3TransferConfig(
            multipart_threshold=PART,
            multipart_chunksize=PART,
            max_request_concurrency=PARTS_AT_ONCE,
            io_chunksize=READ,  # its queue is never full: the pipe waits for parts that are not sent
        )
        request = dict(self._request)
        bucket, key = request.pop("Bucket"), request.pop("Key")
        await aioboto3.upload_fileobj(self._requests, self._pipe, bucket, key, ExtraArgs=request, Config=config)

    def _note_end(self, transfer: asyncio.Task[None]) -> None:
        if not transfer.cancelled() and (failure := transfer.exception()) is not None:
            self._pipe.fail(failure)


class _Pipe:
    """From the stream's task to aioboto3's; a failure is raised at both ends, the first for all."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._has_ended = False
        self._failure: BaseException | None = None
        self._unsent = 0  # bytes that were read and are not at S3
        self._change = asyncio.Event()

    async def write(self, content: bytes) -> None:
        self.check()
        self._content += content
        self._note()
        await self._until(lambda: len(self._content) < PART)
        self.check()

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes but at the end, so that parts have one size."""
        await self._until(
            lambda: (self._has_ended or len(self._content) >= size) and self._unsent <= PARTS_AT_ONCE * PART
        )
        self.check()
        content = bytes(self._content[:size])
        del self._content[:size]
        self._unsent += len(content)
        self._note()
        return content

    def note_sent(self, size: int) -> None:
        self._unsent -= size
        self._note()

    def end(self) -> None:
        self._has_ended = True
        self._note()

    def fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._note()

    def check(self) -> None:
        """Raises the failure, if there is one."""
        if self._failure is not None:
            raise self._failure

    def _note(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while self._failure is None and not condition():
            await self._change.wait()


class _Requests:
    """What aioboto3 takes for a client of S3.

    `stop` ends those under way, but the one that begins an upload: without its answer, nobody could abort what it has begun.
    """

    def __init__(self, client: "S3Client", pipe: _Pipe) -> None:
        self._client = client
        self._pipe = pipe
        self._tasks: set[asyncio.Task[Any]] = set()
        self.etag = ""

    async def create_multipart_upload(self, **request: Any) -> Any:  # noqa: ANN401
        return await self._client.create_multipart_upload(**request)

    async def upload_part(self, **request: Any) -> Any:  # noqa: ANN401
        answer = await self._ask(self._client.upload_part(**_as_file(request)))
        self._pipe.note_sent(len(request["Body"]))
        return answer

    async def complete_multipart_upload(self, **request: Any) -> Any:  # noqa: ANN401
        answer = await self._ask(self._client.complete_multipart_upload(**request))
        self.etag = answer["ETag"]
        return answer

    async def abort_multipart_upload(self, **request: Any) -> Any:  # noqa: ANN401
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)  # a part that came after the abort would stay, and cost
        return await self._client.abort_multipart_upload(**request)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _ask(self, request: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        task = asyncio.create_task(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task})
        failure = UploadStopped() if task.cancelled() else task.exception()
        if failure is not None:
            self._pipe.fail(failure)  # else aioboto3 would go on to read
            raise failure
        return task.result()


def _as_file(request: dict[str, Any]) -> dict[str, Any]:
    """With its body as a file: of bytes aiohttp sends all at once, and blocks the event loop."""
    return {**request, "Body": BytesIO(request["Body"])}
