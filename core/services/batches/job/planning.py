"""The shards of a batch: lines of the input file, as ranges of its bytes.

Lines of one lane follow each other in its shards: most batches have one lane, whose shards the queue asks; a model whose rows its
provider runs has a lane of its own. Beside the input the job has a list of the lines' `custom_id`s, one a line as JSON, of which a
shard has ranges too: so a line that is never asked can be named, also where the input file is gone.
"""

from dataclasses import dataclass, field
import json
from typing import Final

from core.frame.types import JsonObject
from core.services.batches.job.lines import Line
from core.services.batches.job.spans import Span, source_of
from core.services.batches.job.validation import LONGEST_MODEL, Request
from core.services.jobs.kind import Slice

MOST_ROWS: Final = 200
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of the lines of a shard, of which one may have more."""


@dataclass(frozen=True, slots=True)
class Lane:
    """`engine` is what its shards say of who runs them, None for the queue; they have at most so many rows and bytes.

    A shard of fewer than `least_rows` is left to the queue.
    """

    number: int = 0
    engine: JsonObject | None = None
    least_rows: int = 1
    most_rows: int = MOST_ROWS
    most_bytes: int = MOST_BYTES


QUEUE: Final = Lane()


@dataclass(slots=True)
class _Filling:
    """The shard of a lane that lines are added to."""

    lane: Lane
    spans: list[Span] = field(default_factory=list[Span])
    rows: int = 0
    size: int = 0
    models: set[str] = field(default_factory=set[str])

    def is_full_for(self, line: Line) -> bool:
        return self.rows == self.lane.most_rows or (
            self.rows > 0 and self.size + line.stop - line.start > self.lane.most_bytes
        )


class Planner:
    """Takes every line in order; `slices` are there after `end`: those of a lane in the order of its lines."""

    def __init__(self, ids: str) -> None:
        """`ids` is the name of the list."""
        self.slices: list[Slice] = []
        self.rows = 0
        self._ids = ids
        self._ids_stop = 0
        self._lanes: dict[int, _Filling] = {}
        self._done: dict[int, list[Slice]] = {}

    def add(self, line: Line, request: Request, lane: Lane = QUEUE) -> bytes:
        """The line's entry of the list."""
        filling = self._lanes.setdefault(lane.number, _Filling(lane))
        if filling.is_full_for(line):
            self._end(filling)
            filling = self._lanes[lane.number] = _Filling(lane)
        entry = json.dumps(request.custom_id).encode() + b"\n"
        begins, self._ids_stop = self._ids_stop, self._ids_stop + len(entry)
        last = filling.spans[-1] if filling.spans else None
        if last is not None and last.first + last.rows == self.rows:
            last.stop, last.rows, last.ids_stop = line.stop, last.rows + 1, self._ids_stop
        else:
            filling.spans.append(Span(line.start, line.stop, self.rows, 1, begins, self._ids_stop))
        filling.rows += 1
        filling.size += line.stop - line.start
        filling.models.add(request.model if len(request.model) <= LONGEST_MODEL else "")
        self.rows += 1
        return entry

    def end(self) -> None:
        """No more lines follow."""
        for filling in self._lanes.values():
            self._end(filling)
        self.slices = [part for number in sorted(self._done) for part in self._done[number]]

    def _end(self, filling: _Filling) -> None:
        lane, models = filling.lane, filling.models
        source = source_of(filling.spans, self._ids)
        source["model"] = models.pop() if len(models) == 1 else ""
        source |= {"lane": lane.number} if lane.number else {}
        source |= {"engine": lane.engine} if lane.engine is not None and filling.rows >= lane.least_rows else {}
        self._done.setdefault(lane.number, []).append(Slice(source, filling.rows))
