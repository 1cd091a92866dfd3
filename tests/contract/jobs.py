"""What the contract suite of JobStore runs over, in this process and in others (it must pickle), and a model of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
import time
from typing import Any, override

from core.errors import StateUnavailable
from core.frame.callers import Principal
from core.platform.dynamodb_items import BACKOFF
from core.platform.dynamodb_table import Table
from core.platform.retry import Backoff
from core.platform.sqlite_connection import SqliteConnection
from core.stores.jobs.dynamodb import DynamoJobs
from core.stores.jobs.port import ENDED, Counts, Job, JobStore, Shard
from core.stores.jobs.sqlite import OWNER, SCHEMA, SqliteJobs
from tests.contract.places import Place

PATIENCE = 60.0  # seconds: a slow machine is no failure
PATIENT = Backoff(BACKOFF.first, BACKOFF.longest, tries=60)
KINDS = ("sqlite", "dynamodb")
NOW = 1_800_000_000.25
UNTIL = NOW + 60
EXPIRES = 1_800_100_000
ADA = Principal("ada", {"roles": ("admin", "ü"), "teams": ()}, "oauth2")


@dataclass
class Clock:
    """Says what it was told."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Jobs(Place[JobStore]):
    """`space` begins the namespaces: tests share a table, as one takes long to make."""

    space: str = ""

    @override
    def connect(self, namespace: str = "", clock: Callable[[], float] = time.time) -> JobStore:
        if self.endpoint is None:
            connection = SqliteConnection(
                Path(self.place), SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=PATIENCE
            )
            return SqliteJobs(connection, namespace=self.space + namespace, clock=clock)
        table = Table(
            self.place,
            region=None,
            endpoint_url=self.endpoint,
            answer_seconds=PATIENCE,
            failure=StateUnavailable,
        )
        return DynamoJobs(table, namespace=self.space + namespace, backoff=PATIENT, clock=clock)


def job(number: int = 1, **fields: Any) -> Job:
    """A new one; `number` is in its id and its time."""
    values: dict[str, Any] = {
        "id": f"job_{number}",
        "kind": "batch",
        "principal": ADA,
        "request": {"n": number},
        "created": NOW + number,
        "deadline": NOW + 1000,
        "expires": EXPIRES,
    }
    return Job(**values | fields)


def shards_of(one: Job, count: int, plan: str = "p1") -> list[Shard]:
    return [Shard(one.id, plan, number, {"offset": number}, rows=8) for number in range(count)]


async def running(store: JobStore, count: int, one: Job | None = None) -> Job:
    """A job that runs over so many shards."""
    created = await store.create(one or job())
    leased = await store.lease(created.id, "starter", now=NOW, until=UNTIL)
    assert leased is not None
    assert await store.start(leased, shards_of(created, count), now=NOW)
    there = await store.get(created.id)
    assert there is not None
    return there


@dataclass
class Model:
    """One job and its shards as the port has them, in the plainest words; nothing expires, and the store's clock says NOW."""

    job: Job
    shards: dict[int, Shard] = field(default_factory=dict[int, Shard])

    def lease(self, holder: str, now: float, until: float) -> Job:
        one = self.job
        if one.status in ("queued", "finishing") and (not one.holder or one.until < now):
            self.job = replace(one, holder=holder, until=until, attempts=one.attempts + bool(one.holder))
        return self.job

    def _has(self, mine: Job) -> bool:
        return self.job.status in ("queued", "finishing") and bool(mine.holder) and mine.holder == self.job.holder

    def renew(self, mine: Job, until: float) -> bool:
        has = self._has(mine)
        if has:
            self.job = replace(self.job, until=until)
        return has

    def release(self, mine: Job) -> None:
        if self._has(mine):
            self.job = replace(self.job, holder="", until=0.0)

    def start(self, mine: Job, shards: list[Shard], now: float) -> bool:
        if not self._has(mine) or self.job.status != "queued":
            return False
        count, rows = len(shards), sum(shard.rows for shard in shards)
        self.shards = {shard.number: shard for shard in shards}
        self.job = replace(
            self.job,
            status="running" if count else "finishing",
            plan=shards[0].plan if shards else "",
            shards=count,
            left=count,
            rows=rows,
            started=now,
            finishing=None if count else now,
            holder="",
            until=0.0,
            attempts=0,
        )
        return True

    def stop(self, outcome: Any, reason: str) -> Job:
        if self.job.status in ("queued", "running"):
            status: Any = "finishing" if self.job.status == "queued" else "stopping"
            times: dict[str, Any] = {"stopped": NOW, "finishing": NOW if status == "finishing" else None}
            self.job = replace(
                self.job, status=status, outcome=outcome, reason=reason, holder="", until=0.0, attempts=0, **times
            )
        return self.job

    def end(self, mine: Job, status: Any, counts: Counts, now: float) -> bool:
        if not self._has(mine):
            return False
        self.job = replace(
            self.job, status=status, outcome=status, reason="so", counts=counts, result={"r": status}, ended=now
        )
        return True

    def advance_tick(self, tick: int) -> bool:
        if self.job.tick != tick or self.job.status in ENDED:
            return False
        self.job = replace(self.job, tick=tick + 1)
        return True

    def lease_shard(self, number: int, holder: str, now: float, until: float) -> Shard | None:
        shard = self.shards.get(number)
        if shard is not None and self._is_free(shard, now):
            attempts = shard.attempts + (shard.state == "leased")
            self.shards[number] = replace(shard, state="leased", holder=holder, until=until, attempts=attempts)
        return self.shards.get(number)

    def checkpoint(self, mine: Shard, **more: Any) -> bool:
        there = self.shards[mine.number]
        ours = there.state == "leased" and there.holder == mine.holder
        if ours:
            work: dict[str, Any] = {
                "done": mine.done, "parts": mine.parts, "counts": mine.counts, "attempts": mine.attempts,
                "until": mine.until, **more
            }  # fmt: skip
            self.shards[mine.number] = replace(there, **work)
        return ours

    def release_shard(self, mine: Shard) -> bool:
        if self.checkpoint(mine, state="waiting", holder=""):
            return True
        there = self.shards[mine.number]
        return there.state == "waiting" and (there.done, there.parts) == (mine.done, mine.parts)

    def finish_shard(self, mine: Shard) -> int | None:
        if self.checkpoint(mine, state="done"):
            return self._count_down()
        there = self.shards[mine.number]
        return self.job.left if there.state == "done" and there.holder == mine.holder else None

    def close_shard(self, number: int, now: float) -> int | None:
        shard = self.shards[number]
        if not self._is_free(shard, now):
            return None
        self.shards[number] = replace(shard, state="done", holder="")
        return self._count_down()

    @staticmethod
    def _is_free(shard: Shard, now: float) -> bool:
        return shard.state == "waiting" or (shard.state == "leased" and shard.until < now)

    def _count_down(self) -> int:
        left = self.job.left - 1
        self.job = replace(self.job, left=left)
        if not left:
            self.job = replace(self.job, status="finishing", finishing=NOW)
        return left
