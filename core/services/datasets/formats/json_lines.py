"""Rows of JSON lines: one object a line, blank lines left out."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from core.services.datasets.formats.rules import EncodedRow, Place, RowBlock, RowBounds, read_row, too_long
from core.services.datasets.formats.sniffing import BOM

PART: Final = 256 * 1024
"""Bytes that are read at a time: what their rows are made of is in the processor's cache, and again for the next ones."""
READ: Final = partial[Any](from_json, allow_inf_nan=False, cache_strings="keys")
"""As `core.platform.json_reader.read_json` reads bytes; of what values are, hardly any come twice."""


async def read_json_lines(chunks: AsyncIterator[bytes], name: str, bounds: RowBounds) -> AsyncIterator[RowBlock]:
    """The rows of a part at a time. Raises InvalidRequest, which names the line."""
    number, pieces, size = 0, list[bytes](), 0
    async for chunk in _parts(chunks):
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            lines[0] = b"".join((*pieces, lines[0]))
            yield _read(lines, Place(name, number + 1), bounds)
            number, pieces, size = number + len(lines), [], 0
        pieces.append(rest)
        size += len(rest)
        if size > bounds.row_bytes:
            raise too_long(Place(name, number + 1), bounds)
    yield _read([b"".join(pieces)], Place(name, number + 1), bounds)


async def _parts(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        for begin in range(0, len(chunk), PART):
            yield chunk[begin : begin + PART]


def _read(lines: list[bytes], first: Place, bounds: RowBounds) -> RowBlock:
    return _read_usual(lines, first, bounds) or RowBlock.of(_read_each(lines, first, bounds))


def _read_usual(lines: list[bytes], first: Place, bounds: RowBounds) -> RowBlock | None:
    """All of them by functions in C, twice as fast as one by one; None where one of them is not as usual."""
    texts = [text for line in lines if (text := line.strip())]
    if first.line == 1 or not texts or max(map(len, texts)) > bounds.row_bytes or b"\r" in b"".join(texts):
        return None
    try:
        rows = list(map(READ, texts))
    except ValueError:
        return None
    return RowBlock(rows, texts) if set(map(type, rows)) == {dict} else None


def _read_each(lines: list[bytes], first: Place, bounds: RowBounds) -> Iterator[EncodedRow]:
    for number, line in enumerate(lines, first.line):
        text = line.strip()
        if number == 1:
            text = text.removeprefix(BOM).lstrip()
        if len(text) > bounds.row_bytes:
            raise too_long(Place(first.name, number), bounds)
        if text:
            yield read_row(text, first.name, number)
