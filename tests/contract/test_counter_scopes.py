"""Accounts that many callers share: what CounterStore promises of scopes, over both adapters."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import multiprocessing
from operator import attrgetter
import os
from pathlib import Path
import signal
from typing import override
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.frame.callers import UsageRow
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Limit,
    Reservation,
    Scope,
    Take,
    Use,
)
from tests.contract.counters import CALLERS, DAY, KINDS, LATER, MONTH, Counting, counted, reservation_of, taking
from tests.contract.crew import Crew, together
from tests.unit.quota.fakes import MemoryCounters

ADA, RED, SMALL = AccountKey("user:issuer:ada"), AccountKey("team:red"), AccountKey("model:small")
LIMIT = 51
ROW = UsageRow("small", "vllm", "inference", "chat", 1, 1, 30)


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


@pytest.fixture
async def store(counting: Counting) -> AsyncGenerator[CounterStore]:
    async with counting.opened() as store:
        yield store


def scope(account: AccountKey = RED, tokens: int = 0, below: Limit | None = None, counter: Counter = DAY) -> Scope:
    return Scope(account, taking(tokens, below, counter=counter))


async def all_counted(store: CounterStore, *accounts: AccountKey) -> list[Counts]:
    return [await counted(store, account.client) for account in accounts]


async def test_a_call_counts_in_its_account_and_its_scopes_and_is_settled_in_all_once(store: CounterStore) -> None:
    both = [Scope(RED, Take((DAY, MONTH), Counts(1, 30, 5))), scope(SMALL, 30)]
    admission = await store.take(ADA, taking(30, holds=True), both)
    assert (admission.admitted, admission.scopes) == (True, ())
    assert await all_counted(store, ADA, RED, SMALL) == [Counts(1, 30), Counts(1, 30, 5), Counts(1, 30)]
    held = reservation_of(admission)
    assert [each.account for each in held.scopes] == [RED, SMALL]
    for _ in range(2):
        await store.settle(held, Counts(tokens=-9), scopes=[Counts(tokens=-4, nanos=2), Counts()])
    assert await all_counted(store, ADA, RED, SMALL) == [Counts(1, 21), Counts(1, 26, 7), Counts(1, 30)]
    assert (await store.read(RED, (DAY, MONTH))) == AccountState((Counts(1, 26, 7), Counts(1, 26, 7)))
    assert await store.read(ADA) == AccountState(())


async def test_what_one_limit_refuses_is_counted_nowhere_and_all_counts_are_told(store: CounterStore) -> None:
    await store.take(ADA, taking(10), [scope(RED, 20), scope(SMALL, 30)])
    for own, red, small in ((Limit(1), None, None), (None, Limit(tokens=20), None), (None, None, Limit(requests=0))):
        scopes = [scope(RED, 5, red), scope(SMALL, 5, small)]
        admission = await store.take(ADA, taking(5, own, holds=True), scopes)
        expected = Admission(False, (Counts(1, 10),), None, ((Counts(1, 20),), (Counts(1, 30),)))  # noqa: FBT003
        assert admission == expected, (own, red, small)
        assert await all_counted(store, ADA, RED, SMALL) == [Counts(1, 10), Counts(1, 20), Counts(1, 30)]
    assert (await store.read(ADA)).unsettled == ()


async def test_a_refused_call_makes_no_account(store: CounterStore) -> None:
    await store.take(AccountKey("user:issuer:eve"), taking(), [scope(RED)])
    refused = await store.take(ADA, taking(5), [scope(RED, 5, Limit(1)), scope(SMALL)])
    assert (refused.admitted, refused.scopes) == (False, ((Counts(1),), (Counts(),)))
    assert [await store.erase(each.client, dry=True) for each in (ADA, SMALL)] == [0, 0]


async def test_a_scope_that_has_gone_is_not_made_by_settling_and_the_rest_is_settled(store: CounterStore) -> None:
    held = reservation_of(await store.take(ADA, taking(30, holds=True), [scope(RED, 30), scope(SMALL, 30)]))
    assert await store.erase(RED.client) == 1
    await store.settle(held, Counts(tokens=-9), scopes=[Counts(tokens=-9)] * 2)
    assert await all_counted(store, ADA, RED, SMALL) == [Counts(1, 21), Counts(), Counts(1, 21)]
    assert (await store.read(ADA)).unsettled == ()


async def test_usage_is_counted_with_scopes_as_without(store: CounterStore) -> None:
    use = Use(LATER // 86_400, (ROW,), expires=LATER + 86_400)
    taken = await store.take(ADA, replace(taking(30, holds=True), use=use), [scope(RED, 30)])
    await store.settle(reservation_of(taken), Counts(), use, [Counts(tokens=1)])
    assert await all_counted(store, ADA, RED) == [Counts(1, 30), Counts(1, 31)]


async def test_of_many_callers_at_once_exactly_the_limit_of_a_scope_is_admitted(store: CounterStore) -> None:
    takes = [
        store.take(AccountKey(f"user:{n % 8}"), taking(2, holds=True), [scope(RED, 2, Limit(20)), scope(SMALL, 2)])
        for n in range(CALLERS)
    ]
    admissions = await asyncio.gather(*takes)
    admitted = [each for each in admissions if each.admitted]
    assert len(admitted) == 20
    assert all(each.scopes[0] == (Counts(20, 40),) for each in admissions if not each.admitted)
    await asyncio.gather(
        *(store.settle(each.reservation, Counts(), None, [Counts(0, -1)] * 2) for each in admitted if each.reservation)
    )
    own = await asyncio.gather(*(counted(store, f"user:{n}") for n in range(8)))
    assert sum(own, Counts()) == Counts(20, 40)
    assert await all_counted(store, RED, SMALL) == [Counts(20, 20), Counts(20, 20)]


def rush(counting: Counting, name: str) -> int:
    """In a worker: when all workers are ready, 64 calls of a scope at once; how many were admitted."""
    return asyncio.run(_rush(counting, name))


async def _rush(counting: Counting, name: str) -> int:
    async with counting.opened() as store:
        await store.read(AccountKey("warm"))
        await together()
        takes = (store.take(AccountKey(name), taking(), [scope(RED, 3, Limit(LIMIT))]) for _ in range(CALLERS))
        return sum(admission.admitted for admission in await asyncio.gather(*takes))


async def test_processes_of_many_callers_admit_exactly_the_limit_of_a_scope(counting: Counting, crew: Crew) -> None:
    counts = await crew.work(rush, *((counting, f"user:{n}") for n in range(crew.size)))
    assert sum(counts) == LIMIT
    async with counting.opened() as store:
        assert await counted(store, RED.client) == Counts(LIMIT, 3 * LIMIT)
        assert [(await counted(store, f"user:{n}")).requests for n in range(crew.size)] == counts


def take_and_die(counting: Counting) -> None:
    """In a process of its own, which is killed before it can settle."""
    asyncio.run(_take_and_die(counting))


async def _take_and_die(counting: Counting) -> None:
    async with counting.opened() as store:
        await store.take(ADA, taking(30, holds=True), [scope(RED, 30)])
        os.kill(os.getpid(), signal.SIGKILL)


async def test_what_a_call_has_taken_that_died_stays_counted_in_all_and_is_listed(counting: Counting) -> None:
    process = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(counting,))
    process.start()
    await asyncio.to_thread(process.join, 120)
    assert process.exitcode == -signal.SIGKILL
    async with counting.opened() as store:
        assert await all_counted(store, ADA, RED) == [Counts(1, 30)] * 2
        assert [held.amount for held in (await store.read(ADA)).unsettled] == [Counts(1, 30)]


BOUNDS = st.none() | st.integers(0, 9)
LIMITS = st.builds(Limit, BOUNDS, BOUNDS)
AMOUNTS = st.builds(Counts, st.integers(0, 2), st.integers(0, 4), st.integers(0, 4))


def bounded(account: AccountKey, counter: Counter, below: Limit, amount: Counts) -> Scope:
    return Scope(account, Take((replace(counter, below=below),), amount))


SCOPES = st.lists(
    st.builds(bounded, st.sampled_from([RED, SMALL]), st.sampled_from([DAY, MONTH]), LIMITS, AMOUNTS),
    max_size=2,
    unique_by=attrgetter("account"),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "hold", "hold", "settle", "settle again"]),
        st.sampled_from([ADA, AccountKey("user:issuer:eve", 1)]),
        AMOUNTS,
        LIMITS,
        SCOPES,
        st.tuples(*[st.integers(-3, 9)] * 3),
    ),
    max_size=14,
)
type Step = tuple[str, AccountKey, Counts, Limit, list[Scope], tuple[int, int, int]]


class History:
    """What a sequence of calls comes to, in a store; reservations are settled in the order in which they were made."""

    def __init__(self, store: CounterStore) -> None:
        self.store = store
        self.open: list[Reservation] = []
        self.last: Reservation | None = None

    async def outcome(self, step: Step) -> object:
        name, key, amount, limit, scopes, corrections = step
        if name in ("take", "hold"):
            take = Take((replace(DAY, below=limit),), amount, holds=name == "hold")
            admission = await self.store.take(key, take, scopes)
            self.open += [admission.reservation] if admission.reservation else []
            return (True,) if admission.admitted else (False, admission.counts, admission.scopes)
        if name == "settle" and self.open:
            self.last = self.open.pop(0)
        if self.last is not None:
            own, *others = (Counts(0, correction, -correction) for correction in corrections)
            await self.store.settle(self.last, own, None, others[: len(self.last.scopes)])
        return None

    async def states(self) -> list[AccountState]:
        accounts = (ADA, AccountKey("user:issuer:eve", 1), RED, SMALL)
        states = [await self.store.read(account, (DAY, MONTH)) for account in accounts]
        return [replace(each, unsettled=tuple(replace(held, since=0) for held in each.unsettled)) for each in states]


async def agree(counting: Counting, steps: list[Step]) -> None:
    expected = History(SharingMemory())
    async with counting.opened(uuid.uuid4().hex) as store:
        history = History(store)
        for step in steps:
            assert await history.outcome(step) == await expected.outcome(step), step
        assert await history.states() == await expected.states()


class SharingMemory(MemoryCounters):
    """One whose scopes can be read as accounts."""

    @override
    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        if account in (RED, SMALL):
            return AccountState(self._shared_counts(Scope(account, Take(counters, Counts()))))
        return await super().read(account, counters)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_sequence_of_calls_with_scopes_has_the_outcome_that_a_dict_would_give(
    counting: Counting, steps: list[Step]
) -> None:
    asyncio.run(agree(counting, steps))
