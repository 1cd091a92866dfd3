"""uvicorn's HTTP/1.1 with our error body, and with an end to what may come before a request is whole.

What is no HTTP never reaches the app: uvicorn answers it alone, in plain text, and with httptools takes heads of any size.
"""

import asyncio
from http import HTTPStatus
import re
import sys
from typing import Any, Final, override

from pydantic_core import to_json

from core.errors import ApiError, HeadTooLarge, InvalidRequest

MOST_HEAD: Final = 65_536  # bytes without an end of headers, of a chunk's size or of trailers; h11's own bound, too
LINGER_SECONDS: Final = 1.0  # in which a client may read why, before what it still sends makes its system drop that
LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
AUTHORITY: Final = re.compile(rb"[^:/?#]+://([^/?#]*)")
HEAD_START: Final = b"HTTP/1.1 "
MOST_JOINED: Final = 65_536  # bytes of a body that are copied behind its head; longer ones go in a write of their own


class JoiningTransport:
    """Writes an answer's head with the start of its body, where both come in one turn of the event loop.

    uvicorn writes them apart: two system calls, and two packets for the client to wake up for.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """What begins as a head waits for what is written next, at most until the loop's next turn."""
        if self._head:
            if len(data) > MOST_JOINED:
                self._flush()
            else:
                data, self._head = self._head + data, b""
        elif data.startswith(HEAD_START):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class ErrorShape(asyncio.Protocol):
    """Over one of uvicorn's protocols: its own refusals as ours, and the parts of an answer together."""

    cycle: Any
    flow: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    is_refused = False

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn, where the request cannot be read."""
        hint = getattr(sys.exception(), "error_status_hint", None)  # h11's
        self.refuse(HeadTooLarge(MOST_HEAD) if hint == HeadTooLarge.status else InvalidRequest(msg))

    def refuse(self, failure: ApiError) -> None:
        """Answer once, read nothing more, and close; an answer that is on its way is not written into."""
        self.is_refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:  # what is wrong came behind a whole request, which is answered
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or getattr(self, "pipeline", None):
                self.transport.close()
                return
        self.transport.write(_answer(failure))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _answer(failure: ApiError) -> bytes:
    body = to_json(failure.body())
    head = (
        f"HTTP/1.1 {failure.status} {HTTPStatus(failure.status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def _name_host(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """The authority of a whole URL is the host (RFC 9112, 3.2.2); where Host says another, both are there to be seen."""
    match = AUTHORITY.match(target)
    if match is not None and match[1].lower() not in [value.lower() for name, value in headers if name == b"host"]:
        headers.append((b"host", match[1]))


def protocol_class() -> type[asyncio.Protocol]:
    """The one of httptools where that is installed, else the one of h11."""
    try:
        return _httptools_class()
    except ModuleNotFoundError:  # not made for every platform
        return _h11_class()


def _httptools_class() -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(ErrorShape, HttpToolsProtocol):
        _pending = 0  # bytes since the last that were of use

        @override
        def data_received(self, data: bytes) -> None:
            if self.is_refused:
                return
            self._pending += len(data)
            super().data_received(data)
            if self._pending > MOST_HEAD and not self.is_refused:
                self.refuse(HeadTooLarge(MOST_HEAD))

        @override
        def on_headers_complete(self) -> None:
            self._pending = 0
            if not self.url.startswith(b"/"):
                _name_host(self.url, self.headers)
            super().on_headers_complete()
            self.headers = []  # of their own: trailers, which come later, are no headers

        @override
        def on_body(self, body: bytes) -> None:
            self._pending = 0
            super().on_body(body)

        @override
        def on_message_complete(self) -> None:
            self._pending = 0
            super().on_message_complete()

    return Protocol


def _h11_class() -> type[asyncio.Protocol]:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(h11.Connection):
        @override
        def next_event(self) -> Any:
            """As h11's, but a body with two lengths is none (RFC 9112, 6.1): what is before this server may go by the other."""
            event = super().next_event()
            if isinstance(event, h11.Request) and {name for name, _ in event.headers} >= LENGTHS:
                raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding")
            return event

    class Protocol(ErrorShape, H11Protocol):
        @override
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.conn = Connection(h11.SERVER, MOST_HEAD)

        @override
        def data_received(self, data: bytes) -> None:
            if not self.is_refused:
                super().data_received(data)

    return Protocol
