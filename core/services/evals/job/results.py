"""The result of an evaluation as one JSON object, written as its rows come: none but their scores are in memory, each in few bytes."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
import tempfile
from typing import IO, Final

from pydantic_core import to_json

from core.frame.types import JsonObject

BLOCK: Final = 64 * 1024
IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of the score rows of one function; more of them are on disk until all generations are written."""
AGGREGATED: Final = ("score", "weight")

type Line = tuple[JsonObject, Mapping[str, JsonObject]]
"""A generation, and its scores by function."""
type Aggregate = Callable[[str, Sequence[JsonObject]], JsonObject]


async def result_json(
    lines: AsyncIterator[Line], functions: Sequence[str], aggregate: Aggregate
) -> AsyncIterator[bytes]:
    """An EvalResult, in pieces of about 64 kB."""
    buffer = bytearray()
    async for piece in _pieces(lines, functions, aggregate):
        buffer += piece
        if len(buffer) >= BLOCK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


async def _pieces(lines: AsyncIterator[Line], functions: Sequence[str], aggregate: Aggregate) -> AsyncIterator[bytes]:
    with ExitStack() as stack:
        scores = {name: _Scores(stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))) for name in functions}
        yield b'{"generations":['
        comma = b""
        async for generation, row_scores in lines:
            yield comma + encode(generation)
            comma = b","
            for name, column in scores.items():
                column.add(row_scores.get(name) or {"score": None})
        yield b'],"scores":{'
        for at, (name, column) in enumerate(scores.items()):
            yield (b"," if at else b"") + encode(name) + b':{"score_rows":['
            for block in column.blocks():
                yield block
            yield b'],"aggregated_results":' + encode(aggregate(name, column.slim)) + b"}"
        yield b"}}"


class _Scores:
    """Of one function: the rows as JSON, and what aggregations read of them, of which equal ones are one object."""

    def __init__(self, file: "IO[bytes]") -> None:
        self._file = file
        self._seen: dict[bytes, JsonObject] = {}
        self.slim: list[JsonObject] = []

    def add(self, row: JsonObject) -> None:
        self._file.write((b"," if self.slim else b"") + encode(row))
        slim: JsonObject = {name: row[name] for name in AGGREGATED if name in row}
        self.slim.append(self._seen.setdefault(encode(slim), slim))

    def blocks(self) -> "list[bytes]":
        self._file.seek(0)
        return list(iter(lambda: self._file.read(BLOCK), b""))


def encode(value: object) -> bytes:
    return to_json(value, inf_nan_mode="null")
