"""Rows of a source, whatever its format, as they come: no more than a few of them are in memory at a time.

Parquet is read by what only the worker's function has in its package (docs/adr/0105-sources-of-datasets.md).
"""

from collections.abc import AsyncIterator

from core.frame.types import JsonObject
from core.services.datasets.formats.json_lines import read_json_lines
from core.services.datasets.formats.json_values import read_json_values
from core.services.datasets.formats.rules import EncodedRow, Place, RowBlock, RowBounds
from core.services.datasets.formats.sniffing import RowFormat, find_format
from core.services.datasets.formats.tables import read_table
from core.services.datasets.formats.text import open_text


async def read_rows(
    chunks: AsyncIterator[bytes], name: str, media_type: str, *, limit: RowBounds
) -> AsyncIterator[JsonObject]:
    """Each row. Raises InvalidRequest, with what is wrong and the line of it."""
    async for block in read_blocks(chunks, name, media_type, limit=limit):
        for values in block.values:
            yield values


async def read_blocks(
    chunks: AsyncIterator[bytes], name: str, media_type: str, *, limit: RowBounds
) -> AsyncIterator[RowBlock]:
    """The rows, some at a time, each with its line of JSON. Raises InvalidRequest, with what is wrong and the line of it."""
    place, count = Place(name), 0
    head, content = await open_text(chunks, place, limit)
    if not head:
        raise place.refusal("is empty.")
    async for rows in _read(find_format(head, name, media_type), content, name, limit):
        count += len(rows)
        if count > limit.rows:
            raise place.refusal(f"has more than {limit.rows} rows, which is the limit.")
        if rows:
            yield rows if isinstance(rows, RowBlock) else RowBlock.of(rows)


def _read(
    row_format: RowFormat, content: AsyncIterator[bytes], name: str, limit: RowBounds
) -> AsyncIterator[RowBlock] | AsyncIterator[list[EncodedRow]]:
    match row_format:
        case "jsonl":
            return read_json_lines(content, name, limit)
        case "json":
            return read_json_values(content, name, limit)
        case "csv":
            return read_table(content, name, limit)
        case "tsv":
            return read_table(content, name, limit, delimiter="\t")
        case "parquet":
            from core.services.datasets.formats.parquet import read_parquet_rows

            return read_parquet_rows(content, name, limit)
