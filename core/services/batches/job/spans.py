"""Where the rows of a shard are: one range of the input file, or several, where lines of other shards lie between them.

A span is `[start, stop, first, rows, ids_start, ids_stop]`: bytes of the file, the number of its first row in the batch and how many
it has, and bytes of the list of ids. A shard of one span has that in its source itself; many spans are in a blob.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
import json
from typing import Final

from core.frame.types import JsonObject
from core.services.batches.job.lines import Line, read_lines
from core.services.jobs.kind import JobFiles
from core.stores.jobs.port import Shard

NO_LIMIT: Final = 1 << 62  # bytes: what is too long was refused before
MOST_INLINE: Final = 200
"""Spans that a source has itself."""


@dataclass(slots=True)
class Span:
    start: int
    stop: int
    first: int
    rows: int
    ids_start: int
    ids_stop: int

    def as_list(self) -> list[int]:
        return [self.start, self.stop, self.first, self.rows, self.ids_start, self.ids_stop]


def source_of(spans: Sequence[Span], ids: str) -> JsonObject:
    """The source of a shard, whose list of ids has the name `ids`."""
    first, last = spans[0], spans[-1]
    source: JsonObject = {
        "start": first.start,
        "stop": last.stop,
        "first": first.first,
        "ids": {"name": ids, "start": first.ids_start, "stop": last.ids_stop},
    }
    return source if len(spans) == 1 else {**source, "spans": [span.as_list() for span in spans]}


async def keep_spans(files: JobFiles, source: JsonObject, name: str) -> JsonObject:
    """The source, with its spans in the blob `name` where they are many."""
    spans = source.get("spans", ())
    if len(spans) <= MOST_INLINE:
        return source
    await files.put(name, json.dumps(spans).encode())
    return {**source, "spans": name}


async def spans_of(files: JobFiles, shard: Shard) -> list[Span]:
    """In the order of the input; raises NotFound where the job has ended."""
    source = shard.source
    match source.get("spans"):
        case None:
            ids = source["ids"]
            return [Span(source["start"], source["stop"], source["first"], shard.rows, ids["start"], ids["stop"])]
        case str(name):
            spans = json.loads(b"".join([chunk async for chunk in files.read(name)]))
        case spans:
            pass
    return [Span(*span) for span in spans]


def row_numbers(spans: Iterable[Span]) -> list[int]:
    """Of the rows of a shard, by position."""
    return [span.first + place for span in spans for place in range(span.rows)]


async def lines_in(chunks: AsyncIterator[bytes], ranges: Sequence[tuple[int, int]]) -> AsyncIterator[Line]:
    """The lines in these ranges, of which the first begins where the chunks do."""
    at = 0
    async for line in read_lines(chunks, NO_LIMIT, ranges[0][0]):
        while at < len(ranges) and line.start >= ranges[at][1]:
            at += 1
        if at < len(ranges) and line.start >= ranges[at][0]:
            yield line
