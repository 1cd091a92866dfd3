"""Answers of bytes, whole or a range of them (RFC 9110, 13 and 14), and redirects.

Several ranges at once are answered with the whole: nobody asks for them but to make work.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
import re
from typing import Final, override
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from core.errors import ApiError, RangeNotSatisfiable
from core.frame.content import Bytes, Redirect
from core.web.exchange import Exchange
from core.web.failures import attempt
from core.web.headers import clean_headers
from core.web.streamed import StreamedResponse

PARTIAL: Final = 206
FOUND: Final = 302
NOT_MODIFIED: Final = 304
RANGE: Final = re.compile(r"bytes=[ \t]*(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))[ \t]*", re.IGNORECASE)
TAG: Final = re.compile(r'(?:W/)?"([^"]*)"')
MEDIA_TYPE: Final = re.compile(r"[!-~][ -~]*")
URL_CHARACTERS: Final = ":/%#?=@[]!$&'()*+,;~"
QUOTED: Final = re.compile(r"[^ !#-\[\]-~]")  # what a quoted file name cannot have


class IncompleteBytes(Exception):
    """The bytes of an answer ended early; its length has been sent, so the connection must not end well."""


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` to before `stop`; `partial` is an answer to a range."""

    start: int
    stop: int
    partial: bool = False


async def respond(content: Bytes | Redirect, exchange: Exchange) -> Response:
    """The response; what fails before its first byte is raised."""
    if isinstance(content, Redirect):
        headers = {"location": quote(content.url, safe=URL_CHARACTERS), "cache-control": "no-store"}
        return Response(status_code=FOUND, headers=headers)
    request = exchange.request
    headers = _headers(content)
    if content.etag and names_tag(request.headers.get("if-none-match", ""), content.etag):
        return Response(status_code=NOT_MODIFIED, headers={"etag": headers["etag"]})
    span = _requested_span(request, content)
    headers["content-length"] = str(span.stop - span.start)
    if span.partial:
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{content.size}"
    status = PARTIAL if span.partial else exchange.operation.success if exchange.operation else 200
    if request.method == "HEAD" or span.start == span.stop:
        return Response(status_code=status, headers=headers)
    chunks = content.read(span.start, span.stop)
    first = await anext(chunks, b"")
    response = ByteStream(_continue(first, chunks), span.stop - span.start, status, headers)
    response.call = exchange.call
    return response


def span_of(header: str, size: int) -> Span:
    """What a Range header asks of `size` bytes: all of them where it is in no form that is answered.

    Raises:
        RangeNotSatisfiable: there are no such bytes.
    """
    match = RANGE.fullmatch(header)
    if match is None:
        return Span(0, size)
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(size - int(suffix), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return Span(0, size)  # RFC 9110, 14.1.1: no valid range
    if start >= size:
        raise RangeNotSatisfiable(size)
    return Span(start, stop, partial=True)


def disposition(filename: str) -> str:
    """`attachment`, under this name: in ASCII for old clients, and in full (RFC 6266, RFC 8187).

    Never inline: a browser would run what a user has uploaded.
    """
    if not filename:
        return "attachment"
    plain = QUOTED.sub("_", filename)
    return f'attachment; filename="{plain}"' + (
        "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    )


def _requested_span(request: Request, content: Bytes) -> Span:
    condition = request.headers.get("if-range")
    # Only a strong tag keeps a range: what has changed since is sent whole.
    if condition is not None and (not content.etag or condition.strip() != f'"{content.etag}"'):
        return Span(0, content.size)
    return span_of(request.headers.get("range", ""), content.size)


def names_tag(header: str, etag: str) -> bool:
    """Whether an If-None-Match names this tag."""
    return header.strip() == "*" or etag in TAG.findall(header)


def _headers(content: Bytes) -> dict[str, str]:
    headers = {
        "content-type": content.media_type if MEDIA_TYPE.fullmatch(content.media_type) else "application/octet-stream",
        "content-disposition": disposition(content.filename),
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        **({"etag": f'"{content.etag}"'} if content.etag else {}),
    }
    return clean_headers(headers)


async def _continue(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """`chunks` again from their first, closed with this."""
    try:
        if first:
            yield first
        async for chunk in chunks:
            if chunk:
                yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


class ByteStream(StreamedResponse):
    """Sends exactly `length` bytes; where the source breaks, the connection does."""

    def __init__(self, source: AsyncGenerator[bytes], length: int, status: int, headers: dict[str, str]) -> None:
        super().__init__(source, status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()])
        self._left = length

    @override
    async def _send(self, send: Send, until: float | None) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._left:
            chunk = await attempt(anext(self._source, b""), until)
            if isinstance(chunk, ApiError) or not chunk:
                self.failed = True
                raise IncompleteBytes(f"{self._left} bytes are missing.")
            self._left -= len(chunk := chunk[: self._left])
            if not self._left:
                self.ended = True
                await self._close()
            await send({"type": "http.response.body", "body": chunk, "more_body": self._left > 0})
