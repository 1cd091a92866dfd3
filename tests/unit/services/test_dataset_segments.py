"""Rows in segments: any page of any rows in any segments is those rows; what is large is cut, and never empty."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
import json
from typing import override

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
import pytest

from core.apis.datasets import PURPOSES
from core.errors import InvalidRequest
from core.services.datasets.appending import SMALL, neighbours_in
from core.services.datasets.purposes import check_rows, missing_column
from core.services.datasets.reading import weigh_row
from core.services.datasets.records import STEP, Segment
from core.services.datasets.segments import SEGMENT, SegmentDraft, bytes_of, read_lines, write_segments
from tests.parts.memory_blobs import MemoryBlobs

LINES = st.lists(st.binary(min_size=1, max_size=40).filter(lambda line: b"\n" not in line), max_size=60)
AMPLE = 10**9


async def keep(blobs: MemoryBlobs, groups: Sequence[Sequence[bytes]]) -> list[Segment]:
    """A segment for each group that is not empty."""
    drafts = [SegmentDraft() for _ in groups]
    for draft, group in zip(drafts, groups, strict=True):
        draft.add(group)
    return [await draft.write(blobs, "f") for draft in drafts if draft.lines]


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=5), st.integers(0, 320), st.integers(0, 320))
def test_a_page_has_the_rows_that_are_asked_for(groups: list[list[bytes]], start: int, count: int) -> None:
    async def scenario() -> None:
        blobs = MemoryBlobs()
        segments = await keep(blobs, groups)
        whole = [line for group in groups for line in group]
        assert await read_lines(blobs, segments, start, count, AMPLE) == whole[start : start + count]

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, STEP - 1, STEP, STEP + 1, 2 * STEP, 3 * STEP + 7]), min_size=1, max_size=3),
    st.integers(0, 9 * STEP),
    st.integers(0, 9 * STEP),
    st.integers(1, 40_000),
)
@example(
    [3 * STEP + 7, STEP], STEP - 1, 9 * STEP, 18_000
)  # all that is read of the first segment fits, but for its last line
def test_a_page_over_many_offsets_is_a_beginning_of_what_is_asked_for(
    sizes: list[int], start: int, count: int, most: int
) -> None:
    async def scenario() -> None:
        blobs = MemoryBlobs()
        numbers = iter(range(10**6))
        groups = [[b"row-%d" % next(numbers) for _ in range(size)] for size in sizes]
        segments = await keep(blobs, groups)
        for segment in segments:
            segment.check()
        whole = [line for group in groups for line in group][start : start + count]
        page = await read_lines(blobs, segments, start, count, most)
        assert page == whole[: len(page)]
        assert sum(map(bytes_of, page)) <= most or len(page) == 1
        if len(page) < len(whole):  # then the next one would not have fitted
            assert sum(map(bytes_of, whole[: len(page) + 1])) > most
        assert bool(page) == bool(whole)

    asyncio.run(scenario())


async def test_a_page_is_one_range_of_little_more_than_its_rows() -> None:
    class Counting(MemoryBlobs):
        reads: list[int]

        @override
        async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
            async for chunk in super().read(key, start=start, stop=stop):
                self.reads.append(len(chunk))
                yield chunk

    blobs = Counting()
    blobs.reads = []
    [segment] = await keep(blobs, [[b"%06d" % number for number in range(50 * STEP)]])
    assert await read_lines(blobs, [segment], 45_123, 100, AMPLE) == [b"%06d" % n for n in range(45_123, 45_223)]
    assert blobs.reads == [7 * STEP]


async def test_segments_are_cut_when_they_are_full() -> None:
    async def groups() -> AsyncIterator[list[bytes]]:
        for number in range(40):
            yield [b"x" * 999_999, b"%d" % number]

    blobs = MemoryBlobs()
    segments = await write_segments(blobs, "f", groups())
    assert [segment.rows for segment in segments] == [34, 34, 12]
    assert {segment.key for segment in segments} == set(blobs.contents)
    lines = await read_lines(blobs, segments, 0, 200, AMPLE)
    assert lines[1::2] == [b"%d" % number for number in range(40)]


QUARTER = SEGMENT // 4
SIZES = st.sampled_from([1, QUARTER - 1, QUARTER, QUARTER + 1, SMALL - 1, SMALL, SEGMENT])


@given(st.lists(SIZES, max_size=12))
def test_small_neighbours_are_put_together_as_far_as_one_segment_holds_them(sizes: list[int]) -> None:
    segments = [Segment(str(number), 1, size) for number, size in enumerate(sizes)]
    runs, places = neighbours_in(segments), dict[int, int]()
    for number, run in enumerate(runs):
        places |= dict.fromkeys((int(segment.key) for segment in run), number)
        first = int(run[0].key)
        assert run == segments[first : first + len(run)]
        assert len(run) > 1
        assert sum(segment.bytes for segment in run) <= SEGMENT
        assert max(segment.bytes for segment in run) < SMALL
    assert len(places) == sum(map(len, runs))
    for at, (one, other) in enumerate(pairwise(sizes)):
        if max(one, other) < SMALL and places.get(at, -1) != places.get(
            at + 1, -2
        ):  # then there was no room for the other
            before = sum(
                size for number, size in enumerate(sizes[: at + 1]) if places.get(number) == places.get(at, -1)
            )
            assert (before or one) + other > SEGMENT


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_a_row_weighs_what_it_takes_in_a_text_of_json(row: dict[str, object]) -> None:
    line = to_json(row)
    text = json.dumps(line.decode(), ensure_ascii=False).encode()
    assert weigh_row(line) == len(text) - len('""') + len(",")


@pytest.mark.parametrize(
    ("row", "purpose", "column"),
    [
        ({"question": "", "answer": ""}, PURPOSES[1], None),
        ({"input_query": "", "expected_answer": ""}, PURPOSES[1], None),
        ({"chat_completion_input": "", "ground_truth": ""}, PURPOSES[2], None),
        ({"messages": [], "answer": None}, PURPOSES[2], None),
        ({"messages": []}, PURPOSES[0], None),
        ({"text": ""}, PURPOSES[0], "messages"),
        ({"question": ""}, PURPOSES[1], "answer"),
        ({"answer": ""}, PURPOSES[2], "messages"),
    ],
)
def test_a_row_has_the_columns_of_its_purpose(row: dict[str, object], purpose: str, column: str | None) -> None:
    assert missing_column(row, purpose) == column  # type: ignore[arg-type]
    if column is None:
        check_rows([row, row], 1, purpose)  # type: ignore[arg-type]
    else:
        whole = {"messages": [], "question": "", "answer": ""}
        with pytest.raises(InvalidRequest, match=f"Row 7 has no column `{column}`"):
            check_rows([whole, row], 6, purpose)  # type: ignore[arg-type]


def test_a_row_without_columns_is_told_so() -> None:
    with pytest.raises(InvalidRequest, match="Its columns are: none"):
        check_rows([{}], 1, PURPOSES[1])
