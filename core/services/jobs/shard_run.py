"""A shard that this worker has: what is recorded of it, the checkpoints that keep it, and why work on it should end.

A part goes to the blobs under a name with the holder in it, then one conditional write names it, says which rows are done
and renews the lease. What was written and not named is never read; what was named is never done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
import logging
from typing import Final, Literal

from core.errors import StateUnavailable
from core.frame.callers import Call
from core.services.jobs.admission import Admission
from core.services.jobs.parts import encode, part_key
from core.services.jobs.timing import Timing, Turn
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import Counts, Job, JobStore, Shard, Status

log = logging.getLogger(__name__)

type Reason = Literal["deadline", "early", "later", "quota", "stopping", "lost"]

WEIGHT: Final[dict[Reason, int]] = {"deadline": 1, "early": 2, "later": 2, "quota": 2, "stopping": 3, "lost": 4}
EXPIRED: Final = "expired: it was not done by its deadline."
RETRY_SECONDS: Final = 1.0  # after a checkpoint that could not be kept
PATIENCE_SECONDS: Final = 300.0  # for the last checkpoint of a run


@dataclass(slots=True)
class Halt:
    """Why no new row may begin: of several reasons the weightiest, None as long as it may.

    `over` is set when what is in flight is to be cancelled; `pause` is how many seconds a quota asks to wait, or whoever is to be
    asked `later`. Of an `early` message there is another, which is due.
    `changed` wakes whoever waits for rows.
    """

    reason: Reason | None = None
    pause: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, reason: Reason, *, in_flight: float | None = None, pause: int = 0) -> None:
        """What is in flight may take `in_flight` seconds; None: as long as it needs."""
        if self.reason is None or WEIGHT[reason] > WEIGHT[self.reason]:
            self.reason = reason
        self.pause = max(self.pause, pause)
        self.changed.set()
        if in_flight is not None:
            asyncio.get_running_loop().call_later(max(0.0, in_flight), self.over.set)


@dataclass(frozen=True, slots=True)
class RunParts:
    """What a run works with; `clock` gives Unix seconds."""

    jobs: JobStore
    blobs: BlobStore
    admission: Admission
    timing: Timing
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Record:
    line: bytes
    counts: Counts


class ShardRun:
    """`job` and `call`, the owner's, as known when the run began; `shard` as the last checkpoint left it.

    `holding` while checkpoints fail: what could not be kept had better not be asked.
    """

    def __init__(
        self, parts: RunParts, job: Job, call: Call, shard: Shard, turn: Turn, status: Status = "running"
    ) -> None:
        """`shard` is leased: its holder is this run, which goes on while the job's status is this."""
        self._status = status
        self.job = job
        self.call = call
        self.shard = shard
        self.halt = Halt()
        self.holding = False
        self.clock = parts.clock
        self.blobs = parts.blobs
        self.admission = parts.admission
        self._jobs = parts.jobs
        self.timing = parts.timing
        self._turn = turn
        self._records: dict[int, _Record] = {}
        self._extra = Counts()
        self._written = 0
        self._gets_on = False
        self._lock = asyncio.Lock()

    def record(self, position: int, line: bytes, *, ok: bool, tokens: Mapping[str, int]) -> None:
        """A row has ended: the next checkpoint keeps it. The line has no line break."""
        self._records[position] = _Record(line, Counts(int(ok), int(not ok), tokens))

    def count(self, counts: Counts) -> None:
        """Add to the counts, of work that has no rows; the next checkpoint or `save` keeps it."""
        self._extra += counts

    def lighten(self) -> None:
        """As Turn.lighten."""
        self._turn.lighten()

    def get_on(self) -> None:
        """Work that keeps its own state has got further: the next checkpoint forgets the workers that were lost over it."""
        self._gets_on = True

    async def checkpoint(self) -> bool:
        """Keep what was recorded, and the lease; False, and all is forgotten, if the shard is another's by now.

        Raises:
            StateUnavailable: it may not be kept yet; the next checkpoint tries again.
        """
        return await self._keep(self._jobs.checkpoint)

    async def release(self, pause: int = 0) -> bool:
        """As `checkpoint`, tried for a while, and let the shard wait for whoever comes next: for a quota's window, `pause` seconds."""
        until = self.clock() + pause if pause else 0.0
        return await self._insist(lambda shard: self._jobs.release_shard(replace(shard, until=until)))

    async def finish(self) -> int | None:
        """As `release`, but make the shard done: how many are left of the job, None if the shard is another's."""
        left: int | None = None

        async def finish(shard: Shard) -> bool:
            nonlocal left
            left = await self._jobs.finish_shard(shard)
            return left is not None

        await self._insist(finish)
        return left

    async def save(self, content: bytes) -> bool:
        """As `checkpoint`, of work that has no rows: keep its state, in the place of what was saved before."""
        return await self._keep(self._jobs.checkpoint, content)

    async def saved(self) -> bytes | None:
        """What was saved last, by whichever worker; None before the first."""
        if not self.shard.parts:
            return None
        return b"".join([chunk async for chunk in self.blobs.read(self.shard.parts[-1])])

    async def keep(self) -> None:
        """Until it is cancelled or the shard is lost: checkpoints, and looks at whether the work may go on."""
        while self.halt.reason != "lost":
            await self._pause()
            now = self.clock()
            if self._turn.stopping.is_set() or now >= self._turn.deadline - self.timing.margin:
                self.halt.set("deadline", in_flight=self._turn.deadline - self.timing.reserve - now)
            try:
                await self.checkpoint()
                job = await self._jobs.get(self.job.id)
                if (
                    job is not None and job.status == "running" and now >= job.deadline
                ):  # its tick may wait for its turn
                    job = await self._jobs.stop(job.id, "expired", EXPIRED)
            except StateUnavailable as failure:
                log.warning("job %s, shard %d: no checkpoint: %s", self.job.id, self.shard.number, failure)
                self.holding = True
                continue
            self.holding = False
            self.halt.changed.set()
            if job is None or job.status != self._status:
                self.halt.set("stopping", in_flight=self.timing.grace)

    async def _insist(self, commit: Callable[[Shard], Awaitable[bool]]) -> bool:
        """What was paid for is not given up because a store is down for a moment; raises StateUnavailable in the end."""
        last = min(self._turn.deadline, self.clock() + PATIENCE_SECONDS)
        while True:
            try:
                return await self._keep(commit)
            except StateUnavailable:
                if self.clock() + RETRY_SECONDS >= min(last, self._turn.deadline):
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _pause(self) -> None:
        seconds = RETRY_SECONDS if self.holding else self.timing.checkpoint
        if self.halt.reason is None:
            seconds = min(seconds, max(0.0, self._turn.deadline - self.timing.margin - self.clock()))
        if self._turn.stopping.is_set():
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turn.stopping.wait()

    async def _keep(self, commit: Callable[[Shard], Awaitable[bool]], content: bytes | None = None) -> bool:
        """One at a time; what is recorded meanwhile is the next one's."""
        async with self._lock:
            if self.halt.reason == "lost":
                return False
            records, self._records = self._records, {}
            extra, self._extra = self._extra, Counts()
            after: Shard | None = None
            try:
                shard = await self._with_part(records, extra, content)
                after = shard if await commit(shard) else None
                if after is None:
                    self.halt.set("lost", in_flight=0)
                else:
                    self.shard = after
            finally:
                if after is None:
                    self._records, self._extra = records | self._records, extra + self._extra
            return after is not None

    async def _with_part(self, records: Mapping[int, _Record], extra: Counts, content: bytes | None) -> Shard:
        """The shard as it is to be, with its part written; raises StateUnavailable."""
        shard, parts, done = self.shard, self.shard.parts, self.shard.done
        for position in records:
            done |= 1 << position
        counts = Counts.sum((shard.counts, extra, *(record.counts for record in records.values())))
        part = encode({position: record.line for position, record in records.items()}) if content is None else content
        if part:
            self._written += 1  # not twice under one name: the first may be named although its write seemed to fail
            key = part_key(shard, self._written)
            await self.blobs.put(key, part)
            parts = (key,) if content is not None else (*parts, key)
        # Takeovers count against work that does not get on: a long shard may lose many workers.
        attempts = 0 if part or self._gets_on else shard.attempts
        until = self.clock() + self.timing.lease
        return replace(shard, done=done, parts=parts, counts=counts, attempts=attempts, until=until)
