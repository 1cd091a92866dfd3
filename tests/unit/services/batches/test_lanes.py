"""Lines of several lanes: each shard finds its own in the file again, and all shards together have every line once."""

import asyncio
from collections.abc import AsyncIterator
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from core.services.batches.job.entries import custom_ids
from core.services.batches.job.lines import read_lines
from core.services.batches.job.planning import QUEUE, Lane, Planner
from core.services.batches.job.spans import keep_spans, lines_in, row_numbers, spans_of
from core.services.batches.job.validation import Request
from core.services.jobs.kind import JobFiles
from core.stores.jobs.port import Shard
from tests.parts.memory_blobs import MemoryBlobs

LANES = (QUEUE, Lane(1, {"n": 1}, 3, 5, 1000), Lane(2, {"n": 2}, 1, 50, 60))


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 7):
        yield content[at : at + 7]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from([b"", b"\n", b" \n"])), min_size=1, max_size=40))
def test_every_line_is_in_one_shard_which_finds_it_in_the_file_and_knows_its_id(
    lines: list[tuple[Lane, bytes]],
) -> None:
    content = b"".join(gap + json.dumps({"n": n}).encode() + b"\n" for n, (_, gap) in enumerate(lines))

    async def check() -> None:
        planner, entries = Planner("ids"), list[bytes]()
        lanes = iter(lines)
        async for line in read_lines(chunked(content), 100):
            number = len(entries)
            entries.append(planner.add(line, Request(f"c{number}", "m"), next(lanes)[0]))
        planner.end()
        files = JobFiles(MemoryBlobs(), "job")
        await files.put("ids", b"".join(entries))
        found = list[int]()
        for at, part in enumerate(planner.slices):
            shard = Shard("job", "p", at, await keep_spans(files, part.source, f"spans-{at}"), part.rows)
            spans = await spans_of(files, shard)
            texts = lines_in(chunked(content[spans[0].start : spans[-1].stop]), [(s.start, s.stop) for s in spans])
            rows = [json.loads(line.content or b"")["n"] async for line in texts]
            assert rows == row_numbers(spans) == sorted(rows)
            assert await custom_ids(files, shard) == [f"c{row}" for row in rows]
            lane = {lines[row][0].number for row in rows}
            assert lane == {part.source.get("lane", 0)}
            assert ("engine" in part.source) == (lane == {2} or (lane == {1} and part.rows >= 3))
            found += rows
        assert sorted(found) == list(range(len(lines)))

    asyncio.run(check())


async def test_many_spans_are_in_a_blob() -> None:
    planner = Planner("ids")
    content = b"{}\n" * 1000
    number = 0
    async for line in read_lines(chunked(content), 100):
        planner.add(line, Request(f"c{number}", "m"), Lane(1, {}, 1, 1000, 10_000) if number % 2 else QUEUE)
        number += 1
    planner.end()
    files = JobFiles(MemoryBlobs(), "job")
    native = next(part for part in planner.slices if "engine" in part.source)
    source = await keep_spans(files, native.source, "spans")
    assert source["spans"] == "spans"
    assert row_numbers(await spans_of(files, Shard("job", "p", 0, source, native.rows))) == list(range(1, 1000, 2))
    assert all(
        len(part.source["spans"]) == 200 for part in planner.slices if "engine" not in part.source and part.rows == 200
    )
