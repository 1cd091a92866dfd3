"""Parts of jobs, put together: every row once, in order, whatever is in its line and however it comes."""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.services.jobs import parts
from core.services.jobs.messages import Task
from core.services.jobs.pace import Pace
from core.stores.jobs.port import Shard

LINES = st.dictionaries(st.integers(0, 40), st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"\t")))


class Chunks:
    """What `ordered_lines` reads: blobs in chunks of a size."""

    def __init__(self, content: list[bytes], size: int) -> None:
        self.content = {str(number): part for number, part in enumerate(content)}
        self.size = size

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        part = self.content[key][start:stop]
        for place in range(0, len(part), self.size):
            yield part[place : place + self.size]


async def collect(written: list[dict[int, bytes]], size: int) -> list[tuple[int, int, bytes]]:
    blobs = Chunks([parts.encode(lines) for lines in written], size)
    shard = Shard("j", "p", 3, {}, 41, parts=tuple(blobs.content))
    return [line async for line in parts.ordered_lines(blobs, [shard])]  # type: ignore[arg-type]


@given(st.lists(LINES, max_size=12), st.integers(1, 50), st.integers(1, 200))
def test_rows_come_in_order_and_the_first_part_that_has_one_counts(
    written: list[dict[int, bytes]], size: int, head: int
) -> None:
    """Also of parts that are longer than what is read ahead of each."""
    expected: dict[int, bytes] = {}
    for lines in written:
        expected = lines | expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "HEAD", head)
        found = asyncio.run(collect(written, size))
    assert found == [(3, position, expected[position]) for position in sorted(expected)]


def test_no_two_holders_and_no_two_writes_have_one_name() -> None:
    names = {
        parts.part_key(Shard("j", plan, number, {}, 1, holder=holder), written)
        for plan in "pq"
        for number in (0, 1)
        for holder in "ab"
        for written in (1, 2)
    }
    assert len(names) == 16
    assert all(name.startswith(parts.parts_folder("j")) for name in names)


@given(st.lists(st.sampled_from(["ask", "good", "refused"]), max_size=200), st.integers(1, 30))
def test_the_pace_stays_within_its_bounds_and_refusals_of_one_time_halve_it_once(events: list[str], most: int) -> None:
    pace, epochs = Pace(most), list[int]()
    for event in events:
        before = pace.limit
        if event == "ask":
            epochs.append(pace.begin())
        elif event == "good":
            pace.succeeded()
            assert before <= pace.limit <= before + 1
        elif epochs:
            pace.throttled(epochs.pop(0))
            assert pace.limit in {before, max(1, before // 2)}
        assert 1 <= pace.limit <= most


def test_twenty_rows_that_are_refused_together_halve_the_pace_once() -> None:
    pace = Pace(20)
    epochs = [pace.begin() for _ in range(20)]
    for epoch in epochs:
        pace.throttled(epoch)
    assert pace.limit == 10
    for _ in range(10):
        pace.succeeded()
    assert pace.limit == 11


@given(st.text(), st.sampled_from(["prepare", "shard", "stop", "finish", "tick"]), st.integers(0), st.integers(0))
def test_a_message_says_what_it_was_made_of(job: str, do: str, number: int, tries: int) -> None:
    task = Task(job, do, number, tries)  # type: ignore[arg-type]
    message = task.to_message("ada\ud800")
    assert Task.from_body(message.body) == task
    assert message.group.isalnum()
