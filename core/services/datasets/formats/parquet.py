"""Rows of a Parquet file."""

from collections.abc import AsyncIterator

from core.platform.parquet import ParquetInvalid, read_parquet
from core.services.datasets.formats.rules import EncodedRow, Place, RowBounds, read_row, too_long


async def read_parquet_rows(
    chunks: AsyncIterator[bytes], name: str, bounds: RowBounds
) -> AsyncIterator[list[EncodedRow]]:
    """The rows, some at a time. Raises InvalidRequest; a row is named as the line that it is of the whole."""
    count = 0
    try:
        async for batch in read_parquet(chunks):
            yield [_read(line, name, number, bounds) for number, line in enumerate(batch, count + 1)]
            count += len(batch)
    except ParquetInvalid as invalid:
        raise Place(name).refusal(f"cannot be read: {invalid}.") from invalid


def _read(line: bytes, name: str, number: int, bounds: RowBounds) -> EncodedRow:
    if len(line) > bounds.row_bytes:
        raise too_long(Place(name, number), bounds)
    return read_row(line, name, number)
