"""What CounterStore promises, over both adapters."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
import time
import uuid

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import QuotaUnavailable
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Limit,
    Reservation,
    Take,
)
from tests.contract.counters import DAY, KINDS, MONTH, Counting, counted, reservation_of, taken, taking
from tests.unit.quota.fakes import MemoryCounters

BOUNDS = st.none() | st.integers(-1, 12)
LIMITS = st.builds(Limit, BOUNDS, BOUNDS, BOUNDS)
AMOUNTS = st.builds(Counts, st.integers(0, 3), st.integers(0, 5), st.integers(0, 4))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "hold", "hold", "settle", "settle again", "read"]),
        st.sampled_from("ab"),
        AMOUNTS,
        st.tuples(LIMITS, LIMITS),
        st.integers(-3, 9),
    ),
    max_size=25,
)
type Step = tuple[str, str, Counts, tuple[Limit, Limit], int]


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(counting: Counting) -> AsyncGenerator[CounterStore]:
    async with counting.opened() as store:
        yield store


async def take(
    store: CounterStore, name: str = "k", tokens: int = 0, requests_below: int | None = None, below: int | None = None
) -> tuple[bool, Counts]:
    return await taken(store, name, taking(tokens, Limit(requests_below, below)))


async def hold(store: CounterStore, name: str = "k", tokens: int = 0, requests: int = 1) -> Reservation:
    admission = await store.take(AccountKey(name), taking(tokens, requests=requests, holds=True))
    return reservation_of(admission)


async def unsettled(store: CounterStore, name: str = "k") -> list[Counts]:
    return [held.amount for held in (await store.read(AccountKey(name))).unsettled]


async def test_the_accounts_of_a_client_are_counted_and_go_and_no_others(counting: Counting) -> None:
    keys = [AccountKey(name) for name in ("ada", "adam", "%_a", "ad")] + [AccountKey("ada", 0)]
    async with counting.opened() as store, counting.opened("other") as elsewhere:
        for namespace in (store, elsewhere):
            for key in keys:
                assert (await namespace.take(key, taking(holds=True))).admitted
                assert (await namespace.take(key, taking(counter=MONTH))).admitted
        assert [await store.erase(name, dry=True) for name in ("ada", "%_a", "eve", "ADA")] == [2, 1, 0, 0]
        assert [await store.erase("ada"), await store.erase("ada")] == [2, 0]
        states = [await store.read(key, (DAY,)) for key in keys]
        assert [(state.counts[0].requests, len(state.unsettled)) for state in states] == [(0, 0), *[(1, 1)] * 3, (0, 0)]
        assert await elsewhere.erase("ada", dry=True) == 2


async def test_an_account_that_is_not_there_has_zeros(store: CounterStore) -> None:
    assert await store.read(AccountKey("k"), (DAY, MONTH)) == AccountState((Counts(), Counts()))


async def test_each_call_counts_one_request_and_its_tokens(store: CounterStore) -> None:
    assert await take(store, tokens=30) == (True, Counts(1, 30))
    assert await take(store, tokens=0) == (True, Counts(2, 30))
    assert await take(store, tokens=12) == (True, Counts(3, 42))
    assert await counted(store, "k") == Counts(3, 42)


async def test_requests_are_admitted_up_to_their_bound(store: CounterStore) -> None:
    outcomes = [await take(store, requests_below=3) for _ in range(5)]
    assert [admitted for admitted, _ in outcomes] == [True, True, True, False, False]
    assert [counts.requests for _, counts in outcomes] == [1, 2, 3, 3, 3]


async def test_tokens_are_looked_at_before_these_are_added(store: CounterStore) -> None:
    assert (await take(store, tokens=100, below=50))[0]
    assert await take(store, tokens=0, below=100) == (False, Counts(1, 100))
    assert await take(store, tokens=7, below=101) == (True, Counts(2, 107))


async def test_all_bounds_must_hold(store: CounterStore) -> None:
    await take(store, tokens=10)
    assert not (await take(store, requests_below=1, below=100))[0]
    assert not (await take(store, requests_below=100, below=10))[0]
    assert (await take(store, requests_below=2, below=11))[0]
    assert await taken(store, "k", taking(nanos=10**18, below=Limit(nanos=1))) == (True, Counts(3, 10, 10**18))
    assert not (await taken(store, "k", taking(below=Limit(nanos=10**18))))[0]
    assert (await taken(store, "k", taking(below=Limit(nanos=10**18 + 1))))[0]


@pytest.mark.parametrize("bounds", [(0, None), (None, 0), (0, 5), (5, -3)])
async def test_a_bound_of_zero_refuses_and_makes_no_account(
    store: CounterStore, bounds: tuple[int | None, int | None]
) -> None:
    requests_below, below = bounds
    assert await take(store, "k", 5, requests_below, below) == (False, Counts())
    assert await store.erase("k") == 0
    await take(store, tokens=4)
    assert await take(store, "k", 5, requests_below, below) == (False, Counts(1, 4))


async def test_a_refusal_changes_nothing(store: CounterStore) -> None:
    await take(store, tokens=10)
    for _ in range(3):
        assert await taken(store, "k", taking(10, Limit(None, 10), holds=True)) == (False, Counts(1, 10))
    assert await store.read(AccountKey("k"), (DAY,)) == AccountState((Counts(1, 10),))


async def test_a_call_counts_in_all_its_windows_or_in_none_and_each_has_bounds_of_its_own(store: CounterStore) -> None:
    both, key = (DAY, MONTH), AccountKey("k")
    for day, month, admitted in ((3, 9, True), (3, 2, True), (3, 2, False), (2, 9, False), (3, 3, True), (4, 3, False)):
        bounded = (replace(DAY, below=Limit(day)), replace(MONTH, below=Limit(month)))
        before = (await store.read(key, both)).counts
        admission = await store.take(key, Take(bounded, Counts(1, 5, 7)))
        after = tuple(each + Counts(1, 5, 7) for each in before) if admitted else before
        assert (admission.admitted, admission.counts) == (admitted, after), (day, month)
        assert (await store.read(key, both)).counts == after
    await store.take(key, taking(1, counter=MONTH))
    assert (await store.read(key, (MONTH, DAY))).counts == (Counts(4, 16, 21), Counts(3, 15, 21))


async def test_what_is_held_is_corrected_in_every_window_and_requests_stay(store: CounterStore) -> None:
    key, both = AccountKey("k"), (DAY, MONTH)
    admission = await store.take(key, Take(both, Counts(1, 10), holds=True))
    await store.settle(reservation_of(admission), Counts(tokens=-7, nanos=9))
    assert (await store.read(key, both)).counts == (Counts(1, 3, 9), Counts(1, 3, 9))
    await store.settle(await hold(store), Counts(tokens=500))
    assert await counted(store, "k") == Counts(2, 503, 9)


async def test_a_reservation_is_settled_once_and_told_until_then(store: CounterStore) -> None:
    first, second = await hold(store, tokens=10), await hold(store, tokens=20, requests=3)
    assert sorted(await unsettled(store), key=lambda amount: amount.tokens) == [Counts(1, 10), Counts(3, 20)]
    for _ in range(2):
        await store.settle(first, Counts(tokens=-4))
        assert await unsettled(store) == [Counts(3, 20)]
    await store.settle(second, Counts())
    await store.settle(second, Counts(tokens=1))
    assert await store.read(AccountKey("k"), (DAY,)) == AccountState((Counts(4, 26),))


async def test_reservations_are_told_with_when_they_were_made_oldest_first(store: CounterStore) -> None:
    before = time.time()
    for tokens in range(3):
        await hold(store, tokens=tokens)
        await asyncio.sleep(0.002)
    held = (await store.read(AccountKey("k"))).unsettled
    assert [each.amount.tokens for each in held] == [0, 1, 2]
    assert before - 0.001 <= held[0].since < held[1].since < held[2].since <= time.time()


async def test_several_requests_are_counted_at_once_and_given_back(store: CounterStore) -> None:
    reservation = await hold(store, tokens=5, requests=7)
    assert not (await taken(store, "k", taking(5, Limit(7), requests=3)))[0]
    await store.settle(reservation, Counts(-3, -5))
    assert await counted(store, "k") == Counts(4, 0)


async def test_an_account_that_has_gone_is_not_made_by_settling(store: CounterStore) -> None:
    reservation = await hold(store, tokens=9)
    assert await store.erase("k") == 1
    await store.settle(reservation, Counts(tokens=10))
    assert await counted(store, "k") == Counts()
    assert await store.erase("k", dry=True) == 0
    assert await take(store, tokens=1, below=1) == (True, Counts(1, 1))


async def test_numbers_may_be_large(store: CounterStore) -> None:
    await take(store, tokens=10**12)
    assert await take(store, "k", 10**12, 10**12, 10**12 + 1) == (True, Counts(2, 2 * 10**12))
    assert not (await take(store, below=2 * 10**12))[0]


KEYS = ["k", "k ", "K", "k:x", "k#0", "a%3Ab", "a:b", "'; DROP TABLE counters; --", "é", "e\u0301", "🦙", "x" * 1024]


async def test_clients_with_odd_characters_have_accounts_of_their_own(store: CounterStore) -> None:
    for tokens, key in enumerate(KEYS):
        await take(store, key, tokens=tokens)
    assert [await counted(store, key) for key in KEYS] == [Counts(1, tokens) for tokens in range(len(KEYS))]


async def test_namespaces_do_not_share_accounts(counting: Counting, store: CounterStore) -> None:
    async with counting.opened("a") as one, counting.opened("a#b") as other:
        stores = {one: "b#k", other: "k", store: "k"}
        for tokens, (each, key) in enumerate(stores.items()):
            await each.take(AccountKey(key), taking(tokens, holds=True))
        assert [await counted(each, key) for each, key in stores.items()] == [Counts(1, tokens) for tokens in range(3)]
        assert [await unsettled(each, key) for each, key in stores.items()] == [[Counts(1, n)] for n in range(3)]


async def test_of_many_calls_at_once_exactly_the_bound_is_admitted(store: CounterStore) -> None:
    outcomes = await asyncio.gather(*(take(store, tokens=2, requests_below=20) for _ in range(60)))
    assert sum(admitted for admitted, _ in outcomes) == 20
    assert sorted(counts.requests for admitted, counts in outcomes if admitted) == list(range(1, 21))
    assert await counted(store, "k") == Counts(20, 40)


async def test_calls_and_settlements_at_once_lose_nothing(store: CounterStore) -> None:
    await take(store)
    reservations = [await hold(store, tokens=10) for _ in range(20)]
    work = [take(store, tokens=10) for _ in range(20)]
    await asyncio.gather(*work, *(store.settle(each, Counts(tokens=-3)) for each in reservations))
    assert await store.read(AccountKey("k"), (DAY,)) == AccountState((Counts(41, 340),))


async def test_another_store_of_the_same_place_sees_each_change_at_once(
    counting: Counting, store: CounterStore
) -> None:
    async with counting.opened() as elsewhere:
        await take(store, tokens=5)
        assert await counted(elsewhere, "k") == Counts(1, 5)
        assert not (await take(elsewhere, requests_below=1))[0]


async def test_a_closed_store_opens_again_and_has_kept_everything(counting: Counting) -> None:
    store = counting.connect()
    await store.close()
    reservation = await hold(store, tokens=5)
    await store.close()
    assert await counted(store, "k") == Counts(1, 5)
    await store.close()
    await store.settle(reservation, Counts(tokens=-1))
    assert await store.read(AccountKey("k"), (DAY,)) == AccountState((Counts(1, 4),))
    await store.close()


class History:
    """What a sequence of calls comes to, in a store; reservations are settled in the order in which they were made."""

    def __init__(self, store: CounterStore) -> None:
        self.store = store
        self.open: list[Reservation] = []
        self.last: Reservation | None = None

    async def outcome(self, step: Step) -> object:
        name, client, amount, limits, correction = step
        key, both = AccountKey(client), (DAY, MONTH)
        if name in ("take", "hold"):
            bounded = tuple(replace(counter, below=below) for counter, below in zip(both, limits, strict=True))
            admission = await self.store.take(key, Take(bounded, amount, holds=name == "hold"))
            if admission.reservation is not None:
                self.open.append(admission.reservation)
            return admission.admitted, _promised(bounded, amount, admission)
        if name == "read":
            state = await self.store.read(key, both)
            return state.counts, sorted(each.amount.numbers for each in state.unsettled)
        if name == "settle" and self.open:
            self.last = self.open.pop(0)
        if self.last is not None:
            await self.store.settle(self.last, Counts(0, correction, -correction))
        return None


def _promised(counters: tuple[Counter, ...], amount: Counts, admission: Admission) -> list[int]:
    """What an admission says of all that was counted or is bounded; of the rest it says nothing, or what there is."""
    numbers = [
        (written or below is not None, number)
        for counter, counts in zip(counters, admission.counts, strict=True)
        for written, below, number in zip(amount.numbers, counter.below.bounds, counts.numbers, strict=True)
    ]
    return [number for is_promised, number in numbers if is_promised]


async def agree(counting: Counting, steps: list[Step]) -> None:
    expected = History(MemoryCounters())
    async with counting.opened(uuid.uuid4().hex) as store:
        history = History(store)
        for step in steps:
            assert await history.outcome(step) == await expected.outcome(step), step


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
    settling = broken.settle(Reservation(AccountKey("k"), (DAY,), "m:a0", 1), Counts())
    for work in (take(broken), take(broken, requests_below=0), settling, broken.read(AccountKey("k"))):
        with pytest.raises(QuotaUnavailable, match=r"`quota(.db)?` "):
            await work
