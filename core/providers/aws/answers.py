"""What the SDK reads of an answer is bounded, and no request that may have been served is sent again.

Imported with the SDK, at the first call. Source of the frames: https://smithy.io/2.0/aws/amazon-eventstream.html.
"""

# ruff: noqa: SLF001, ANN401 - the SDK's responses have these to be set, but neither public nor typed
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any, Final
from zlib import crc32

from aiohttp import ClientConnectorError, StreamReader
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    BotoCoreError,
    ConnectionError,  # noqa: A004 - the SDK's own
    ConnectTimeoutError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.platform.aws_http import session_class
from core.platform.bounded import AnswerTooLarge, read_up_to

MOST_REFUSAL: Final = 64 * 1024  # bytes of an error's body
HEAD: Final = 12  # bytes at the beginning of a frame: its length, that of its headers, and the CRC of both
LEAST_FRAME: Final = 16  # bytes
NOT_SENT: Final = (ConnectTimeoutError, ProxyConnectionError, SSLError)


def bounded_session_class(limits: AnswerLimits) -> type:
    """For `http_session_cls` of the SDK's config."""
    theirs: Any = session_class()

    async def send(session: Any, request: Any) -> Any:
        streams, request.stream_output = request.stream_output, True  # else the SDK reads it to its end, at once
        response = await theirs.send(session, request)
        if streams and response.status_code < 300:  # noqa: PLR2004 - RFC 9110: a success
            response.raw.content = _Content(response.raw.content, limits)
            return response
        with closing(response.raw):  # if it was read to its end, its connection is kept
            most = limits.max_bytes if response.status_code < 300 else MOST_REFUSAL  # noqa: PLR2004
            response._content = await read_up_to(response.raw, most)
        return response

    return type("BoundedHttp", (theirs,), {"send": send})


class _Content:
    """The content of an answer that is read piece by piece: whole frames, or bytes."""

    def __init__(self, content: StreamReader, limits: AnswerLimits) -> None:
        self._content = content
        self._limits = limits
        self._remaining = limits.max_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, count: int = -1) -> bytes:
        """At most 64 KiB, if `count` is -1: whoever wants all of it must ask until there is no more."""
        data = await self._content.read(MOST_REFUSAL if count < 0 else count)
        self._remaining -= len(data)
        if self._remaining < 0:
            raise AnswerTooLarge
        return data

    async def iter_chunks(self) -> AsyncGenerator[tuple[bytes, bool]]:
        """Frames that came whole, joined: the SDK's own buffer is copied for every piece that comes."""
        pieces: list[bytes] = []
        size, needed, remaining = 0, HEAD, self._limits.max_stream_bytes
        async for piece in self._content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size < needed:
                continue
            data = b"".join(pieces)
            *frames, needed = self._measure(data)
            whole = sum(frames)
            remaining -= sum(max(length, LEAST_EVENT) for length in frames)
            if remaining < 0:
                raise AnswerTooLarge
            if whole:
                yield data[:whole], True
            if needed > self._limits.max_event_bytes:
                raise _fault(data[whole:])
            pieces, size = [data[whole:]], len(data) - whole
        yield b"".join(pieces), True

    def _measure(self, data: bytes) -> list[int]:
        """The lengths of the frames that are whole, and of the one after them, as far as it is known."""
        lengths: list[int] = []
        at, end, most = 0, len(data), self._limits.max_event_bytes
        while end - at >= HEAD:
            length = int.from_bytes(data[at : at + 4])
            length = max(length, LEAST_FRAME)
            lengths.append(length)
            at += length
            if at > end or length > most:
                return lengths
        return [*lengths, HEAD]


def _fault(frame: bytes) -> Exception:
    """Of a frame that says that it is too long: it is, or it was damaged."""
    expected, computed = int.from_bytes(frame[8:HEAD]), crc32(frame[:8])
    return AnswerTooLarge() if expected == computed else ChecksumMismatch(expected, computed)


def send_once(client: Any) -> None:
    """Have a client repeat no POST that may have been served, in whatever mode it tries again."""
    name = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"needs-retry.{name}", _refuse_repeat)


def _refuse_repeat(*, operation: Any, caught_exception: Exception | None = None, **_: Any) -> None:
    """Raise what was caught, where bytes of the request may have reached the service."""
    if isinstance(caught_exception, ConnectionError | HTTPClientError) and operation.http.get("method") == "POST":
        if isinstance(caught_exception, NOT_SENT) or isinstance(_cause(caught_exception), ClientConnectorError):
            return
        raise caught_exception


def _cause(failure: BotoCoreError) -> object:
    return failure.kwargs.get("error")
