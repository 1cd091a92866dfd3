"""What the counters' contract suite runs over, in this process and in others (it must pickle)."""

import asyncio
from dataclasses import dataclass
from typing import Any, override

from core.errors import QuotaExceeded
from core.platform.dynamodb_table import Table
from core.quota.quota import Quota
from core.stores.counters import sqlite as counters_sqlite
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.port import CounterStore
from tests.contract.crew import together
from tests.contract.places import Place
from tests.unit.quota.fakes import quota_config, user

CALLERS = 64  # of each process
PATIENCE = 60.0  # seconds: a slow machine is no failure
KINDS = ("sqlite", "dynamodb")
LATER = 4_000_000_000  # 2096


@dataclass(frozen=True, slots=True)
class Counting(Place[CounterStore]):
    @override
    def connect(self, namespace: str | None = None, patience: float = PATIENCE) -> CounterStore:
        if self.endpoint is None:
            return counters_sqlite.connect(self.place, namespace=namespace, patience=patience)
        table = Table(self.place, region=None, endpoint_url=self.endpoint, answer_seconds=patience)
        return DynamoCounters(table, namespace=namespace or "", patience=patience)


def crowd(counting: Counting, tokens: int | None, settings: dict[str, Any], parts: int = 1) -> int:
    """In a worker: when all workers are ready, 64 calls of one client at once; how many were admitted."""
    return asyncio.run(_crowd(counting, tokens, settings, parts))


async def _crowd(counting: Counting, tokens: int | None, settings: dict[str, Any], parts: int) -> int:
    async with counting.opened() as store:
        quota = Quota(quota_config(**settings), store, clock=lambda: LATER)
        await store.read("warm")
        await together()
        return sum(await asyncio.gather(*(_admitted(quota, tokens, parts) for _ in range(CALLERS))))


async def _admitted(quota: Quota, tokens: int | None, parts: int) -> bool:
    try:
        await quota.admit(user(), tokens, parts)
    except QuotaExceeded:
        return False
    return True
