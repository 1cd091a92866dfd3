"""What is kept of a native shard between two looks at it: a blob beside its parts.

Whoever writes it last wins, which harms nothing: a batch is known by its token at the provider, so that it is the same for all who
submit it, and rows that are done are done.
"""

from dataclasses import asdict, dataclass, field
import json
from typing import Literal, Self

from core.errors import NotFound
from core.frame.types import JsonObject
from core.services.jobs.kind import JobFiles
from core.services.jobs.shard_run import ShardRun

type Phase = Literal["new", "submitted", "ended", "queue"]


@dataclass(slots=True)
class NativeState:
    """`new`: nothing is submitted; `ended`: its results are kept, and to be charged; `queue`: what is left is asked row by row.

    `admitted` are rows that the owner's quota has counted, as so many `requests`, which its usage has not yet, `reservations` what is
    reserved for them, `tries` of submitting that failed; times are Unix seconds: `since` it was submitted, `due` for the next look at it, `failing` since it could not be looked at (0: it could), `stopped` since it was to stop.
    """

    phase: Phase = "new"
    handle: JsonObject | None = None
    admitted: int = 0
    requests: int = 0
    reservations: list[JsonObject] = field(default_factory=list[JsonObject])
    tries: int = 0
    since: float = 0.0
    due: float = 0.0
    failing: float = 0.0
    stopped: float = 0.0

    @classmethod
    async def load(cls, run: ShardRun) -> Self:
        """A new one where there is none."""
        try:
            content = b"".join([chunk async for chunk in _files(run).read(_name(run))])
        except NotFound:
            return cls()
        return cls(**json.loads(content))

    async def save(self, run: ShardRun) -> None:
        await _files(run).put(_name(run), json.dumps(asdict(self)).encode())


def _files(run: ShardRun) -> JobFiles:
    return JobFiles(run.blobs, run.job.id)


def _name(run: ShardRun) -> str:
    return f"parts/native-{run.shard.plan}-{run.shard.number:05d}.json"
