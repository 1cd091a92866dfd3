"""Server-sent events as an upstream sends them, as far as the OpenAI wire uses them: `data:` fields, ended by a blank line.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.errors import UpstreamFailed

BLANK: Final = (b"", b"\r")

type Failure = Callable[[str], UpstreamFailed]


async def read_events(chunks: AsyncIterator[bytes], limits: AnswerLimits, failure: Failure) -> AsyncGenerator[bytes]:
    """The data of each event. Lines end with LF or CRLF; comments and other fields are skipped, but counted.

    Raises what `failure` makes, where there is more of an event, or of the stream, than is taken.
    """
    most, remaining = limits.max_event_bytes, limits.max_stream_bytes
    data: list[bytes] = []
    reader = _Lines(most, failure)
    size = 0  # bytes since the last event
    async for chunk in chunks:
        for line in reader.feed(chunk):
            size += len(line) + 1
            if size > most:
                raise _too_long(failure)
            if line.startswith(b"data:"):
                data.append(line[5:].removesuffix(b"\r").removeprefix(b" "))
            elif data and line in BLANK:
                remaining -= max(LEAST_EVENT, size)
                if remaining < 0:
                    raise failure("sent a stream that is too long")
                yield data[0] if len(data) == 1 else b"\n".join(data)
                data, size = [], 0
    if last := [*data, *reader.rest()]:
        yield b"\n".join(last)


class _Lines:
    """Lines without their ends; the pieces of a long one are joined once."""

    __slots__ = ("_failure", "_most", "_pieces", "_size")

    def __init__(self, most: int, failure: Failure) -> None:
        self._most = most
        self._failure = failure
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Those that this chunk ends."""
        self._pieces.append(chunk)
        self._size += len(chunk)
        lines: list[bytes] = []
        if b"\n" in chunk:
            *lines, rest = b"".join(self._pieces).split(b"\n")
            self._pieces, self._size = [rest], len(rest)
        if self._size > self._most:
            raise _too_long(self._failure)
        return lines

    def rest(self) -> list[bytes]:
        """The data of a last line that has no end."""
        line = b"".join(self._pieces)
        return [line[5:].removesuffix(b"\r").removeprefix(b" ")] if line.startswith(b"data:") else []


def _too_long(failure: Failure) -> UpstreamFailed:
    return failure("sent an event that is too long")
