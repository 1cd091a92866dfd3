"""A batch is finished: what its lines came to becomes two files, in the order of the input, none of which is ever whole in memory.

Who finishes it again makes the same files: their ids follow from the job's.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
import hashlib
from typing import Final

from core.apis.batches import OUTPUT_PURPOSE
from core.apis.files import MadeFile
from core.errors import ApiError
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.batches.job.entries import custom_ids
from core.services.batches.job.output import ERROR, OUTPUT, LineExpired, error_line, request_id_of
from core.services.batches.job.spans import row_numbers, spans_of
from core.services.batches.job.usage import usage_of
from core.services.jobs.failures import RowFailed, WorkerLost
from core.services.jobs.kind import FinishRun
from core.services.parts import Parts, surface_for
from core.stores.jobs.port import Shard

MEDIA_TYPE: Final = "application/jsonl"
CHUNK: Final = 64 * 1024
"""Bytes that are written at once: a line alone costs as much to hand on as to make."""
NAMES: Final = {OUTPUT: "output", ERROR: "error"}

type Place = tuple[int, int]
"""A shard's number, and a position in it."""
type Numbered = tuple[int, Place, bytes | None]
"""The number of a row in the batch, its place, and its line."""


async def finish(parts: Parts, run: FinishRun) -> JsonObject:
    """The job's result."""
    result: JsonObject = {}
    has_gaps = run.counts.completed + run.counts.failed < run.job.rows and run.job.outcome == "expired"
    if run.counts.completed:
        result["output_file_id"] = await _keep(parts, run, OUTPUT)
    if run.counts.failed or has_gaps:
        result["error_file_id"] = await _keep(parts, run, ERROR)
    models = {shard.source["model"] for shard in run.shards}
    if len(models) == 1 and (model := models.pop()):
        result["model"] = model
    if (usage := usage_of(run.counts.tokens)) is not None:
        result["usage"] = usage
    if "output_dataset_id" in run.job.request:
        from core.services.batches.job.dataset_output import keep_dataset  # late: few batches have one

        result |= await keep_dataset(parts, run, _final_lines(run, fills=True))
    return result


async def _keep(parts: Parts, run: FinishRun, sort: bytes) -> str:
    expiry = run.job.request.get("output_expires_after")
    name = NAMES[sort]
    file = MadeFile(
        file_id=f"file-{hashlib.sha256(f'{run.job.id}/{name}'.encode()).hexdigest()[:32]}",
        filename=f"{run.job.id}_{name}.jsonl",
        purpose=OUTPUT_PURPOSE,
        media_type=MEDIA_TYPE,
        seconds=None if expiry is None else expiry["seconds"],
    )
    await surface_for(parts, "files", Call(run.job.principal)).keep(file, _lines(run, sort))
    return file.file_id


async def _lines(run: FinishRun, sort: bytes) -> AsyncIterator[bytes]:
    """Those of the sort, each with its break, many at a time."""
    lines, size = list[bytes](), 0
    async for content in _final_lines(run, fills=sort == ERROR):
        if content[:1] == sort:
            lines.append(content[1:])
            size += len(content)
        if size >= CHUNK:
            yield b"\n".join((*lines, b""))
            lines, size = [], 0
    if lines:
        yield b"\n".join((*lines, b""))


async def _final_lines(run: FinishRun, *, fills: bool) -> AsyncIterator[bytes]:
    """Of every row in the order of the input, with its sort before it; empty where there is none, also after it is filled in."""
    filler = _Filler(run)
    async for place, line in _all_lines(run):
        content = line if line is not None else await filler.line(place) if fills else b""
        if content[:1] not in NAMES and content:  # it could not be spelled
            content = await filler.error(place, RowFailed())
        yield content


def _all_lines(run: FinishRun) -> AsyncIterator[tuple[Place, bytes | None]]:
    """Every place in the order of the input, with None where nothing is there."""
    lanes: dict[int, list[Shard]] = {}
    for shard in run.shards:
        lanes.setdefault(shard.source.get("lane", 0), []).append(shard)
    if len(lanes) == 1:
        return _lane_lines(run)
    return _merge([_numbered_lines(replace(run, shards=shards)) for shards in lanes.values()])


async def _merge(streams: Sequence[AsyncIterator[Numbered]]) -> AsyncIterator[tuple[Place, bytes | None]]:
    """By the numbers of the rows."""
    heads = [(*head, stream) for stream in streams if (head := await anext(stream, None)) is not None]
    while heads:
        at = min(range(len(heads)), key=lambda at: heads[at][0])
        _, place, line, stream = heads[at]
        yield place, line
        head = await anext(stream, None)
        heads[at : at + 1] = [] if head is None else [(*head, stream)]


async def _numbered_lines(run: FinishRun) -> AsyncIterator[Numbered]:
    """Those of one lane, with the numbers of their rows in the batch."""
    shards = {shard.number: shard for shard in run.shards}
    number, rows = -1, list[int]()
    async for place, line in _lane_lines(run):
        if place[0] != number:
            number, rows = place[0], row_numbers(await spans_of(run.files, shards[place[0]]))
        yield rows[place[1]], place, line


async def _lane_lines(run: FinishRun) -> AsyncIterator[tuple[Place, bytes | None]]:
    """Every place of the shards in their order."""
    places = ((shard.number, position) for shard in run.shards for position in range(shard.rows))
    async for number, position, line in run.lines():
        for place in places:
            if place == (number, position):
                break
            yield place, None
        yield (number, position), line
    for place in places:
        yield place, None


class _Filler:
    """The error lines of what was never asked."""

    def __init__(self, run: FinishRun) -> None:
        self._run = run
        self._shards = {shard.number: shard for shard in run.shards}
        self._number = -1
        self._ids: list[str] = []

    async def line(self, place: Place) -> bytes:
        """Empty where a batch was stopped by its owner, who knows what was not asked."""
        match self._run.job.outcome:
            case "expired":
                return await self.error(place, LineExpired())
            case None:  # it was counted, where even to write its line would have cost another worker
                return await self.error(place, WorkerLost())
            case _:
                return b""

    async def error(self, place: Place, failure: ApiError) -> bytes:
        number, position = place
        if number != self._number:
            self._number, self._ids = number, await custom_ids(self._run.files, self._shards[number])
        return error_line(request_id_of(self._run.job.id, number, position), self._ids[position], "", failure)
