"""What the semaphores' contract suite runs over, in this process and in others (it must pickle)."""

import asyncio
from dataclasses import dataclass
from typing import override

from core.platform.dynamodb_table import Table
from core.stores.semaphores import sqlite
from core.stores.semaphores.dynamodb import DynamoSemaphores
from core.stores.semaphores.port import SemaphoreStore
from tests.contract.crew import together
from tests.contract.places import Place

CALLERS = 24  # of each process
PATIENCE = 60.0  # seconds: a slow machine is no failure


@dataclass(frozen=True, slots=True)
class Semaphores(Place[SemaphoreStore]):
    @override
    def connect(self, namespace: str = "", patience: float = PATIENCE) -> SemaphoreStore:
        if self.endpoint is None:
            return sqlite.connect(self.place, namespace=namespace, patience=patience)
        table = Table(self.place, region=None, endpoint_url=self.endpoint, answer_seconds=patience)
        return DynamoSemaphores(table, namespace=namespace, patience=patience)


def crowd(semaphores: Semaphores, process: int, most: int) -> int:
    """In a worker: when all are ready, many ask for one key at once, while the leases of some others have ended."""
    return asyncio.run(_crowd(semaphores, process, most))


async def _crowd(semaphores: Semaphores, process: int, most: int) -> int:
    async with semaphores.opened() as store:
        await store.acquire("warm", f"p{process}", most=9, now=0, until=1)
        await together()
        acquiring = (
            store.acquire("k", f"p{process}c{number}", most=most, now=100, until=200) for number in range(CALLERS)
        )
        return sum(await asyncio.gather(*acquiring))
