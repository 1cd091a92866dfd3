"""Rows of every format that is read are the same rows, however their bytes come; what is none is refused with its line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
import csv
from functools import partial
import gzip
from io import StringIO
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.services.datasets.formats.reader import read_blocks, read_rows
from core.services.datasets.formats.rules import RowBounds
from core.services.datasets.formats.tables import typed

gzipped = partial(gzip.compress, mtime=0)  # which is in the names of tests
BOUNDS = RowBounds(row_bytes=20_000, total_bytes=1_000_000, rows=1000)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=8)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


async def pieces(content: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    at = 0
    for size in cuts:
        yield content[at : at + size]
        at += size
    yield content[at:]


def read(
    content: bytes, name: str = "", media_type: str = "", *, cuts: Sequence[int] = (7,), bounds: RowBounds = BOUNDS
) -> Any:
    async def run() -> list[Any]:
        return [row async for row in read_rows(pieces(content, cuts), name, media_type, limit=bounds)]

    return asyncio.run(run())


def refusal(content: bytes, name: str = "x.jsonl", *, bounds: RowBounds = BOUNDS) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read(content, name, bounds=bounds)
    assert refused.value.param == "source"
    return refused.value.message.removeprefix(f"The source `{name}`").removeprefix(", ").removeprefix(": ")


@given(rows=ROWS, cuts=CUTS, ends=st.sampled_from(["\n", "\r\n", "\n\n \n"]), mark=st.booleans(), packed=st.booleans())
def test_json_lines_are_the_rows_that_were_written(
    rows: list[dict[str, Any]], cuts: list[int], ends: str, *, mark: bool, packed: bool
) -> None:
    content = (b"\xef\xbb\xbf" if mark else b"") + ends.join(
        json.dumps(row, ensure_ascii=False) for row in rows
    ).encode()
    assert read(gzipped(content) if packed else content, "x.jsonl", cuts=cuts) == rows


@given(
    rows=ROWS,
    cuts=CUTS,
    indent=st.sampled_from([None, 1]),
    form=st.sampled_from(["{}", "\ufeff {}", '{{"rows": {}}}', ' {{ "data" :{}, "version": {{"a": [1, "]"]}} }} ']),
)
def test_a_json_file_is_the_rows_that_were_written(
    rows: list[dict[str, Any]], cuts: list[int], indent: int | None, form: str
) -> None:
    content = form.format(json.dumps(rows, ensure_ascii=False, indent=indent)).encode()
    assert read(content, "x.json", cuts=cuts) == rows


@given(rows=ROWS, cuts=CUTS, indent=st.sampled_from([None, 2]))
def test_objects_one_after_another_are_rows_whatever_the_file_is_called(
    rows: list[dict[str, Any]], cuts: list[int], indent: int | None
) -> None:
    content = "\n".join(json.dumps(row, indent=indent) for row in rows).encode()
    if not content.replace(b" ", b"").replace(b"\n", b"").startswith((b'{"rows":[', b'{"data":[')):
        assert read(content, "", "None", cuts=cuts) == rows


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12) | st.sampled_from(
    ["", "1", "007", "1.50", "TRUE", "a\nb", 'say "x"', "1e999", "-3", "99999999999999999999999"]
)


@given(table=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), cuts=CUTS, tabs=st.booleans())
def test_a_table_is_the_cells_that_were_written(table: list[list[str]], cuts: list[int], *, tabs: bool) -> None:
    text = StringIO()
    csv.writer(text, delimiter="\t" if tabs else ",").writerows([["a", "b", "c"], *table])
    rows = [dict(zip("abc", map(typed, cells), strict=True)) for cells in table]
    assert read(text.getvalue().encode(), "x.tsv" if tabs else "x.csv", cuts=cuts) == rows


@given(number=st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_cell_that_is_a_number_or_a_boolean_is_one(number: float) -> None:
    assert typed(str(number)) == number
    assert type(typed(str(number))) is type(number)
    assert (typed(str(2**64 - 1)), typed(f"0.{'1' * 62}")) == (2**64 - 1, 1 / 9)


@pytest.mark.parametrize(
    "text",
    [
        *("007", "+-1", "1_000", "٣", "nan", "inf", "NA", "None", "1e999", "0x10", "1,5", " ", "9" * 30),
        *(str(2**64), str(-(2**63) - 1), f"0.{'1' * 63}"),
    ],
)
def test_a_cell_that_would_lose_something_as_a_number_stays_text(text: str) -> None:
    assert typed(text) == text


def test_names_of_columns_are_as_pandas_has_them() -> None:
    assert read(b"\xef\xbb\xbfa,a,,b\n1,2,3\n", "x.csv") == [{"a": 1, "a.1": 2, "Unnamed: 2": 3, "b": None}]


def test_a_block_has_each_row_as_one_line_of_json() -> None:
    async def run(content: bytes, name: str) -> list[Any]:
        return [row async for block in read_blocks(pieces(content, [3]), name, "", limit=BOUNDS) for row in block]

    for content, name in ((b'{"a": [1,\n 2]}', "x.json"), (b'{"a" :[1, 2]}\n', "x.jsonl"), (b'[{"a":[1,2]}]', "")):
        [(values, line)] = asyncio.run(run(content, name))
        assert values == json.loads(line) == {"a": [1, 2]}
        assert b"\n" not in line


def test_not_a_number_which_python_writes_is_null() -> None:
    assert read(b'{"a": NaN, "b": [-Infinity, 1]}\n', "x.jsonl") == [{"a": None, "b": [None, 1]}]
    assert read(b'[{"a": NaN}]', "x.json") == [{"a": None}]


@pytest.mark.parametrize(
    ("name", "media_type", "content"),
    [
        ("", "None", b'{"a": 1}\n'),
        ("", "text/plain", b"a\n1\n"),
        ("rows", "application/octet-stream", b'[{"a": 1}]'),
        ("rows", "text/csv; charset=utf-8", b"a\n1"),
        ("rows.JSONL", "text/csv", b'{"a": 1}'),
        ("x.csv.gz", "", gzipped(b"a\n1\n")),
        ("x.csv", "", gzipped(b"a\n") + gzipped(b"1\n")),
    ],
)
def test_the_format_is_told_by_the_name_the_type_or_the_content(name: str, media_type: str, content: bytes) -> None:
    assert read(content, name, media_type) == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"a": 1}\n\n{"a": }\n', "line 3: is no JSON ("),
        ("x.jsonl", b'{"a": 1}\n[1]\n', "line 2: is a list, where each row is a JSON object."),
        ("x.jsonl", b'{"a": "\xff"}', "line 1: is no JSON ("),
        ("x.jsonl", b'{"a": "\\ud800"}', "line 1: is no JSON ("),
        ("x.json", b'[\n{"a": 1},\n{"a": x}\n]', "line 3: is no JSON (Expecting value)."),
        ("x.json", b'[{"a": 1} {"a": 1}]', "line 1: is no JSON: after a row of a list comes a comma"),
        ("x.json", b'[{"a": 1},]', "line 1: is no JSON ("),
        ("x.json", b'[\n{"a": 1}', "line 2: is no JSON: it ends before its list does."),
        ("x.json", b'[{"a": 1}] []', "line 1: has more after its list of rows."),
        ("x.json", b'{"data": [{"a": 1}]}\n{"data": []}', "line 1: has more after the object that has its rows."),
        ("x.json", b'["a"]', "line 1: is a string, where each row is a JSON object."),
        ("x.json", b'[{"a": "b', "line 1: is no JSON (Unterminated string starting at)."),
        ("x.json", b"[" * 5000, "line 1: is "),
        ("x.csv", b"a,b\n1,2\n1,2,3\n", "line 3: has 3 cells, where the first line names 2."),
        ("x.csv", b'a\n"b\n\nc', "line 2: is no CSV: unexpected end of data."),
        ("x.csv", b'a\n"b"c\n', "line 2: is no CSV: "),
        ("x.csv", b"a\nb\rc\n", "line 2: is no CSV: it has a carriage return that ends no line."),
        ("x.csv", b"a\nb\n\xff\n", "line 3: is no UTF-8 text."),
        ("x.csv", b"a\n\xc3", "line 2: is no UTF-8 text."),
        ("x.csv", ",".join(map(str, range(10_001))).encode(), "line 1: a row has more than"),
        ("x.jsonl", b"", "is empty."),
        ("x.jsonl", gzipped(b'{"a": 1}')[:-9], "its compressed content ends too early."),
        ("x.jsonl", gzipped(b'{"a": 1}')[:-8] + bytes(8), "its compression is broken."),
        ("x", gzipped(b"PAR1 and more"), "is a Parquet file within gzip"),
        ("x", b"<!DOCTYPE html><p>", "is a web page, and no file of rows: name the file itself."),
        ("x.csv", b"PK\x03\x04rest", "is a ZIP file, as of Excel: save it as CSV."),
        ("x.csv", "a\n1".encode("utf-16"), "is UTF-16 text: save it as UTF-8."),
        ("x", b"\x01\0\x02", "is none of the formats that are read: JSON lines, JSON, CSV, TSV and Parquet."),
        ("x.parquet", b'{"a": 1}', "is no Parquet file, although it is called one."),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(name: str, content: bytes, message: str) -> None:
    assert refusal(content, name).startswith(message)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": "%s"}\n' % (b"b" * 200)),
        ("x.jsonl", b'{"a": 1}\n{"a": "%s' % (b"b" * 200)),
        ("x.json", b'[{"a": 1},\n{"a": "%s"}]' % (b"b" * 200)),
        ("x.json", b'[{"a": 1},\n{"a": "%s' % (b"b" * 200)),
        ("x.csv", b"a\n%s\n" % (b"b" * 200)),
        ("x.csv", b'a\n"%s' % (b"b\n" * 100)),
    ],
)
def test_a_row_beyond_the_bound_is_refused_with_its_line(name: str, content: bytes) -> None:
    message = refusal(content, name, bounds=RowBounds(row_bytes=100))
    assert message == "line 2: a row has more than 100 bytes, which is the limit."


def test_what_is_too_large_is_refused_before_it_is_all_there() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b'{"a": 1}\n' * 1000

    async def run(content: AsyncIterator[bytes], bounds: RowBounds) -> None:
        async for _ in read_rows(content, "x.jsonl", "", limit=bounds):
            pass

    for bounds, message in (
        (RowBounds(total_bytes=100_000), "has more than 100000 bytes, which is the limit."),
        (RowBounds(rows=5), "has more than 5 rows, which is the limit."),
    ):
        with pytest.raises(InvalidRequest, match=message):
            asyncio.run(run(endless(), bounds))
    bomb = gzipped((b"a" * 1000 + b"\n") * 5000)
    message = refusal(bomb, "x.csv", bounds=RowBounds())
    assert message == "its content is more than 100 times as large as it is compressed."


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
async def test_rows_come_while_their_bytes_do(name: str) -> None:
    rows = [{"a": number, "b": "x" * 900} for number in range(900)]
    lines = [json.dumps(row) for row in rows]
    cells = "\n".join(["a,b", *(f"{row['a']},{row['b']}" for row in rows)])
    content = {"x.jsonl": "\n".join(lines), "x.json": f"[{','.join(lines)}]", "x.csv": cells}
    cuts, read_pieces = [len(content[name]) // 20] * 19, 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read_pieces
        async for piece in pieces(content[name].encode(), cuts):
            read_pieces += 1
            yield piece

    read_at = {row["a"]: read_pieces async for row in read_rows(counted(), name, "", limit=BOUNDS)}
    assert list(read_at) == list(range(900))
    assert max(read_at[number] - number * 20 // 900 for number in read_at) <= 4
