"""What the contract suite of ConfigurationStore runs over, in this process and in others (it must pickle)."""

import asyncio
from dataclasses import dataclass
import os
import signal
from typing import Any, override

from core.apis.configurations import Configuration
from core.stores.configurations import dynamodb as configurations_dynamodb
from core.stores.configurations import sqlite as configurations_sqlite
from core.stores.configurations.port import ConfigurationStore, Head
from core.stores.configurations.sqlite import SqliteConfigurations
from tests.contract.crew import together
from tests.contract.places import Place
from tests.parts.audit import CHANGE

KINDS = ("sqlite", "dynamodb")
PATIENCE = 60.0  # seconds: a slow machine is no failure


@dataclass(frozen=True, slots=True)
class Configuring(Place[ConfigurationStore]):
    @override
    def connect(self, namespace: str | None = None) -> ConfigurationStore:
        if self.endpoint is None:
            return configurations_sqlite.connect(self.place, namespace=namespace, patience=PATIENCE)
        return configurations_dynamodb.connect(self.place, region=None, endpoint_url=self.endpoint, namespace=namespace)


def configuration(version: int = 1, note: str = "registered", **config: Any) -> Configuration:
    provider = {"provider_type": "remote::vllm", "config": config, "registered": False}
    owner = {"principal": "ada", "attributes": {"roles": ["admin"]}}
    return Configuration(version, {"inference": {"vllm": provider}}, 1_700_000_000, owner, note)


async def everything(store: ConfigurationStore, limit: int = 100) -> list[Configuration]:
    """Newest first, page by page."""
    found: list[Configuration] = []
    while page := await store.page(before=found[-1].version if found else None, limit=limit):
        assert len(page) <= limit
        found += page
    return found


async def added(store: ConfigurationStore, note: str) -> int:
    """Append after whatever is there, again and again while others are faster; the version that it got."""
    while True:
        head = await store.head()
        if await store.append(configuration(head.latest + 1, note), change=CHANGE, after=head):
            return head.latest + 1


async def consistent(store: ConfigurationStore, *, fewest: int = 0) -> Head:
    """The head, which fits what is there when nothing was ever removed."""
    head = await store.head()
    assert [one.version for one in await everything(store)] == list(range(head.latest, 0, -1))
    assert head.active == head.latest >= fewest
    return head


def crowd(configuring: Configuring, notes: list[str]) -> dict[str, int]:
    """In a process of a crew: when all are there, append one for each note, all at once."""
    return asyncio.run(_crowd(configuring, notes))


async def _crowd(configuring: Configuring, notes: list[str]) -> dict[str, int]:
    async with configuring.opened() as store:
        await store.head()
        await together()
        versions = await asyncio.gather(*(added(store, note) for note in notes))
    return dict(zip(notes, versions, strict=True))


def append_for_ever(configuring: Configuring) -> None:
    """In a process of its own, until it is killed."""

    async def appending() -> None:
        store = configuring.connect()
        while True:
            await added(store, "for ever")

    asyncio.run(appending())


def die_before(configuring: Configuring, statement: str) -> None:
    """In a process of its own: append or remove, and be killed when SQLite is about to run this statement."""

    async def dying() -> None:
        store = configuring.connect()
        assert isinstance(store, SqliteConfigurations)
        head = await store.head()
        connection = store._connection._connection
        assert connection is not None

        def watching(text: str) -> None:
            if text.startswith(statement):
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(watching)
        if statement.startswith("DELETE"):
            await store.remove(head.active, change=CHANGE, after=head)
        await store.append(configuration(head.latest + 1), change=CHANGE, after=head)

    asyncio.run(dying())
