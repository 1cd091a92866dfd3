"""The lines of a file that comes in chunks: where each is, and what it has, with no more of the file in memory than a line."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

LINE_BREAK: Final = b"\n"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """The line `number`, from 1, at the bytes from `start` to before `stop`, without its break; `content` is None of one that is too long."""

    number: int
    start: int
    stop: int
    content: bytes | None = field(repr=False)


class LineSplitter:
    """Gives every line with something in it; those of more than `most` bytes are counted, and not kept."""

    def __init__(self, most: int, start: int = 0) -> None:
        """`start` is where the first chunk is in the file."""
        self._most = most
        self._number = 0
        self._start = start
        self._stop = start
        self._pieces: list[bytes] = []
        self._is_blank = True

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in the chunk."""
        *ends, rest = chunk.split(LINE_BREAK)
        for piece in ends:
            self._add(piece)
            yield from self._line()
            self._start = self._stop = self._stop + len(LINE_BREAK)
        self._add(rest)

    def end(self) -> Iterator[Line]:
        """The last line, which needs no break."""
        if self._stop > self._start:
            yield from self._line()

    def _add(self, piece: bytes) -> None:
        self._stop += len(piece)
        self._is_blank = self._is_blank and not piece.strip()
        if self._stop - self._start <= self._most:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def _line(self) -> Iterator[Line]:
        self._number += 1
        size, is_blank = self._stop - self._start, self._is_blank
        content = b"".join(self._pieces) if size <= self._most else None
        self._pieces.clear()
        self._is_blank = True
        if self._start == 0 and content is not None:
            content = content.removeprefix(BYTE_ORDER_MARK)
            is_blank = not content.strip()
        if not is_blank:
            yield Line(self._number, self._start, self._stop, content)


async def read_lines(chunks: AsyncIterator[bytes], most: int, start: int = 0) -> AsyncIterator[Line]:
    """The lines of the chunks; see LineSplitter."""
    async for lines in read_batches(chunks, most, start):
        for line in lines:
            yield line


async def read_batches(chunks: AsyncIterator[bytes], most: int, start: int = 0) -> AsyncIterator[Iterable[Line]]:
    """As read_lines, by the chunks that the lines end in."""
    splitter = LineSplitter(most, start)
    async for chunk in chunks:
        yield splitter.feed(chunk)
    yield splitter.end()
