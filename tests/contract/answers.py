"""What the contract suite of AnswerStore runs over, in this process and in others (it must pickle)."""

import asyncio
from dataclasses import dataclass
import os
from typing import override

from core.platform.dynamodb_table import Table
from core.stores.answers import sqlite as answers_sqlite
from core.stores.answers.dynamodb import MOST_PART, DynamoAnswers
from core.stores.answers.port import AnswerStore, Lease
from tests.contract.crew import together
from tests.contract.places import Place

PATIENCE = 60.0  # seconds: a slow machine is no failure
KINDS = ("sqlite", "dynamodb")
NOW = 1_800_000_000
UNTIL = NOW + 900


@dataclass(frozen=True, slots=True)
class Answering(Place[AnswerStore]):
    @override
    def connect(self, namespace: str | None = None, most_part: int = MOST_PART) -> AnswerStore:
        if self.endpoint is None:
            return answers_sqlite.connect(self.place, namespace=namespace, patience=PATIENCE)
        table = Table(self.place, region=None, endpoint_url=self.endpoint, answer_seconds=PATIENCE)
        return DynamoAnswers(table, namespace=namespace or "", patience=PATIENCE, most_part=most_part)


def rush(answering: Answering, keys: list[str], now: int) -> list[str]:
    """In a process of a crew: when all are there, begin each key; those that it got."""
    return asyncio.run(_rush(answering, keys, now))


async def _rush(answering: Answering, keys: list[str], now: int) -> list[str]:
    async with answering.opened() as store:
        await store.begin(f"warm-{os.getpid()}", "f", now=now, until=now + 1)
        await together()
        begun = await asyncio.gather(*(store.begin(key, "f", now=now, until=now + 900) for key in keys))
    return [one.key for one in begun if isinstance(one, Lease)]


def crash(answering: Answering, key: str) -> None:
    """In a process of its own: begin, and be gone."""
    asyncio.run(_crash(answering, key))


async def _crash(answering: Answering, key: str) -> None:
    assert isinstance(await answering.connect().begin(key, "f", now=NOW, until=UNTIL), Lease)
    os._exit(9)
