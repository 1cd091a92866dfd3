"""What readers of rows share: what bounds them, a row as it is kept, and refusals, which say where."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from pydantic_core import to_json

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform import json_reader

MIB: Final = 1024 * 1024
RATIO: Final = 100
PARAM: Final = "source"
KINDS: Final[dict[type, str]] = {
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class RowBounds:
    """Bytes of one row as the source writes it, of all of it as it comes, and how many rows.

    Whoever opens a source bounds it too; what is compressed may become RATIO times as large.
    """

    row_bytes: int = MIB
    total_bytes: int = 1024 * 1024 * MIB
    rows: int = 10_000_000


class EncodedRow(NamedTuple):
    """`line` is `values` as JSON, without a break in it."""

    values: JsonObject
    line: bytes


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows some at a time: each of the `values` has its line. By columns, so that nothing is made for each row."""

    values: Sequence[JsonObject] = field(repr=False)
    lines: Sequence[bytes] = field(repr=False)

    @classmethod
    def of(cls, rows: Iterable[EncodedRow]) -> Self:
        values, lines = list[JsonObject](), list[bytes]()
        for row, line in rows:
            values.append(row)
            lines.append(line)
        return cls(values, lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[EncodedRow]:
        return map(EncodedRow, self.values, self.lines)


@dataclass(frozen=True, slots=True)
class Place:
    """`name` is of the source, `line` counts from 1; 0 where there is none."""

    name: str
    line: int = 0

    def refusal(self, problem: str) -> InvalidRequest:
        line = f", line {self.line}" if self.line else ""
        return InvalidRequest(f"The source `{self.name}`{line}: {problem}", param=PARAM)


def too_long(place: Place, bounds: RowBounds) -> InvalidRequest:
    return place.refusal(f"a row has more than {bounds.row_bytes} bytes, which is the limit.")


def read_row(text: bytes, name: str, line: int) -> EncodedRow:
    """The row that is JSON in `text`; NaN and Infinity, which Python writes there, become null. Raises InvalidRequest."""
    try:
        values = json_reader.read_json(text)
    except ValueError as invalid:
        values = _without_nan(text, Place(name, line), invalid)
        text = to_json(values)
    if values.__class__ is not dict:
        raise Place(name, line).refusal(f"is {KINDS[type(values)]}, where each row is a JSON object.")
    if b"\n" in text or b"\r" in text:
        text = to_json(values)
    return EncodedRow(values, text)


def encode(values: JsonObject) -> EncodedRow:
    return EncodedRow(values, to_json(values))


def _without_nan(text: bytes, place: Place, invalid: ValueError) -> Any:  # noqa: ANN401 - whatever a source has
    try:
        values = json_reader.read_json(text, allow_nan=True)
    except ValueError:
        raise place.refusal(f"is no JSON ({invalid}).") from invalid
    return json_reader.read_json(to_json(values, inf_nan_mode="null"))
