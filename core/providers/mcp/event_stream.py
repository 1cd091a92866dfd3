"""Server-sent events with their names and ids, by which MCP says what they are and where a broken stream goes on.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.providers.http.events import Failure, Lines

MOST_ID: Final = 1024  # bytes
LONGEST_RETRY: Final = 3_600_000  # milliseconds


class EventReader:
    """One stream: `last_id` is the id of its last event, "" while there was none; `retry` is in seconds, None where it says nothing."""

    def __init__(self, limits: AnswerLimits, failure: Failure) -> None:
        """Raises what `failure` makes, for more of an event, or of the stream, than is taken."""
        self.last_id = ""
        self.retry: float | None = None
        self._lines = Lines(limits.max_event_bytes, failure)
        self._most = limits.max_event_bytes
        self._remaining = limits.max_stream_bytes
        self._failure = failure
        self._data: list[bytes] = []
        self._name = b""
        self._size = 0

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes]]:
        """Name and data of each event that has data: one that primes a stream has an id alone. A last one needs no blank line."""
        async for chunk in chunks:
            for line in self._lines.feed(chunk):
                if (event := self._take(line)) is not None:
                    yield event
        if (event := self._take(self._lines.rest()) or self._take(b"")) is not None:
            yield event

    def _take(self, line: bytes) -> tuple[str, bytes] | None:
        self._size += len(line) + 1
        if self._size > self._most:
            raise self._failure("sent an event that is too long")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._name = value
            case b"id" if len(value) <= MOST_ID and value.isascii() and value.decode().isprintable():
                self.last_id = value.decode()
            case b"retry" if value.isdigit():
                self.retry = min(int(value[:9]), LONGEST_RETRY) / 1000
            case _:
                pass
        return None

    def _dispatch(self) -> tuple[str, bytes] | None:
        name, data = self._name.decode(errors="replace") or "message", b"\n".join(self._data)
        self._name, self._data = b"", []
        if not data:
            return None  # what says nothing, as comments, is counted with the next one
        self._remaining -= max(LEAST_EVENT, self._size)
        self._size = 0
        if self._remaining < 0:
            raise self._failure("sent a stream that is too long")
        return name, data
