"""What the counters' contract suite runs over, in this process and in others (it must pickle)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, override

from core.errors import QuotaExceeded
from core.platform.dynamodb_table import Table
from core.quota.quota import Quota
from core.stores.connect import USAGE
from core.stores.counters import sqlite as counters_sqlite
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.port import (
    AccountKey,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Limit,
    Reservation,
    Take,
    Window,
)
from core.stores.usage.port import UsageStore
from tests.contract.crew import together
from tests.contract.places import Place
from tests.unit.quota.fakes import quota_config, user

CALLERS = 64  # of each process
PATIENCE = 60.0  # seconds: a slow machine is no failure
KINDS = ("sqlite", "dynamodb")
USAGE_KINDS = KINDS
LATER = 4_000_000_000  # 2096


DAY = Counter("day", Window("46296", LATER - LATER % 86_400, LATER - LATER % 86_400 + 86_400))
MONTH = Counter("month", Window("2096-10", 3_999_888_000, 4_002_566_400))


def taking(
    tokens: int = 0,
    below: Limit | None = None,
    *,
    requests: int = 1,
    holds: bool = False,
    counter: Counter = DAY,
    nanos: int = 0,
) -> Take:
    """In one window."""
    first = replace(counter, below=below or Limit())
    return Take((first,), Counts(requests, tokens, nanos), holds)


async def taken(store: CounterStore, name: str, take: Take) -> tuple[bool, Counts]:
    """Whether an account takes it, and what its first window has."""
    admission = await store.take(AccountKey(name), take)
    return admission.admitted, admission.counts[0]


async def counted(store: CounterStore, name: str, counter: Counter = DAY) -> Counts:
    return (await store.read(AccountKey(name), (counter,))).counts[0]


def reservation_of(admission: Admission) -> Reservation:
    assert admission.reservation is not None
    return admission.reservation


@dataclass(frozen=True, slots=True)
class Counting(Place[CounterStore]):
    @override
    def connect(self, namespace: str | None = None, patience: float = PATIENCE) -> CounterStore:
        if self.endpoint is None:
            return counters_sqlite.connect(self.place, namespace=namespace, patience=patience)
        table = Table(self.place, region=None, endpoint_url=self.endpoint, answer_seconds=patience)
        return DynamoCounters(table, namespace=namespace or "", patience=patience)

    @asynccontextmanager
    async def reading(self, namespace: str | None = None) -> AsyncGenerator[UsageStore]:
        """The usage of what is counted there."""
        where = (
            {"db_path": self.place}
            if self.endpoint is None
            else {"table": self.place, "region": None, "endpoint_url": self.endpoint}
        )
        module = import_module(USAGE.adapters["sqlite" if self.endpoint is None else "dynamodb"])
        usage: UsageStore = module.connect(**where, namespace=namespace)
        try:
            yield usage
        finally:
            await usage.close()


def crowd(counting: Counting, tokens: int | None, settings: dict[str, Any], parts: int = 1) -> int:
    """In a worker: when all workers are ready, 64 calls of one client at once; how many were admitted."""
    return asyncio.run(_crowd(counting, tokens, settings, parts))


async def _crowd(counting: Counting, tokens: int | None, settings: dict[str, Any], parts: int) -> int:
    async with counting.opened() as store:
        quota = Quota(quota_config(**settings), store, clock=lambda: LATER)
        await store.read(AccountKey("warm"))
        await together()
        return sum(await asyncio.gather(*(_admitted(quota, tokens, parts) for _ in range(CALLERS))))


async def _admitted(quota: Quota, tokens: int | None, parts: int) -> bool:
    try:
        await quota.admit(user(), tokens, parts)
    except QuotaExceeded:
        return False
    return True
