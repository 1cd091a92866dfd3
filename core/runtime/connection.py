"""One kept-alive HTTP/1.1 connection: as much of RFC 9112 as Lambda's Runtime API speaks.

Of our own, because request bodies leave in chunks with trailers, and because no HTTP library may weigh on a cold start.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

LONGEST_HEAD: Final = 1024 * 1024  # bytes; Lambda sends a client's context as a header
NO_BODY: Final = frozenset({204, 304})  # statuses: RFC 9110, 6.4.1


class HungUp(Exception):
    """The other side cannot be reached, closed the connection, or does not speak HTTP."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """`headers` by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class Connection:
    """What is sent may be answered before it is whole: the two directions are independent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str) -> Self:
        """Connect to `address`, a host and a port; raises HungUp."""
        host, _, port = address.rpartition(":")
        try:
            return cls(*await asyncio.open_connection(host, int(port), limit=LONGEST_HEAD))
        except (OSError, ValueError) as failure:
            raise HungUp(f"{address} cannot be reached") from failure

    @property
    def usable(self) -> bool:
        """Whether another request may be sent; the other side may yet have closed it."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def send(self, data: bytes) -> None:
        """Wait while the other side reads slowly; raises HungUp."""
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as failure:
            raise HungUp("the connection was closed") from failure

    async def reply(self) -> HttpReply:
        """The next response, whole; there is no timeout. Raises HungUp."""
        try:
            status, headers = _head(await self._reader.readuntil(b"\r\n\r\n"))
            body = b"" if status in NO_BODY else await self._body(headers)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as failure:
            self.close()
            raise HungUp("the connection was closed before the end of a reply") from failure
        if headers.get("connection", "").lower() == "close":
            self.close()
        return HttpReply(status, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()

    async def _chunks(self) -> bytes:
        chunks: list[bytes] = []
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            chunks.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(chunks)

    def close(self) -> None:
        """Close both directions; may be called again."""
        self._writer.close()

    async def aclose(self) -> None:
        """Close it, and wait until it is closed."""
        self.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers; raises ValueError."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    pairs = (line.partition(":") for line in lines)
    return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}


def request_head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """What comes before a request's body; `headers` must be ASCII without line breaks."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


def chunk(data: bytes) -> bytes:
    """A chunk of a chunked body; `data` must not be empty, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Mapping[str, str]) -> bytes:
    """What ends a chunked body."""
    return b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers.items()).encode("ascii") + b"\r\n"
