"""What a process knows of the configuration in force is never older than its bound, and outlives a store that is down."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.apis.configurations import Configuration
from core.errors import ProviderUnavailable
from core.resolution.live.poller import ConfigurationPoller
from core.stores.audit.entry import Change
from core.stores.configurations.port import Head
from tests.fakes import Clock


@dataclass
class Heads:
    """A store of which only the head is asked; `gate` holds the answer back."""

    now: Head = field(default_factory=Head)
    reads: int = 0
    down: bool = False
    gate: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def head(self) -> Head:
        self.reads += 1
        self.begun.set()
        found = self.now
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise ProviderUnavailable("down")
        return found

    async def get(self, version: int) -> Configuration | None:
        raise NotImplementedError

    async def page(self, *, before: int | None, limit: int) -> list[Configuration]:
        raise NotImplementedError

    async def append(self, configuration: Configuration, *, after: Head, change: Change) -> bool:
        raise NotImplementedError

    async def rewrite(self, configuration: Configuration) -> bool:
        raise NotImplementedError

    async def remove(self, version: int, *, after: Head, change: Change) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        return None


def watch(store: Heads, clock: Clock, **more: Any) -> ConfigurationPoller:
    return ConfigurationPoller(store, 10.0, clock=clock, **more)


async def test_the_head_is_read_again_when_its_time_is_over_and_not_before() -> None:
    store, clock = Heads(), Clock()
    watched = watch(store, clock)
    assert await watched.head() == Head()
    store.now = Head(1, 1)
    clock.now = 9.99
    assert await watched.head() == Head()
    clock.now = 10.0
    assert await watched.head() == Head(1, 1)
    assert store.reads == 2


async def test_its_age_counts_from_when_it_was_asked_for() -> None:
    store, clock = Heads(gate=asyncio.Event()), Clock()
    watched = watch(store, clock)
    asking = asyncio.create_task(watched.head())
    await store.begun.wait()
    clock.now = 4.0
    assert store.gate is not None
    store.gate.set()
    await asking
    clock.now = 10.0
    await watched.head()
    assert store.reads == 2


async def test_callers_at_the_same_time_share_one_reading_and_none_is_cancelled_by_another() -> None:
    store = Heads(gate=asyncio.Event())
    watched = watch(store, Clock())
    first, second = asyncio.create_task(watched.head()), asyncio.create_task(watched.head())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert store.gate is not None
    store.gate.set()
    assert await second == Head()
    assert store.reads == 1


async def test_what_was_written_here_is_not_undone_by_an_older_reading() -> None:
    store = Heads(now=Head(5, 5), gate=asyncio.Event())
    watched = watch(store, Clock())
    asking = asyncio.create_task(watched.head())
    await store.begun.wait()
    watched.note_head(Head(5, 0))
    assert store.gate is not None
    store.gate.set()
    assert await asking == Head(5, 0)


async def test_when_the_store_is_down_the_last_known_stays_and_is_asked_for_again_soon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, clock = Heads(now=Head(1, 1)), Clock()
    watched = watch(store, clock)
    await watched.head()
    store.down, clock.now = True, 10.0
    assert await watched.head() == Head(1, 1)
    assert "cannot be read" in caplog.text
    clock.now = 10.5
    await watched.head()
    assert store.reads == 2
    store.down, store.now, clock.now = False, Head(2, 2), 11.0
    assert await watched.head() == Head(2, 2)


async def test_a_process_that_never_knew_says_so() -> None:
    store, clock = Heads(down=True), Clock()
    watched = watch(store, clock)
    with pytest.raises(ProviderUnavailable):
        await watched.head()
    store.down, clock.now = False, 1.0
    assert await watched.head() == Head()


async def test_a_store_that_does_not_answer_is_waited_for_a_bounded_time() -> None:
    watched = watch(Heads(gate=asyncio.Event()), Clock(), patience=0.05)
    with pytest.raises(ProviderUnavailable):
        await watched.head()


async def test_closed_it_ends_the_question_under_way_and_asks_again_later() -> None:
    store, clock, tasks = Heads(gate=asyncio.Event()), Clock(), asyncio.all_tasks()
    watched = watch(store, clock)
    waiting = asyncio.create_task(watched.head())
    await store.begun.wait()
    await watched.close()
    with pytest.raises(ProviderUnavailable):
        await waiting
    assert asyncio.all_tasks() == tasks
    store.gate = None
    assert await watched.head() == Head()
