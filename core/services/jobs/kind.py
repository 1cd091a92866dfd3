"""Kinds of job: how one is split, what is done for a part of it, and how the parts are put together.

A kind is a row of its API's manifest (`core.frame.api.JobRow`), whose function makes a JobKind from a stack's parts.
What a kind does with rows that are asked one by one is ready in `.rows`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from core.errors import ApiError
from core.frame.callers import Call, Principal
from core.frame.content import Blob
from core.frame.types import JsonObject
from core.services.jobs.parts import folder, ordered_lines
from core.services.jobs.shard_run import ShardRun
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import Counts, Job, Shard

MOST_SHARDS: Final = 2000


class JobFailed(Exception):
    """The job cannot succeed, whoever tries; str() is the reason, for its owner, and `result` what there is to say beside it."""

    def __init__(self, reason: str, result: JsonObject | None = None) -> None:
        super().__init__(reason)
        self.result: JsonObject = result or {}


@dataclass(frozen=True, slots=True)
class Slice:
    """A shard to be: `source` says where its `rows` are, as `work` will read it (at most some KB)."""

    source: JsonObject
    rows: int


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The blobs of one job, by names below its folder; `parts/` there is the engine's."""

    blobs: BlobStore
    job: str

    def key(self, name: str) -> str:
        return folder(self.job) + name

    async def put(self, name: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "") -> Blob:
        """As BlobStore.put: whole, or not at all."""
        return await self.blobs.put(self.key(name), content, media_type=media_type or "application/octet-stream")

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """As BlobStore.read."""
        return self.blobs.read(self.key(name), start=start, stop=stop)

    async def delete(self, *names: str) -> None:
        await self.blobs.delete(*map(self.key, names))


@dataclass(frozen=True, slots=True)
class PrepareRun:
    """`call` is the owner's, as known now."""

    job: Job
    files: JobFiles
    call: Call


@dataclass(frozen=True, slots=True)
class FinishRun:
    """`job.outcome` says whether it was stopped, and with what: None is a job of which every shard was done.

    `shards` are those of the plan, none where it was stopped before it had one; `counts` are all of theirs.
    """

    job: Job
    files: JobFiles
    shards: Sequence[Shard]
    counts: Counts

    def lines(self) -> AsyncIterator[tuple[int, int, bytes]]:
        """Shard number, position in it and line of every row that has ended, in input order, each once."""
        return ordered_lines(self.files.blobs, self.shards)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Shards whose work goes on elsewhere while no worker has them, as at a provider.

    `covers` says which; `wind_up` does one of them where its job is stopped: it has the other place stop, and records what is there.
    """

    covers: Callable[[Shard], bool]
    wind_up: Callable[[ShardRun], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """`prepare` splits a job; `work` does a shard, from where the last one left it; `finish` gives the job's result.

    Any of them may run again after a worker died, and two may run at once where clocks or networks fail: of what they
    write, only what the engine names counts. `prepare` and `finish` raise JobFailed, or an ApiError that blames the
    request, for what no other try would mend. `abandon` gives every row left its error, after too many workers died
    over the shard; it must not ask anybody. `ended` is told of a job that has ended, however it did, at least once.
    """

    name: str
    prepare: Callable[[PrepareRun], Awaitable[Sequence[Slice]]]
    work: Callable[[ShardRun], Awaitable[None]]
    finish: Callable[[FinishRun], Awaitable[JsonObject]]
    abandon: Callable[[ShardRun, ApiError], Awaitable[None]] | None = None
    ended: Callable[[Job], Awaitable[None]] | None = None
    outside_work: Elsewhere | None = None

    def winds_up(self, shard: Shard) -> bool:
        """Whether a shard of a job that is stopped is not closed as it is."""
        return self.outside_work is not None and self.outside_work.covers(shard)


class Owners(Protocol):
    """Who an owner is by now."""

    async def current(self, principal: Principal) -> Principal | None:
        """The principal with the attributes of now; None for one that may no longer call.

        Raises:
            ApiError: it cannot be told now (503).
        """
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """`index` is what the kind calls it, for its lines; `value` is what `read` made of it."""

    index: int
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What a row came to: a line without a line break, whether it `ok` or counts as failed, and tokens by model."""

    line: bytes = field(repr=False)
    ok: bool = True
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
