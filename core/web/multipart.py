"""multipart/form-data as a stream of its parts: python-multipart's parser, fed as the body arrives."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
import logging
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.errors import InvalidRequest

MOST_PARTS: Final = 128
MOST_HEADERS: Final = 8  # of a part; RFC 7578 knows three
LONGEST_HEADER: Final = 4096  # bytes

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings repeat what the caller is told


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part; `filename` is None where it has none, and is as the client sent it."""

    name: str
    filename: str | None = None
    media_type: str = ""


class End(Enum):
    """The end of a part's content."""

    END = auto()


type Event = Part | bytes | End


def boundary_of(content_type: str) -> bytes:
    """What separates the parts; raises InvalidRequest where the header does not say."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise InvalidRequest("The header Content-Type names no boundary.")
    return boundary


async def parts(boundary: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
    """Each part, then its content in pieces, then End; the rest of the body is read and dropped.

    Raises:
        InvalidRequest: it is not such a form, has too many parts or headers, or ends before its end.
    """
    try:
        parser = _Parser(boundary)
        async for chunk in chunks:
            for event in parser.feed(chunk):
                yield event
    except FormParserError as failure:
        raise InvalidRequest(f"The form cannot be read: {failure}.") from None
    if not parser.is_whole:
        raise InvalidRequest("The form ends before its last boundary: a part of it is missing.")


class _Parser:
    def __init__(self, boundary: bytes) -> None:
        self.is_whole = False
        self._events: list[Event] = []
        self._count = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=LONGEST_HEADER,
        )

    def feed(self, data: bytes) -> list[Event]:
        self._events = []
        self._parser.write(data)
        return self._events

    def _on_part_begin(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise InvalidRequest(f"A form has at most {MOST_PARTS} parts.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("Each part of a form needs a header Content-Disposition: form-data with a name.")
        filename = options.get(b"filename")
        media_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self._events.append(Part(_text(options[b"name"]), None if filename is None else _text(filename), media_type))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(End.END)

    def _on_end(self) -> None:
        self.is_whole = True


def _text(name: bytes) -> str:
    """A name as browsers write it: UTF-8, a quotation mark percent-encoded."""
    return name.decode("utf-8", "replace").replace("%22", '"')
