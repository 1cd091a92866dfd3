"""An upstream that writes bytes, and counts what it was asked: for answers that no HTTP server gives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

type Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class RawUpstream:
    """`answers` in turn, the last one for ever; after each the connection is closed, unless it is `kept`."""

    answers: list[Answer]
    kept: bool = False
    url: str = ""
    asked: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            self.asked.append(head.partition(b"\r\n")[0])
            await self.answers[min(len(self.asked), len(self.answers)) - 1](writer)
            await writer.drain()
            if not self.kept:
                return


def _length(head: bytes) -> int:
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def written(*pieces: bytes) -> Answer:
    """These bytes."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


def json_answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Answer:
    lines = [b"HTTP/1.1 " + status, b"content-type: application/json", b"content-length: %d" % len(body), *headers]
    return written(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def endless(head: bytes, piece: bytes, *, pause: float = 0, chunked: bool = True) -> Answer:
    """`piece` again and again until the other side has enough."""
    data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in count():
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


@asynccontextmanager
async def running_raw(*answers: Answer, kept: bool = False) -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream(list(answers), kept)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(upstream.serve(reader, writer))
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await task

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
