"""Rows of CSV or TSV: the first record has the names of the columns, and cells are typed by what they look like.

Numbers, `true` and `false` are read as such, as pandas reads them, an empty cell is null; a number with leading zeros or more digits
than 64 bits hold stays text, for it is an identifier. Quoted cells may have line breaks. Sources: RFC 4180, pandas.read_csv.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
import csv
from itertools import zip_longest
import math
import re
from typing import Final, override

from core.frame.types import JsonObject
from core.services.datasets.formats.decoding import decode
from core.services.datasets.formats.rules import EncodedRow, Place, RowBounds, encode, too_long

INTEGER: Final = re.compile(r"\s*[+-]?(0|[1-9][0-9]{0,19})\s*")
WHOLE: Final = r"(0|[1-9][0-9]*)"
EXPONENT: Final = r"[eE][+-]?[0-9]{1,3}"
FRACTION: Final = re.compile(rf"\s*[+-]?(({WHOLE}\.[0-9]*|\.[0-9]+)({EXPONENT})?|{WHOLE}{EXPONENT})\s*")
BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
LEAST: Final = -(2**63)
MOST: Final = 2**64 - 1
MOST_COLUMNS: Final = 10_000
MOST_CELL: Final = 64  # characters of what may be a number


class _Starved(Exception):
    """A record's end has not come yet."""


class _Lines(Iterator[str]):
    """Feeds csv's reader; the lines of a record that is not whole are given again."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque()
        self.read: list[str] = []
        self.is_last = False

    @override
    def __next__(self) -> str:
        if not self.waiting:
            raise StopIteration if self.is_last else _Starved
        self.read.append(self.waiting.popleft())
        return self.read[-1]

    def give_back(self) -> None:
        self.waiting.extendleft(reversed(self.read))
        self.read.clear()


class _Table:
    """The first record has the names of the columns."""

    def __init__(self, name: str, bounds: RowBounds, delimiter: str) -> None:
        csv.field_size_limit(
            max(csv.field_size_limit(), bounds.row_bytes)
        )  # of the process: nobody else needs it small
        self._name = name
        self._bounds = bounds
        self._lines = _Lines()
        self._records = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self._columns: list[str] = []
        self._next_line = 1
        self._place = Place(name, 1)
        self._rest = ""
        self._enough = 0

    def add(self, text: str) -> Iterator[EncodedRow]:
        """The rows that are whole with it. Raises InvalidRequest."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._lines.waiting.extend([f"{line}\n" for line in lines])
        self._check_size(len(self._rest))
        return self._read()

    def end(self) -> Iterator[EncodedRow]:
        """The last ones. Raises InvalidRequest."""
        if self._rest:
            self._lines.waiting.append(self._rest)
        self._lines.is_last = True
        self._enough = 0
        return self._read()

    def _read(self) -> Iterator[EncodedRow]:
        if len(self._lines.waiting) < self._enough:
            return
        while (record := self._next()) is not None:
            if not record:  # a blank line
                continue
            if self._columns:
                yield encode(self._row(record))
            else:
                self._columns = self._names(record)

    def _next(self) -> list[str] | None:
        """None where there is none that is whole; a record of many lines is tried again when these have doubled."""
        lines = self._lines
        self._place = Place(self._name, self._next_line)
        try:
            record = next(self._records, None)
        except _Starved:
            lines.give_back()
            self._check_size(sum(map(len, lines.waiting)))
            self._enough = 2 * len(lines.waiting)
            return None
        except csv.Error as invalid:
            raise self._place.refusal(f"is no CSV: {_reason(invalid)}.") from invalid
        self._check_size(sum(map(len, lines.read)))
        self._next_line += len(lines.read)
        self._enough = 0
        lines.read.clear()
        return record

    def _names(self, record: list[str]) -> list[str]:
        """As pandas has them: `Unnamed: 1` for one without a name, `a.1` for the second `a`."""
        if len(record) > MOST_COLUMNS:
            raise self._place.refusal(f"has more than {MOST_COLUMNS} columns.")
        names: dict[str, None] = {}
        for index, cell in enumerate(record):
            name = base = cell.strip() or f"Unnamed: {index}"
            number = 0
            while name in names:
                number += 1
                name = f"{base}.{number}"
            names[name] = None
        return list(names)

    def _row(self, record: list[str]) -> JsonObject:
        if len(record) > len(self._columns):
            raise self._place.refusal(f"has {len(record)} cells, where the first line names {len(self._columns)}.")
        cells = [typed(cell) for cell in record]
        return dict(zip_longest(self._columns, cells))

    def _check_size(self, size: int) -> None:
        if size > self._bounds.row_bytes:
            raise too_long(self._place, self._bounds)


def typed(cell: str) -> object:
    """What a cell says: null, a number, a boolean or text."""
    if not cell:
        return None
    if cell in BOOLEANS:
        return BOOLEANS[cell]
    if len(cell) > MOST_CELL:
        return cell
    if INTEGER.fullmatch(cell):
        number = int(cell)
        return number if LEAST <= number <= MOST else cell
    if FRACTION.fullmatch(cell):
        fraction = float(cell)
        return fraction if math.isfinite(fraction) else cell
    return cell


def _reason(invalid: csv.Error) -> str:
    text = str(invalid)
    return "it has a carriage return that ends no line" if text.startswith("new-line") else text


async def read_table(
    chunks: AsyncIterator[bytes], name: str, bounds: RowBounds, *, delimiter: str = ","
) -> AsyncIterator[list[EncodedRow]]:
    """The rows that a chunk completes, at a time. Raises InvalidRequest, which names the line where a record begins."""
    table = _Table(name, bounds, delimiter)
    async for text in decode(chunks, name):
        yield list(table.add(text))
    yield list(table.end())
