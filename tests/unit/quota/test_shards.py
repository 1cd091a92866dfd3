"""A client's counter in several parts: the limit is the same."""

import asyncio
from collections.abc import Sequence
from typing import override

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Charge
from core.quota.memory import Memory
from core.quota.quota import Quota
from core.quota.ticket import Ticket
from core.stores.counters.port import AccountKey, Admission, Counts, Scope, Take
from tests.unit.quota.fakes import EVENING, MemoryCounters, bench, user


async def outcome(quota: Quota, tokens: int | None = None, parts: int = 1) -> Ticket | QuotaExceeded:
    try:
        return await quota.admit(user(), tokens, parts)
    except QuotaExceeded as refusal:
        return refusal


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 5))
def test_exactly_the_limit_is_admitted_however_it_is_spread(limit: int, shards: int, seed: int) -> None:
    b = bench(seed=seed, authenticated_max_requests=limit, shards=shards)

    async def crowd() -> list[Ticket | QuotaExceeded]:
        return await asyncio.gather(*(outcome(b.quota) for _ in range(limit + 10)))

    outcomes = asyncio.run(crowd())
    assert sum(isinstance(result, Ticket) for result in outcomes) == limit
    assert b.counters.total() == Counts(limit, 0)
    assert len(b.counters.rows) <= min(shards, max(1, limit))


BATCHES = st.lists(st.integers(1, 15), min_size=1, max_size=25)


@given(limit=st.integers(1, 40), shards=st.integers(1, 12), batches=BATCHES, seed=st.integers(0, 5))
def test_batches_at_once_never_pass_the_limit_and_leave_nothing_of_those_that_are_refused(
    limit: int, shards: int, batches: list[int], seed: int
) -> None:
    b = bench(seed=seed, authenticated_max_requests=limit, max_tokens=10**6, shards=shards)

    async def crowd() -> list[Ticket | QuotaExceeded]:
        return await asyncio.gather(*(outcome(b.quota, 2, parts) for parts in batches))

    outcomes = zip(batches, asyncio.run(crowd()), strict=True)
    admitted = [parts for parts, result in outcomes if isinstance(result, Ticket)]
    assert sum(admitted) <= limit
    assert b.counters.total() == Counts(sum(admitted), 2 * len(admitted))


async def test_a_batch_that_no_shard_has_room_for_is_taken_from_several() -> None:
    b = bench(authenticated_max_requests=20, max_tokens=1000, shards=5)
    ticket = await b.quota.admit(user(), 30, 15)
    assert b.counters.total() == Counts(15, 30)
    with pytest.raises(QuotaExceeded, match="6 requests, and 5 of 20 are left"):
        await b.quota.admit(user(), 30, 6)
    assert b.counters.total() == Counts(15, 30)
    await b.quota.admit(user(), 30, 5)
    await ticket.settle(Charge(7))
    assert b.counters.total() == Counts(20, 37)
    assert isinstance(await outcome(b.quota), QuotaExceeded)


async def test_parts_that_cannot_be_given_back_stay_counted_and_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful(MemoryCounters):
        @override
        async def take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
            if take.amount.requests < 0:
                raise QuotaUnavailable("away")
            return await super().take(account, take, scopes)

    b = bench(counters=Forgetful(), authenticated_max_requests=20, shards=5)
    await b.quota.admit(user(), None, 15)
    with pytest.raises(QuotaExceeded):
        await b.quota.admit(user(), None, 6)
    assert b.counters.total() == Counts(20, 0)
    assert "requests stay counted that were refused" in caplog.text


async def test_calls_begin_at_different_shards() -> None:
    b = bench(shards=5)
    for _ in range(100):
        await b.quota.admit(user(), None)
    assert len(b.counters.rows) == 5
    assert len(b.counters.takes) == 100
    assert {key.rpartition(":")[0] for key in b.counters.rows} == {"quota:user:issuer:ada:day:20833"}


async def test_a_full_client_costs_no_more_writes_in_any_shard() -> None:
    b = bench(authenticated_max_requests=10, shards=5)
    await asyncio.gather(*(outcome(b.quota) for _ in range(30)))
    before = len(b.counters.takes)
    assert isinstance(await outcome(b.quota), QuotaExceeded)
    assert len(b.counters.takes) == before


async def test_what_remains_is_estimated_within_the_limit_and_told_exactly_when_asked() -> None:
    b = bench(authenticated_max_requests=7, max_tokens=100, shards=3)
    for used in range(1, 8):
        ticket = await b.quota.admit(user(), 10)
        assert 0 <= int(ticket.headers["ratelimit-remaining"]) <= 7
        assert 0 <= int(ticket.headers["x-ratelimit-remaining-tokens"]) <= 100
        left = await b.quota.remaining(user())
        assert left["requests"] == {"limit": 7, "used": used, "remaining": 7 - used}
        assert left["tokens"] == {"limit": 100, "used": 10 * used, "remaining": 100 - 10 * used}


@given(st.integers(1, 300), st.integers(1, 5), st.lists(st.integers(1, 400), max_size=60), st.integers(0, 5))
def test_tokens_pass_the_limit_by_at_most_one_reservation_for_each_shard(
    limit: int, shards: int, reservations: list[int], seed: int
) -> None:
    b = bench(seed=seed, max_tokens=limit, shards=shards)

    async def crowd() -> None:
        await asyncio.gather(*(outcome(b.quota, tokens) for tokens in reservations))

    asyncio.run(crowd())
    fitting = [tokens for tokens in reservations if tokens <= limit]
    slack = shards * max(fitting, default=0) if shards > 1 else 0
    assert b.counters.total().tokens <= limit + slack
    assert shards > 1 or b.counters.total().tokens <= limit
    if sum(fitting) <= limit // shards:
        assert b.counters.total().requests == len(fitting)


async def test_tokens_given_back_can_be_reserved_again_in_the_shard_that_they_were_in() -> None:
    b = bench(max_tokens=100, shards=4)
    tickets = [await b.quota.admit(user(), 50) for _ in range(4)]
    with pytest.raises(QuotaExceeded):
        await b.quota.admit(user(), 1)
    await tickets[0].settle(Charge(0))
    await b.quota.admit(user(), 25)
    assert b.counters.total() == Counts(5, 175)


async def test_a_store_shared_by_two_processes_with_memories_of_their_own_admits_the_limit() -> None:
    counters = MemoryCounters()
    benches = [bench(seed=seed, counters=counters, authenticated_max_requests=11, shards=4) for seed in range(3)]
    for _ in range(2):
        outcomes = await asyncio.gather(*(outcome(b.quota) for b in benches for _ in range(20)))
        assert sum(isinstance(result, Ticket) for result in outcomes) == 11
        for b in benches:
            b.clock.now += EVENING


def test_what_is_remembered_is_bounded_and_ends_with_its_window() -> None:
    memory = Memory(most=3)
    for name in "abc":
        memory.remember("1", name, 5)
    memory.remember("1", "a", 2)
    assert [memory.seen("1", name) for name in "abcd"] == [5, 5, 5, 0]
    memory.remember("1", "d", 5)
    assert [memory.seen("1", name) for name in "abcd"] == [0, 0, 0, 5]
    assert memory.seen("2", "d") == 0
    memory.remember("2", "a", 1)
    assert [memory.seen("2", name) for name in "ad"] == [1, 0]
