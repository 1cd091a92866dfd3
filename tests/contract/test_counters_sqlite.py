"""The SQLite counters and their file: how it is made, waited for, tidied, and found unusable."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path
import sqlite3

import pytest

from core.stores.counters.port import Admission, CounterStore, Counts, Limit
from core.stores.counters.sqlite import TIDY_ROWS, SqliteCounters
from tests.fakes import Clock

type Open = Callable[..., SqliteCounters]


@pytest.fixture
async def opened() -> AsyncGenerator[Open]:
    stores: list[SqliteCounters] = []

    def opened(path: Path, *, patience: float = 60, clock: Clock | None = None) -> SqliteCounters:
        stores.append(SqliteCounters(path, namespace="", patience=patience, clock=clock or Clock()))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


async def take(store: CounterStore, key: str = "k", expires: int = 100) -> Admission:
    return await store.take(key, tokens=1, below=Limit(), expires=expires)


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM counters ORDER BY key")]


async def test_while_another_writes_a_call_waits_and_the_loop_goes_on(tmp_path: Path, opened: Open) -> None:
    store = opened(tmp_path / "quota.db")
    await take(store)
    with closing(sqlite3.connect(tmp_path / "quota.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        taking = [asyncio.create_task(take(store)) for _ in range(20)]
        assert await store.read("k") == Counts(1, 1)  # readers wait for nobody
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in taking)
        other.execute("COMMIT")
        await asyncio.gather(*taking)
    assert await store.read("k") == Counts(21, 21)


async def test_counters_go_when_they_have_expired(tmp_path: Path, opened: Open) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    await take(store, "old", expires=300)
    await take(store, "new", expires=301)
    await store.close()  # waits for the tidying that the first call began
    clock.now = 300
    await take(store, "other", expires=9999)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["new", "other"]


async def test_within_a_minute_counters_are_tidied_once(tmp_path: Path, opened: Open) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    await take(store, "a", expires=5)
    await store.close()
    clock.now = 59
    await take(store, "b", expires=9999)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["a", "b"]
    clock.now = 60
    await take(store, "b", expires=9999)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["b"]


async def test_more_counters_than_go_at_a_time_go_all(tmp_path: Path, opened: Open) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    for number in range(2 * TIDY_ROWS + 1):
        await take(store, str(number), expires=100)
    await store.close()
    clock.now = 100
    await take(store, "kept", expires=200)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["kept"]


async def test_tidying_that_fails_takes_no_call_with_it(
    tmp_path: Path, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    await take(store, expires=100)
    await store.close()
    await take(store, expires=100)
    (tmp_path / "quota.db").unlink()
    (tmp_path / "quota.db").mkdir()
    clock.now = 200
    assert (await take(store)).admitted
    await store.close()
    assert "expired counters stay" in caplog.text
