"""What CounterStore promises, over both adapters."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
import uuid

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import QuotaUnavailable
from core.stores.counters.port import Admission, CounterStore, Counts, Limit
from tests.contract.counters import KINDS, LATER, Counting
from tests.unit.quota.fakes import MemoryCounters

BOUNDS = st.none() | st.integers(-1, 12)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "adjust", "read"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
        st.builds(Limit, BOUNDS, BOUNDS),
        st.integers(0, 3),
    ),
    max_size=25,
)
type Step = tuple[str, str, int, Limit, int]


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(counting: Counting) -> AsyncGenerator[CounterStore]:
    async with counting.opened() as store:
        yield store


async def take(
    store: CounterStore, key: str = "k", tokens: int = 0, requests_below: int | None = None, below: int | None = None
) -> Admission:
    return await store.take(key, tokens=tokens, below=Limit(requests_below, below), expires=LATER)


async def test_the_counters_below_a_prefix_are_counted_and_go_and_no_others(counting: Counting) -> None:
    keys = ["q:ada:day:1", "q:ada:day:2:0", "q:adam:day:1", "q:%_a:day:1", "q:ad"]
    async with counting.opened() as store, counting.opened("other") as elsewhere:
        for namespace in (store, elsewhere):
            for key in keys:
                assert (await take(namespace, key)).admitted
        assert [await store.erase(f"q:{name}:", dry=True) for name in ("ada", "%_a", "eve", "ADA")] == [2, 1, 0, 0]
        assert [await store.erase("q:ada:"), await store.erase("q:ada:")] == [2, 0]
        assert [(await store.read(key)).requests for key in keys] == [0, 0, 1, 1, 1]
        assert await elsewhere.erase("q:ada:", dry=True) == 2


async def test_a_counter_that_is_not_there_is_zero(store: CounterStore) -> None:
    assert await store.read("k") == Counts(0, 0)


async def test_each_call_counts_one_request_and_its_tokens(store: CounterStore) -> None:
    assert await take(store, tokens=30) == Admission(admitted=True, counts=Counts(1, 30))
    assert await take(store, tokens=0) == Admission(admitted=True, counts=Counts(2, 30))
    assert await take(store, tokens=12) == Admission(admitted=True, counts=Counts(3, 42))
    assert await store.read("k") == Counts(3, 42)


async def test_requests_are_admitted_up_to_their_bound(store: CounterStore) -> None:
    taken = [await take(store, requests_below=3) for _ in range(5)]
    assert [one.admitted for one in taken] == [True, True, True, False, False]
    assert [one.counts.requests for one in taken] == [1, 2, 3, 3, 3]


async def test_tokens_are_looked_at_before_these_are_added(store: CounterStore) -> None:
    assert (await take(store, tokens=100, below=50)).admitted
    refused = await take(store, tokens=0, below=100)
    assert refused == Admission(admitted=False, counts=Counts(1, 100))
    assert (await take(store, tokens=7, below=101)).counts == Counts(2, 107)


async def test_both_bounds_must_hold(store: CounterStore) -> None:
    await take(store, tokens=10)
    assert not (await take(store, requests_below=1, below=100)).admitted
    assert not (await take(store, requests_below=100, below=10)).admitted
    assert (await take(store, requests_below=2, below=11)).admitted


@pytest.mark.parametrize("bounds", [(0, None), (None, 0), (0, 5), (5, -3)])
async def test_a_bound_of_zero_refuses_and_makes_no_counter(
    store: CounterStore, bounds: tuple[int | None, int | None]
) -> None:
    requests_below, below = bounds
    assert await take(store, "k", 5, requests_below, below) == Admission(admitted=False, counts=Counts())
    await store.adjust("k", tokens=9)
    assert await store.read("k") == Counts()
    await take(store, tokens=4)
    assert (await take(store, "k", 5, requests_below, below)).counts == Counts(1, 4)


async def test_a_refusal_changes_nothing(store: CounterStore) -> None:
    await take(store, tokens=10)
    for _ in range(3):
        assert await take(store, tokens=10, below=10) == Admission(admitted=False, counts=Counts(1, 10))
    assert await store.read("k") == Counts(1, 10)


async def test_tokens_are_adjusted_in_both_directions_and_requests_stay(store: CounterStore) -> None:
    await take(store, tokens=10)
    await store.adjust("k", tokens=-7)
    assert await store.read("k") == Counts(1, 3)
    await store.adjust("k", tokens=500)
    assert await store.read("k") == Counts(1, 503)


async def test_several_requests_are_counted_at_once_and_given_back(store: CounterStore) -> None:
    taken = await store.take("k", tokens=5, below=Limit(10), expires=LATER, requests=7)
    assert taken == Admission(admitted=True, counts=Counts(7, 5))
    assert not (await store.take("k", tokens=5, below=Limit(7), expires=LATER, requests=3)).admitted
    await store.adjust("k", tokens=-5, requests=-3)
    assert await store.read("k") == Counts(4, 0)


async def test_a_counter_that_is_not_there_is_not_made_by_adjusting_it(store: CounterStore) -> None:
    await store.adjust("k", tokens=10)
    assert await store.read("k") == Counts()
    assert (await take(store, tokens=1, below=1)).counts == Counts(1, 1)


async def test_numbers_may_be_large(store: CounterStore) -> None:
    await take(store, tokens=10**12)
    taken = await take(store, tokens=10**12, requests_below=10**12, below=10**12 + 1)
    assert taken == Admission(admitted=True, counts=Counts(2, 2 * 10**12))
    assert not (await take(store, below=2 * 10**12)).admitted


KEYS = ["k", "k ", "K", "k:0", "k#0", "a%3Ab", "a:b", "'; DROP TABLE counters; --", "é", "e\u0301", "🦙", "x" * 1024]


async def test_keys_with_odd_characters_are_counters_of_their_own(store: CounterStore) -> None:
    for tokens, key in enumerate(KEYS):
        await take(store, key, tokens=tokens)
    assert [await store.read(key) for key in KEYS] == [Counts(1, tokens) for tokens in range(len(KEYS))]


async def test_namespaces_do_not_share_counters(counting: Counting, store: CounterStore) -> None:
    async with counting.opened("a") as one, counting.opened("a#b") as other:
        stores = {one: "b#k", other: "k", store: "k"}
        for tokens, (each, key) in enumerate(stores.items()):
            await take(each, key, tokens=tokens)
        assert [await each.read(key) for each, key in stores.items()] == [Counts(1, tokens) for tokens in range(3)]


async def test_of_many_calls_at_once_exactly_the_bound_is_admitted(store: CounterStore) -> None:
    taken = await asyncio.gather(*(take(store, tokens=2, requests_below=20) for _ in range(60)))
    assert sum(one.admitted for one in taken) == 20
    assert sorted(one.counts.requests for one in taken if one.admitted) == list(range(1, 21))
    assert await store.read("k") == Counts(20, 40)


async def test_calls_and_adjustments_at_once_lose_nothing(store: CounterStore) -> None:
    await take(store)
    work = [take(store, tokens=10) for _ in range(20)] + [store.adjust("k", tokens=-3) for _ in range(20)]
    await asyncio.gather(*work)
    assert await store.read("k") == Counts(21, 140)


async def test_another_store_of_the_same_place_sees_each_change_at_once(
    counting: Counting, store: CounterStore
) -> None:
    async with counting.opened() as elsewhere:
        await take(store, tokens=5)
        assert await elsewhere.read("k") == Counts(1, 5)
        assert not (await take(elsewhere, requests_below=1)).admitted


async def test_a_closed_store_opens_again_and_has_kept_everything(counting: Counting) -> None:
    store = counting.connect()
    await store.close()
    await take(store, tokens=5)
    await store.close()
    assert await store.read("k") == Counts(1, 5)
    await store.close()


async def outcome(store: CounterStore, step: Step) -> object:
    name, key, tokens, below, requests = step
    if name == "take":
        return await store.take(key, tokens=tokens, below=below, expires=LATER, requests=requests)
    return await (store.adjust(key, tokens=tokens, requests=-requests) if name == "adjust" else store.read(key))


async def agree(counting: Counting, steps: list[Step]) -> None:
    expected = MemoryCounters()
    async with counting.opened(uuid.uuid4().hex) as store:
        for step in steps:
            assert await outcome(store, step) == await outcome(expected, step), step


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_sequence_of_calls_has_the_outcome_that_a_dict_would_give(counting: Counting, steps: list[Step]) -> None:
    asyncio.run(agree(counting, steps))


@pytest.fixture(params=KINDS)
async def broken(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[CounterStore]:
    """Nobody listens there; its folder is a file."""
    (tmp_path / "file").touch()
    if request.param == "dynamodb":
        request.getfixturevalue("aws_credentials")
        counting = Counting("quota", f"http://127.0.0.1:{unused_port()}")
    else:
        counting = Counting(str(tmp_path / "file" / "quota.db"))
    store = counting.connect(patience=0.3)
    yield store
    await store.close()


async def test_a_store_that_is_down_is_unavailable_for_every_call(broken: CounterStore) -> None:
    for work in (take(broken), take(broken, requests_below=0), broken.adjust("k", tokens=1), broken.read("k")):
        with pytest.raises(QuotaUnavailable, match=r"`quota(.db)?` "):
            await work
