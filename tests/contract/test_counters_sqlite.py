"""The SQLite counters and their file: how it is made, waited for, tidied, and found unusable."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path
import sqlite3

import pytest

from core.errors import QuotaExceeded
from core.frame.callers import UsageRow
from core.quota.quota import Quota
from core.stores.counters.port import GRACE, AccountKey, Counter, CounterStore, Counts, Take, Use, Window
from core.stores.counters.sqlite import TIDY_ROWS, SqliteCounters
from tests.fakes import Clock
from tests.unit.quota.fakes import quota_config, user

type Open = Callable[..., SqliteCounters]


@pytest.fixture
async def opened() -> AsyncGenerator[Open]:
    stores: list[SqliteCounters] = []

    def opened(
        path: Path, *, patience: float = 60, clock: Clock | None = None, uptime: Clock | None = None
    ) -> SqliteCounters:
        clock = clock or Clock()
        stores.append(SqliteCounters(path, namespace="", patience=patience, clock=clock, uptime=uptime or clock))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


def counter(expires: int = 100) -> Counter:
    """One whose window is a day, and which may vanish then, in Unix seconds."""
    end = expires - GRACE - 86_400
    return Counter("day", Window("1", end - 86_400, end))


async def take(store: CounterStore, name: str = "k", expires: int = 100, *, holds: bool = False) -> bool:
    admission = await store.take(AccountKey(name), Take((counter(expires),), Counts(1, 1), holds))
    return admission.admitted


async def counted(store: CounterStore) -> Counts:
    return (await store.read(AccountKey("k"), (counter(),))).counts[0]


def rows(path: Path) -> list[str]:
    """Whose counters there are; who holds something too, twice."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT key FROM counters UNION ALL SELECT account FROM reservations")
        return sorted(name.removeprefix("quota:").removesuffix(":day:1") for (name,) in names)


async def test_while_another_writes_a_call_waits_and_the_loop_goes_on(tmp_path: Path, opened: Open) -> None:
    store = opened(tmp_path / "quota.db")
    await take(store)
    with closing(sqlite3.connect(tmp_path / "quota.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        taking = [asyncio.create_task(take(store)) for _ in range(20)]
        assert await counted(store) == Counts(1, 1)  # readers wait for nobody
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in taking)
        other.execute("COMMIT")
        await asyncio.gather(*taking)
    assert await counted(store) == Counts(21, 21)


async def test_counters_go_when_they_have_expired(tmp_path: Path, opened: Open) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    await take(store, "old", expires=300, holds=True)
    await take(store, "new", expires=301, holds=True)
    await store.close()  # waits for the tidying that the first call began
    clock.now = 300
    await take(store, "other", expires=9999)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["new", "new", "other"]


async def test_usage_goes_by_what_its_first_call_of_the_day_has_said_and_later_ones_of_that_day_do_not_move_it(
    tmp_path: Path, opened: Open
) -> None:
    clock = Clock()
    store = opened(tmp_path / "quota.db", clock=clock)
    for day, expires in ((1, 300), (1, 999), (2, 999)):
        use = Use(day, (UsageRow("m", requests=1),), expires=expires)
        await store.take(AccountKey("k"), Take((), Counts(), use=use))
    await store.close()
    clock.now = 300
    await take(store, expires=9999)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "quota.db")) as connection:
        assert connection.execute("SELECT day, requests FROM usage").fetchall() == [(2, 1)]


@pytest.mark.parametrize("jump", [86_400, 400 * 86_400, -86_400])
async def test_a_clock_that_jumps_deletes_no_counter_of_a_window_that_lasts(
    tmp_path: Path, opened: Open, jump: int
) -> None:
    clock, uptime = Clock(), Clock()
    clock.now = 1_800_000_000
    store = opened(tmp_path / "quota.db", clock=clock, uptime=uptime)
    quota = Quota(quota_config(authenticated_max_requests=1), store, clock=clock)
    await quota.admit(user(), None)
    for _ in range(3):
        clock.now += jump
        await quota.admit(user(), None)  # in the window where the clock is
        await store.close()
        clock.now -= jump
        uptime.now += 100
        clock.now += 100
        with pytest.raises(QuotaExceeded):
            await quota.admit(user(), None)
        await store.close()
        jump += 86_400 if jump > 0 else -86_400


async def test_a_process_that_starts_a_window_late_deletes_none_of_the_window(tmp_path: Path, opened: Open) -> None:
    clock = Clock()
    clock.now = 1_800_000_000
    quota = Quota(quota_config(authenticated_max_requests=1), opened(tmp_path / "quota.db", clock=clock), clock=clock)
    await quota.admit(user(), None)
    clock.now += 86_400
    late = opened(tmp_path / "quota.db", clock=clock)
    await Quota(quota_config(), late, clock=clock).admit(user("bob"), None)
    await late.close()
    clock.now -= 86_400
    with pytest.raises(QuotaExceeded):
        await quota.admit(user(), None)


async def test_after_a_clock_was_set_back_counters_go_when_they_have_expired_by_it(
    tmp_path: Path, opened: Open
) -> None:
    clock, uptime = Clock(), Clock()
    clock.now = 10_000
    store = opened(tmp_path / "quota.db", clock=clock, uptime=uptime)
    clock.now = 1000
    await take(store, "old", expires=1100)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["old"]
    clock.now, uptime.now = 1100, 100
    await take(store, "new", expires=9999)
    await store.close()
    assert rows(tmp_path / "quota.db") == ["new"]


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
    assert await take(store)
    await store.close()
    assert "expired counters stay" in caplog.text
