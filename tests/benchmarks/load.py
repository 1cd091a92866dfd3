"""Load over keep-alive connections by a client that does as little as HTTP allows."""

import asyncio
from statistics import median
import time

BODY = b'{"model":"%s","messages":[{"role":"user","content":"Say hello to the world."}],"max_tokens":64}'


def post(model: str, bearer: str = "") -> bytes:
    body = BODY % model.encode()
    token = b"authorization: Bearer %s\r\n" % bearer.encode() if bearer else b""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    return head % len(body) + token + b"\r\n" + body


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % path.encode()


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> bytes:
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        return await self.reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))


async def connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024))


async def _latency(port: int, request: bytes, times: int) -> float:
    connection = await connect(port)
    took: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        await connection.ask(request)
        took.append(time.perf_counter() - start)
    connection.writer.close()
    return median(took)


async def _rate(port: int, request: bytes, connections: int, seconds: float) -> float:
    opened = [await connect(port) for _ in range(connections)]
    end = time.perf_counter() + seconds
    answered = 0

    async def work(connection: Connection) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await connection.ask(request)
            answered += 1

    await asyncio.gather(*map(work, opened))
    for connection in opened:
        connection.writer.close()
    return answered / seconds


def p50(port: int, request: bytes, *, times: int = 300) -> float:
    """Median seconds per request at one connection."""
    return asyncio.run(_latency(port, request, times))


def rate(port: int, request: bytes, *, connections: int = 16, seconds: float = 2.0) -> float:
    """Requests per second."""
    return asyncio.run(_rate(port, request, connections, seconds))
