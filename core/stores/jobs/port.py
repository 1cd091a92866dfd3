"""The port of jobs: work that outlives a request, its shards, their leases and what was done.

    queued -> running [-> stopping] -> finishing -> completed, or cancelled, expired, failed: as `outcome` says

Each change of a job or a shard is one conditional write (or transaction) of the store, so that of any number of workers one
makes it. Times are Unix seconds; leases compare clocks of machines, which may be some seconds apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from core.frame.callers import Principal
from core.frame.types import JsonObject

type Status = Literal["queued", "running", "stopping", "finishing", "completed", "failed", "cancelled", "expired"]
type Outcome = Literal["completed", "failed", "cancelled", "expired"]
type ShardState = Literal["waiting", "leased", "done"]

ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})


PARTS_OF_USAGE: Final = "usage:"
"""Names among tokens that begin with it are of no model: they say of which sort the tokens of all models are."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by how they ended, and the tokens that they used, by model, with PARTS_OF_USAGE beside."""

    completed: int = 0
    failed: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def models(self) -> dict[str, int]:
        """Tokens by model alone."""
        return {name: count for name, count in self.tokens.items() if not name.startswith(PARTS_OF_USAGE)}

    def __add__(self, other: "Counts") -> "Counts":
        return self.sum((self, other))

    @staticmethod
    def sum(several: Iterable["Counts"]) -> "Counts":
        completed, failed, tokens = 0, 0, dict[str, int]()
        for counts in several:
            completed += counts.completed
            failed += counts.failed
            for name, count in counts.tokens.items():
                tokens[name] = tokens.get(name, 0) + count
        return Counts(completed, failed, tokens)


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `principal` is whoever made it, with the attributes of then; `request` is its kind's.

    `deadline` is when it stops with what it has, as `expired`; `expires` when it is forgotten (both Unix seconds).
    `outcome` and `reason` say how it ends, once that is known; `plan` names the shards in force, of which `left` are not
    done. `holder` has the lease of preparing or finishing it until `until`; `attempts` counts those that lapsed.
    `rows` are those of all shards, `counts` are there once it has ended, as is `result`. `tick` is the number of the next
    tick. `stopped` and `finishing` are when it became so, by the store's clock, None where it did not, or did in an older deployment.
    """

    id: str
    kind: str
    principal: Principal
    request: JsonObject
    created: float
    deadline: float
    expires: int
    status: Status = "queued"
    outcome: Outcome | None = None
    reason: str = ""
    plan: str = ""
    shards: int = 0
    left: int = 0
    rows: int = 0
    holder: str = ""
    until: float = 0.0
    attempts: int = 0
    tick: int = 0
    started: float | None = None
    ended: float | None = None
    counts: Counts | None = None
    result: JsonObject | None = None
    stopped: float | None = None
    finishing: float | None = None

    @property
    def owner(self) -> str:
        """The principal's identity, by which jobs are listed, and keys are apart."""
        return self.principal.identity


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a job's rows, which one worker at a time works on.

    `source` says where its rows are (the kind's own), `done` has a bit per row that has ended, `parts` are the keys of the
    blobs with what they came to, in the order in which they were written. `attempts` counts the leases that lapsed, since a
    checkpoint set it back. `until` is when its lease ends, or of one that waits for its owner's quota when that has more.
    """

    job: str
    plan: str
    number: int
    source: JsonObject
    rows: int
    state: ShardState = "waiting"
    holder: str = ""
    until: float = 0.0
    attempts: int = 0
    done: int = 0
    parts: tuple[str, ...] = ()
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class JobPage:
    jobs: list[Job]
    has_more: bool


class JobStore(Protocol):
    """Jobs and their shards, shared by every process that names the same table or file.

    What is past its `expires` is as if it were not there. What a holder calls again with the same arguments, as after
    an answer that was lost, answers the same, and changes nothing twice: holders and plans are new each time. A job is `finishing`
    from the very write that makes nothing left of it; whoever was told so may be gone by then, so that its tick sends it on.
    Every method raises StateUnavailable when the store cannot be reached.
    """

    async def create(self, job: Job, *, key: str = "") -> Job:
        """Keep a new job, and list it, in one transaction; with a `key` (its owner's own) that is taken, the job there.

        Raises:
            InvalidRequest: its request takes more than 300,000 bytes as JSON.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """The job, strongly consistent."""
        ...

    async def page(self, kind: str, *, owner: str | None, after: str | None, limit: int) -> JobPage:
        """At most `limit` (1 to 100) jobs of a kind, newest first, after the one whose id is `after`; None: every owner's.

        Raises:
            NotFound: there is no job `after` in the list.
        """
        ...

    async def lease(self, job_id: str, holder: str, *, now: float, until: float) -> Job | None:
        """Take the job, to prepare it if it is `queued` or to finish it if it is `finishing`.

        Free is what has no holder, or whose lease ended before `now`: then `attempts` grows by one. The job as it is
        afterwards, whose `holder` tells who has it; None where there is none.
        """
        ...

    async def renew(self, job: Job, *, until: float) -> bool:
        """Keep the lease for longer; False if it is another's by now."""
        ...

    async def release(self, job: Job) -> None:
        """Give the lease back, unless it is another's by now; no attempt is counted."""
        ...

    async def start(self, job: Job, shards: Sequence[Shard], *, now: float) -> bool:
        """Write the shards, then make the queued job that `job.holder` has `running` over them, without a lease or attempts.

        With no shards it is `finishing` at once. False if the lease is another's, or the job is no longer queued; then
        its shards are those of no plan, and never read.

        Raises:
            InvalidRequest: a shard's source takes more than 300,000 bytes as JSON.
        """
        ...

    async def stop(self, job_id: str, outcome: Outcome, reason: str = "") -> Job | None:
        """Make a queued or running job `stopping`; any other stays as it is. The job as it is afterwards.

        A job that has no shards yet is `finishing` at once, and whoever prepares it has lost its lease.
        """
        ...

    async def end(
        self, job: Job, status: Outcome, *, reason: str, counts: Counts, result: JsonObject, now: float
    ) -> bool:
        """End the job that `job.holder` has, whether it was prepared or finished; False if the lease is another's.

        Of `reason` the first 2,000 characters are kept.

        Raises:
            InvalidRequest: the result takes more than 300,000 bytes as JSON.
        """
        ...

    async def advance_tick(self, job_id: str, tick: int) -> bool:
        """Make `tick + 1` the next tick, if `tick` is it and the job has not ended; False otherwise."""
        ...

    async def shards(self, job: Job) -> list[Shard]:
        """Every shard of the plan in force, in their order, strongly consistent."""
        ...

    async def lease_shard(self, job: Job, number: int, holder: str, *, now: float, until: float) -> Shard | None:
        """Take the shard if it waits, or its lease ended before `now`: then `attempts` grows by one.

        The shard as it is afterwards, whose `state` and `holder` tell who has it; None where there is none.
        """
        ...

    async def checkpoint(self, shard: Shard) -> bool:
        """Write `done`, `parts`, `counts`, `attempts` and `until` of a shard that its `holder` has; False if it is another's."""
        ...

    async def release_shard(self, shard: Shard) -> bool:
        """As `checkpoint`, and let it wait for whoever comes next; no attempt is counted."""
        ...

    async def finish_shard(self, shard: Shard) -> int | None:
        """As `checkpoint`, and make it `done`, with one less left of the job in the same transaction.

        How many are left, of which the last makes the job `finishing`; None if the shard is another's by now.
        """
        ...

    async def close_shard(self, shard: Shard, *, now: float) -> int | None:
        """Make a shard `done` that nobody has: it waits, or its lease ended before `now`. What it came to stays as it is.

        How many are left, of which the last makes the job `finishing`; None if somebody has it, or it is done already.
        """
        ...

    async def delete(self, job: Job) -> None:
        """Remove the job with its shards, its places in lists and its owner's key of it, whatever its status; who has a lease loses it.

        One that is not there does not matter. Its blobs are its kind's to remove.
        """
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
