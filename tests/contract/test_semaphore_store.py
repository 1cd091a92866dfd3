"""What SemaphoreStore promises, over both adapters."""

from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
import sqlite3

from aiohttp.test_utils import unused_port
import pytest

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table
from core.stores.counters.dynamodb import DynamoCounters
from core.stores.counters.port import Counts, Limit
from core.stores.semaphores.port import SemaphoreStore
from tests.contract.counters import counted, taken, taking
from tests.contract.crew import Crew
from tests.contract.semaphores import CALLERS, PATIENCE, Semaphores, crowd

KINDS = ("sqlite", "dynamodb")


@pytest.fixture(params=KINDS)
def semaphores(request: pytest.FixtureRequest, tmp_path: Path) -> Semaphores:
    return Semaphores.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(semaphores: Semaphores) -> AsyncGenerator[SemaphoreStore]:
    async with semaphores.opened() as store:
        yield store


async def acquire(store: SemaphoreStore, holder: str, *, key: str = "k", now: int = 100, most: int = 2) -> bool:
    return await store.acquire(key, holder, most=most, now=now, until=now + 50)


async def test_as_many_hold_a_key_as_may_and_each_that_goes_makes_room_for_one(store: SemaphoreStore) -> None:
    assert [await acquire(store, holder) for holder in "abc"] == [True, True, False]
    assert await acquire(store, "c", key="another")
    await store.release("k", "a")
    await store.release("k", "a")  # twice is once
    await store.release("k", "nobody")
    assert [await acquire(store, holder) for holder in "cd"] == [True, False]


async def test_the_leases_of_a_key_are_counted_and_go_and_no_others(store: SemaphoreStore) -> None:
    assert [await acquire(store, holder, key=key) for key, holder in (("k", "a"), ("k", "b"), ("ka", "a"))] == [
        True
    ] * 3
    assert [await store.erase(key, dry=True) for key in ("k", "ka", "x")] == [2, 1, 0]
    assert [await store.erase("k"), await store.erase("k"), await store.erase("ka", dry=True)] == [2, 0, 1]
    await store.release("k", "a")  # whoever held it ends later
    assert [await acquire(store, holder) for holder in "abc"] == [True, True, False]


async def test_who_holds_it_already_holds_it_once(store: SemaphoreStore) -> None:
    assert [await acquire(store, "a") for _ in range(3)] == [True, True, True]
    assert [await acquire(store, holder) for holder in "bc"] == [True, False]
    assert await acquire(store, "a")  # also where it is full: what the SDK repeats after a lost answer


async def test_a_lease_ends_by_itself_and_its_release_takes_nobody_elses(store: SemaphoreStore) -> None:
    assert [await acquire(store, holder) for holder in "ab"] == [True, True]
    assert not await acquire(store, "c", now=149)
    assert [await acquire(store, holder, now=150) for holder in "cde"] == [True, True, False]
    await store.release("k", "a")
    assert not await acquire(store, "e", now=150)


@pytest.mark.parametrize("most", [0, -1])
async def test_none_may(store: SemaphoreStore, most: int) -> None:
    assert not await acquire(store, "a", most=most)


async def test_namespaces_have_their_own(semaphores: Semaphores) -> None:
    for namespace in ("", "a", "a#"):
        async with semaphores.opened(namespace) as store:
            assert await acquire(store, "x", most=1)


async def test_a_table_of_before_streams_were_limited_limits_them_and_keeps_its_counts(
    quota_table: str, dynamodb_endpoint: str
) -> None:
    table = Table(quota_table, region=None, endpoint_url=dynamodb_endpoint)
    before = {
        "pk": {"S": "quota:k:day:46296"},
        "requests": {"N": "4"},
        "tokens": {"N": "70"},
        "expires": {"N": "4000000000"},
    }
    async with table.timed_client(PATIENCE, QuotaUnavailable) as client:
        await client.put_item(TableName=quota_table, Item=before)
    async with Semaphores(quota_table, dynamodb_endpoint).opened() as store:
        assert [await acquire(store, holder) for holder in "aabc"] == [True, True, True, False]
        await store.release("k", "a")
        assert await acquire(store, "c")
    counters = DynamoCounters(table, namespace="")
    assert await counted(counters, "k") == Counts(4, 70)
    assert await taken(counters, "k", taking(1, Limit(5))) == (True, Counts(5, 71))
    await counters.close()


async def test_what_has_ended_does_not_stay_in_the_file(tmp_path: Path) -> None:
    place = str(tmp_path / "store.db")
    async with Semaphores(place).opened() as store:
        for number in range(20):
            await acquire(store, f"h{number}", key=f"k{number}", now=100 * number)
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT holder FROM semaphores").fetchall() == [("h19",)]


async def test_many_processes_hold_exactly_the_limit(semaphores: Semaphores, crew: Crew) -> None:
    async with semaphores.opened() as store:
        ended = [await store.acquire("k", f"ended{number}", most=60, now=0, until=90) for number in range(60)]
    assert all(ended)  # more than one write removes
    assert crew.size * CALLERS > 30
    assert sum(await crew.work(crowd, *[(semaphores, process, 30) for process in range(crew.size)])) == 30


async def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    for place in (Semaphores(str(tmp_path)), Semaphores("table", f"http://127.0.0.1:{unused_port()}")):
        store = place.connect(patience=0.5)
        with pytest.raises(QuotaUnavailable):
            await acquire(store, "a")
        await store.close()
