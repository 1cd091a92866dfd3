"""A file in chunks of any size has the same lines as the whole of it, at the same bytes."""

from collections.abc import AsyncIterator
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from core.services.batches.job.lines import Line, LineSplitter, read_lines

MOST = 12


def split(content: bytes, size: int, most: int = MOST) -> list[Line]:
    splitter = LineSplitter(most)
    lines = [line for at in range(0, len(content), size) for line in splitter.feed(content[at : at + size])]
    return [*lines, *splitter.end()]


@given(st.lists(st.sampled_from([b"a", b"{}", b" ", b"\n", b"\r\n", b"\xff", b"0123456789abcdef"])), st.integers(1, 40))
def test_lines_are_numbered_and_found_whatever_the_chunks_are(pieces: list[bytes], size: int) -> None:
    content = b"".join(pieces)
    lines = split(content, size)
    whole = enumerate(content.split(b"\n"), start=1)
    assert [(line.number, content[line.start : line.stop]) for line in lines] == [(n, t) for n, t in whole if t.strip()]
    for line in lines:
        assert line.content == (content[line.start : line.stop] if line.stop - line.start <= MOST else None)


def test_a_line_may_have_as_many_bytes_as_the_bound_says() -> None:
    lines = split(b"x" * MOST + b"\n" + b"y" * (MOST + 1) + b"\n" + b"z" * MOST, 5)
    assert [line.content for line in lines] == [b"x" * MOST, None, b"z" * MOST]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [line.content for line in split(b"\xef\xbb\xbf{}\n{}\n", 2)] == [b"{}", b"{}"]
    assert split(b"\xef\xbb\xbf\n", 1) == []


async def test_a_line_without_an_end_takes_no_memory() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    tracemalloc.start()
    try:
        lines = [line async for line in read_lines(chunks(), 100_000)]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(line.number, line.stop, line.content) for line in lines] == [(1, 65_536_000, None)]
    assert most < 1_000_000
