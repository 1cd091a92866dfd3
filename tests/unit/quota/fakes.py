"""A counter store of one process, and quotas over it."""

import asyncio
from dataclasses import dataclass, field
import random
from typing import Any

from core.config.security import QuotaConfig
from core.errors import QuotaUnavailable
from core.frame.callers import ANONYMOUS, Call, Principal
from core.quota.quota import Quota
from core.stores.counters.port import Admission, Counts, Limit
from tests.fakes import Clock

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
EVENING = 43_200  # seconds from NOON to the end of its day


@dataclass
class MemoryCounters:
    """A CounterStore; `takes` and `adjusts` are the keys that were written or tried; `down` makes every call fail."""

    rows: dict[str, Counts] = field(default_factory=dict[str, Counts])
    expiries: dict[str, int] = field(default_factory=dict[str, int])
    takes: list[str] = field(default_factory=list[str])
    adjusts: list[str] = field(default_factory=list[str])
    down: bool = False
    warmed: bool = False
    closed: bool = False

    async def take(self, key: str, *, tokens: int, below: Limit, expires: int, requests: int = 1) -> Admission:
        self.takes.append(key)
        await self._reached()
        there = self.rows.get(key, Counts())
        full = below.requests is not None and max(there.requests, 0) >= below.requests  # a bound of 0 refuses anyway
        if full or (below.tokens is not None and max(there.tokens, 0) >= below.tokens):
            return Admission(admitted=False, counts=there)
        self.rows[key] = Counts(there.requests + requests, there.tokens + tokens)
        self.expiries[key] = expires
        return Admission(admitted=True, counts=self.rows[key])

    async def adjust(self, key: str, *, tokens: int, requests: int = 0) -> None:
        self.adjusts.append(key)
        await self._reached()
        if key in self.rows:
            self.rows[key] = Counts(self.rows[key].requests + requests, self.rows[key].tokens + tokens)

    async def read(self, key: str) -> Counts:
        await self._reached()
        return self.rows.get(key, Counts())

    async def erase(self, prefix: str, *, dry: bool = False) -> int:
        await self._reached()
        keys = [key for key in self.rows if key.startswith(prefix)]
        for key in () if dry else keys:
            del self.rows[key]
        return len(keys)

    def warm(self) -> None:
        self.warmed = True

    async def close(self) -> None:
        self.closed = True

    def total(self) -> Counts:
        return Counts(sum(row.requests for row in self.rows.values()), sum(row.tokens for row in self.rows.values()))

    async def _reached(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise QuotaUnavailable("The counters are away.")


def quota_config(**settings: Any) -> QuotaConfig:
    return QuotaConfig.model_validate({"kvstore": {"type": "sqlite", "db_path": "unused.db"}, **settings})


@dataclass
class Bench:
    """A quota, its counters and its clock, at noon."""

    quota: Quota
    counters: MemoryCounters
    clock: Clock


def bench(*, seed: int = 0, counters: MemoryCounters | None = None, **settings: Any) -> Bench:
    counters, clock = counters or MemoryCounters(), Clock()
    clock.now = NOON
    chance = random.Random(seed)  # noqa: S311 - a choice of shards, not a secret
    return Bench(Quota(quota_config(**settings), counters, clock=clock, choose=chance.randrange), counters, clock)


def user(name: str = "ada", *roles: str, vouched_by: str = "issuer") -> Call:
    return Call(Principal(name, {"roles": roles}, vouched_by))


def anonymous(source: str = "203.0.113.7") -> Call:
    return Call(ANONYMOUS, source)
