"""Parquet files are read by a process of their own: its rows come, or a refusal, and it is gone in the end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import random
from typing import Any

from arro3.core import DataType, Field, Schema
from arro3.io import read_json, write_parquet
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.platform.parquet import ParquetInvalid, read_parquet
from core.services.datasets.formats.reader import read_rows
from core.services.datasets.formats.rules import RowBounds
from tests.parts.datasets_server import parquet_of


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(content: bytes, size: int = 1000, bounds: RowBounds | None = None) -> list[Any]:
    rows = read_rows(pieces(content, size), "x", "None", limit=bounds or RowBounds())
    return [row async for row in rows]


def rows_of(count: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "text": f"é\n {n}" if n % 3 else None, "more": {"tags": ["a"] * (n % 4)}} for n in range(1, count + 1)
    ]


@settings(max_examples=5, deadline=None)
@given(count=st.integers(2, 1500), size=st.integers(1000, 100_000))
def test_the_rows_are_those_that_were_written(count: int, size: int) -> None:
    assert asyncio.run(read(parquet_of(rows_of(count)), size)) == rows_of(count)


async def test_values_that_json_has_not_are_text_and_no_number_is_null(tmp_path: Path) -> None:
    types = {
        "at": DataType.timestamp("us"),
        "raw": DataType.binary(),
        "share": DataType.float64(),
        "price": DataType.decimal128(10, 2),
    }
    schema = Schema([Field(name, kind) for name, kind in types.items()])
    lines = b'{"at": "2020-01-01T00:00:00.5", "raw": "ffee", "share": 1.5, "price": 1.25}\n{"at": null}\n'
    write_parquet(read_json(lines, schema), tmp_path / "x.parquet")
    first = {"at": "2020-01-01T00:00:00.500", "raw": "ffee", "share": 1.5, "price": 1.25}
    assert await read((tmp_path / "x.parquet").read_bytes()) == [first, dict.fromkeys(first)]


async def test_a_broken_file_is_refused_wherever_it_is_broken() -> None:
    content = parquet_of(rows_of(300))
    for broken in (
        b"PAR1 and nothing",
        content[:-1],
        content[:4],
        content[:100] + content[-8:],
        b"PAR1" + bytes(90) + b"\x08\0\0\0PAR1",
    ):
        with pytest.raises(InvalidRequest, match="The source `x`: cannot be read: it is "):
            await read(broken)


async def test_a_file_whose_bytes_were_changed_is_read_or_refused() -> None:
    content, number = parquet_of(rows_of(300)), random.Random(1)  # noqa: S311 - the same for each run
    for _ in range(8):
        changed = bytearray(content)
        for _ in range(20):
            changed[number.randrange(4, len(content) - 4)] = number.randrange(256)
        try:
            assert len(await read(bytes(changed))) <= 300
        except InvalidRequest as refused:
            assert refused.param == "source"  # noqa: PT017 - either will do


async def test_a_row_beyond_the_bound_is_refused_with_its_number() -> None:
    content = parquet_of([{"text": "a"}] * 300 + [{"text": "b" * 2000}])
    with pytest.raises(InvalidRequest, match="line 301: a row has more than 1000 bytes"):
        await read(content, bounds=RowBounds(row_bytes=1000))


async def test_a_file_that_takes_more_memory_than_there_is_takes_its_process_alone() -> None:
    with pytest.raises(ParquetInvalid, match="takes too much memory"):
        async for _ in read_parquet(pieces(parquet_of(rows_of(10)), 1000), memory=1_000_000):
            pass


async def test_reading_that_is_given_up_leaves_no_process() -> None:
    rows = read_parquet(pieces(parquet_of(rows_of(20_000)), 100_000))
    assert await anext(rows)
    assert readers()
    await rows.aclose()  # type: ignore[attr-defined]
    assert not readers()


def readers() -> list[str]:
    """Our processes that read Parquet."""
    children = [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]
    lines = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
    return [line for line in lines if "parquet_reader" in line]
