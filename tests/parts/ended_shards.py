"""A job of which every shard has ended, or the job before, with the rows that a test says: what a kind's `finish` gets."""

from collections.abc import Sequence

from core.frame.callers import ANONYMOUS
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobFiles
from core.services.jobs.parts import encode, part_key
from core.stores.jobs.port import Counts, Job, Outcome, Shard
from tests.parts.memory_blobs import MemoryBlobs

type Ended = Sequence[Sequence[bytes | None]]
"""The line of each row of each shard, None of one that has not ended."""


async def finish_run(
    kind: str, request: JsonObject, sources: Sequence[JsonObject], ended: Ended, outcome: Outcome | None
) -> FinishRun:
    """The lines of a shard are in two parts, every other one in the first."""
    blobs, shards = MemoryBlobs(), list[Shard]()
    for number, (source, lines) in enumerate(zip(sources, ended, strict=True)):
        shard, keys = Shard("job", "plan", number, source, len(lines), holder="me"), list[str]()
        for turn in range(2):
            part = {position: line for position, line in enumerate(lines) if line is not None and position % 2 == turn}
            keys.append(part_key(shard, turn))
            await blobs.put(keys[-1], encode(part))
        shards.append(Shard("job", "plan", number, source, len(lines), parts=tuple(keys)))
    rows = sum(map(len, ended))
    job = Job("job", kind, ANONYMOUS, request, 0.0, 0.0, 0, outcome=outcome, rows=rows)
    return FinishRun(job, JobFiles(blobs, "job"), shards, Counts())
