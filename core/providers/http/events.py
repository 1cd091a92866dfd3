"""Server-sent events as an upstream sends them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Three things are taken more leniently than there: a
last event without its blank line counts, a field `error`, as llama.cpp has it, is an event of that name, and so the data
of an event `error` need not say that it is one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

from pydantic_core import to_json

from core.config.answer_limits import LEAST_EVENT, AnswerLimits
from core.errors import UpstreamFailed
from core.providers.http.replies import read_repaired

BOM: Final = b"\xef\xbb\xbf"
ERROR: Final = b"error"
SIGNS_OF_LIFE: Final = frozenset({b"heartbeat", b"keep-alive", b"keepalive", b"ping"})
"""Names of events that say nothing."""

type Failure = Callable[[str], UpstreamFailed]


async def read_events(
    chunks: AsyncIterator[bytes], limits: AnswerLimits, failure: Failure, *, head: bytes = b""
) -> AsyncGenerator[bytes]:
    """The data of each event, which is not empty; that of an event `error` is an error body. All bytes are counted.

    `head` came before the chunks. Raises what `failure` makes, where there is more of an event, or of the stream, than is
    taken.
    """
    reader = _Events(limits, failure)
    for event in reader.feed(head):
        yield event
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
    if last := reader.rest():
        yield last


class _Events:
    __slots__ = ("_between", "_data", "_failure", "_lines", "_most", "_name", "_remaining", "_size")

    def __init__(self, limits: AnswerLimits, failure: Failure) -> None:
        self._lines = Lines(limits.max_event_bytes, failure)
        self._most = limits.max_event_bytes
        self._remaining = limits.max_stream_bytes
        self._failure = failure
        self._data: list[bytes] = []
        self._name = b""
        self._between = False  # neither in an event nor in a line
        self._size = 0  # bytes since the last event

    def feed(self, chunk: bytes) -> list[bytes]:
        """Those that this chunk ends. What says nothing, as comments do, is counted with the next one."""
        # One event alone, as most servers write them, is told in a third of the time.
        if self._between and chunk.find(b"\n") == len(chunk) - 2 and _is_plain(chunk):
            self._spend(self._size + len(chunk))
            self._size = 0
            return [chunk[6:-2]]
        lines = self._lines.feed(chunk)
        self._between = False
        return self._read(lines) if lines else []

    def _read(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data, size = self._data, self._size
        for line in lines:
            size += len(line) + 1
            if line.startswith(b"data: "):
                data.append(line[6:])
            elif line:
                self._name = _read_field(line, data, self._name)
            else:
                content = _content(data, self._name) if self._name or len(data) != 1 else data[0]
                self._data = data = []
                self._name = b""
                if content:
                    self._spend(size)
                    size = 0
                    events.append(content)
        self._size = size
        if size > self._most:
            raise _too_long(self._failure)
        self._between = not data and not self._name and self._lines.between
        return events

    def rest(self) -> bytes:
        """A last event without its blank line."""
        name = _read_field(self._lines.rest(), self._data, self._name)
        return _content(self._data, name)

    def _spend(self, size: int) -> None:
        if size > self._most:
            raise _too_long(self._failure)
        self._remaining -= max(LEAST_EVENT, size)
        if self._remaining < 0:
            raise self._failure("sent a stream that is too long")


def _read_field(line: bytes, data: list[bytes], name: bytes) -> bytes:
    """Add what a line has of the data; the event's name from there on."""
    field, _, value = line.partition(b":")
    value = value.removeprefix(b" ")
    if field == b"data":
        data.append(value)
    elif field == ERROR:
        data.append(value)
        return ERROR
    return value if field == b"event" else name


def _content(data: list[bytes], name: bytes) -> bytes:
    content = b"" if name in SIGNS_OF_LIFE else b"\n".join(data)
    return _error_body(content) if name == ERROR and content else content


def _error_body(content: bytes) -> bytes:
    try:
        error: Any = read_repaired(content)
    except ValueError:
        error = content.decode(errors="replace")
    return content if isinstance(error, dict) and "error" in error else to_json({"error": error}, inf_nan_mode="null")


def _is_plain(chunk: bytes) -> bool:
    return (
        chunk.startswith(b"data: ")
        and chunk.endswith(b"\n\n")
        and b"\r" not in chunk
        and len(chunk) > len(b"data: \n\n")
    )


class Lines:
    """Lines without their ends; the pieces of a long one are joined once."""

    __slots__ = ("_after_cr", "_begun", "_failure", "_most", "_pieces", "_size")

    def __init__(self, most: int, failure: Failure) -> None:
        self._most = most
        self._failure = failure
        self._pieces: list[bytes] = []
        self._size = 0
        self._begun = False
        self._after_cr = False

    @property
    def between(self) -> bool:
        """Whether the next byte begins a line."""
        return self._begun and not self._size and not self._after_cr

    def feed(self, chunk: bytes) -> list[bytes]:
        """Those that this chunk ends."""
        if b"\r" in chunk or self._after_cr:
            chunk = self._with_line_feeds(chunk)
        self._pieces.append(chunk)
        if b"\n" not in chunk:
            self._size += len(chunk)
            if self._size > self._most:
                raise _too_long(self._failure)
            return []
        lines = (b"".join(self._pieces) if self._size else chunk).split(b"\n")
        rest = lines.pop()
        self._pieces, self._size = [rest], len(rest)
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    def rest(self) -> bytes:
        """A last line that has no end."""
        line = b"".join(self._pieces)
        return line if self._begun else line.removeprefix(BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        rest = chunk.removeprefix(b"\n") if self._after_cr else chunk  # a CR and what follows may be one end of a line
        if chunk:
            self._after_cr = rest.endswith(b"\r")
        return rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _too_long(failure: Failure) -> UpstreamFailed:
    return failure("sent an event that is too long")
