"""A POST of a small body is what aiohttp makes of it, and fails as aiohttp fails."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
import socket
import struct

import aiohttp
import pytest
from yarl import URL

from core.platform.quick_session import MOST_BODY, QuickSession

type Ask = Callable[[URL, Mapping[str, str], bytes], Awaitable[aiohttp.ClientResponse]]
type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OWN = {"content-type": "application/json", "x-own": "Käse"}
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
PATIENCE = aiohttp.ClientTimeout(total=20, sock_read=20)
SHORT = 0.05  # seconds


class Server:
    """Reads a request after another, as they come, and answers each with `answer`."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            [length] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.requests.append(head + await reader.readexactly(length))
            writer.write(self.answer)
            if not self.answer.startswith(b"HTTP"):
                writer.close()


@asynccontextmanager
async def listening(serve: Serve) -> AsyncGenerator[URL]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat?a=%2F", encoded=True)
    finally:
        server.close()


@asynccontextmanager
async def both(
    patience: aiohttp.ClientTimeout = PATIENCE, occupied: URL | None = None
) -> AsyncGenerator[tuple[Ask, Ask]]:
    """Our POST, and aiohttp's; with `occupied`, a POST there has the only connection that may be."""
    connector = aiohttp.TCPConnector(limit=0 if occupied is None else 1)
    theirs = aiohttp.ClientSession(connector=connector, headers=OWN, timeout=patience)
    async with QuickSession(theirs, connector) as ours, AsyncExitStack() as stack:
        if occupied is not None:
            await stack.enter_async_context(theirs.post(occupied, data=b"", timeout=PATIENCE))
        yield (
            lambda url, headers, body: ours.request("POST", url, headers, body),
            lambda url, headers, body: theirs.post(url, headers=headers, data=body, allow_redirects=False),
        )


def read_request(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The line, the headers in an order of their own, and the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return line, sorted(headers), body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({}, b""),
        ({"authorization": "Bearer k", "traceparent": "00-1-2-01"}, b'{"a": 1}'),
        ({"x-name": "Ökonomie"}, b"{}"),
        ({"Content-Type": "text/plain", "X-OWN": "another"}, b"{}"),
        ({"host": "example.org"}, b"{}"),
        ({"content-length": "2"}, b"{}"),
        ({}, b"x" * (MOST_BODY + 1)),
    ],
    ids=[
        "plain",
        "empty",
        "key and trace",
        "not ASCII",
        "in the place of the session's",
        "another host",
        "a length",
        "long",
    ],
)
async def test_what_is_sent_is_what_aiohttp_sends(headers: dict[str, str], body: bytes) -> None:
    server = Server(WHOLE)
    async with listening(server) as url, both() as asks:
        for ask in asks:
            async with await ask(url, headers, body) as response:
                assert (response.status, await response.read(), response.request_info.url) == (200, b"hi", url)
    ours, theirs = map(read_request, server.requests)
    assert ours == theirs
    assert server.connections == 1


async def test_a_connection_is_used_again_for_another_place() -> None:
    server = Server(WHOLE)
    async with listening(server) as url, both() as (ask, _):
        for path in ("/a", "/b", "/a"):
            async with await ask(url.with_path(path), {}, b"1") as response:
                await response.read()
    assert [request.partition(b" HTTP")[0] for request in server.requests] == [b"POST /a", b"POST /b", b"POST /a"]
    assert server.connections == 1


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


FAILURES: dict[str, tuple[Serve, aiohttp.ClientTimeout, dict[str, str]]] = {
    "closed without a word": (Server(b""), PATIENCE, {}),
    "reset": (reset, PATIENCE, {}),
    "no HTTP": (Server(b"SSH-2.0-OpenSSH_9.9\r\n"), PATIENCE, {}),
    "its time is up": (silence, aiohttp.ClientTimeout(total=SHORT), {}),
    "no bytes for long": (silence, aiohttp.ClientTimeout(sock_read=SHORT), {}),
    "two headers in one": (Server(WHOLE), PATIENCE, {"x-name": "a\r\nx-other: b"}),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_it_fails_as_aiohttp_fails(name: str) -> None:
    serve, patience, headers = FAILURES[name]
    failures = list[type[BaseException]]()
    async with listening(serve) as url, both(patience) as asks:
        for ask in asks:
            with pytest.raises((aiohttp.ClientError, TimeoutError, ValueError)) as caught:
                await ask(url, headers, b"{}")
            failures.append(caught.type)
    assert failures[0] is failures[1]


@pytest.mark.parametrize("patience", [aiohttp.ClientTimeout(total=SHORT), aiohttp.ClientTimeout(connect=SHORT)])
async def test_who_gets_no_connection_in_time_is_told_as_by_aiohttp(patience: aiohttp.ClientTimeout) -> None:
    failures = list[type[BaseException]]()
    unfinished = Server(WHOLE.replace(b": 2", b": 3"))
    async with listening(unfinished) as url, both(patience, occupied=url) as asks:
        for ask in asks:
            with pytest.raises(TimeoutError) as caught:
                await ask(url, {}, b"{}")
            failures.append(caught.type)
    assert failures[0] is failures[1]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http:///v1"])
async def test_a_place_that_is_none_fails_as_aiohttp_says(url: str) -> None:
    failures = list[type[BaseException]]()
    async with both() as asks:
        for ask in asks:
            with pytest.raises(aiohttp.ClientError) as caught:
                await ask(URL(url), {}, b"{}")
            failures.append(caught.type)
    assert failures[0] is failures[1]


async def test_who_is_cancelled_leaves_no_connection_behind() -> None:
    arrived = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await silence(reader, writer)  # ends with the connection
        ended.set()

    ended = asyncio.Event()
    async with listening(keep) as url, both() as (ask, _):
        task = asyncio.ensure_future(ask(url, {}, b"{}"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 10)
