"""Limits in several windows beside the common ones, of a caller alone: what is admitted, who refuses, what is said, and what is warned of."""

from dataclasses import replace
import json
from typing import Any

import pytest

from core.config.limits import QuotaRows
from core.errors import QuotaExceeded
from core.frame.callers import Allowance, Call, Charge, Grant, UsageRow
from core.frame.types import Wire
from core.quota.order import Order, batch_order
from core.quota.quota import Quota
from core.quota.rules import Rules
from core.quota.ticket import Ticket
from core.stores.counters.port import Counts
from tests.fakes import Clock
from tests.unit.quota.fakes import NOON, MemoryCounters, quota_config, user

ASKED = Order("small", Wire())
CENT = 10_000_000


class Costs:
    """What calls cost at most, as the service of inference says it."""

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos
        self.batches: list[tuple[str, str, int, int, int]] = []

    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        assert (model, body, tokens > 0, requests > 0) == ("small", ASKED.body, True, True)
        return self.nanos

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        self.batches.append((model, provider_id, prompt, tokens, requests))
        return self.nanos


class Limited:
    """A quota with rows, its counters and its clock. Beside limits of tokens nobody knows what a prompt or a call comes to."""

    def __init__(
        self, *rows: dict[str, Any], nanos: int = CENT, shards: int = 1, most: int = 10**6, **settings: Any
    ) -> None:
        self.counters, self.clock, self.costs = MemoryCounters(), Clock(), Costs(nanos)
        self.clock.now = NOON
        read = QuotaRows.model_validate({"limits": rows}).limits
        has_tokens = any("tokens" in values for values in rows)
        rules = Rules(read, self.counters, None if has_tokens else lambda _: self.costs, clock=self.clock)
        config = quota_config(authenticated_max_requests=most, shards=shards, **settings)
        self.quota = Quota(config, self.counters, rules=rules, retention_days=400, clock=self.clock, choose=lambda _: 0)

    async def admit(self, call: Call | None = None, tokens: int | None = None, requests: int = 1) -> Ticket:
        order = None if tokens is None else ASKED
        return await self.quota.admit(call or user(), tokens, requests, order)

    async def refusal(self, call: Call | None = None, tokens: int | None = None, requests: int = 1) -> QuotaExceeded:
        with pytest.raises(QuotaExceeded) as refusal:
            await self.admit(call, tokens, requests)
        return refusal.value


def keyed(*limits: Allowance) -> Call:
    call = user()
    call.principal = replace(call.principal, grant=Grant(None, limits))
    return call


def row(**values: Any) -> dict[str, Any]:
    return {"per": "caller", "window": "month", **values}


async def test_all_windows_must_have_room_and_the_one_that_ends_last_refuses() -> None:
    b = Limited(row(window="minute", requests=2), row(window="hour", requests=3), row(window="month", requests=3))
    for _ in range(2):
        await b.admit()
    minute = await b.refusal()
    assert minute.message == "Quota exceeded: your 2 requests a minute are used up until 2027-01-15T12:01:00Z"
    assert minute.headers == {
        "retry-after": "60",
        "ratelimit-limit": "1000000",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "60",
        "x-llambda-limit": "caller; minute; requests; limit=2; used=2; resets=2027-01-15T12:01:00Z",
    }
    b.clock.now += 60
    await b.admit()
    month = await b.refusal()
    assert month.message == "Quota exceeded: your 3 requests a month are used up until 2027-02-01T00:00:00Z"
    assert (month.headers["x-should-retry"], month.headers["retry-after"]) == ("false", str(16 * 86_400 + 43_140))
    b.clock.now = NOON + 17 * 86_400
    await b.admit()


async def test_one_that_is_full_is_refused_without_asking_until_its_window_ends() -> None:
    b = Limited(row(window="minute", requests=1))
    await b.admit()
    for _ in range(3):
        await b.refusal()
    assert len(b.counters.takes) == 2
    b.clock.now += 60
    await b.admit()


async def test_the_common_quota_keeps_its_words_where_it_ends_later() -> None:
    b = Limited(row(window="minute", requests=1), most=1)
    await b.admit()
    common = await b.refusal()
    assert (common.message, "x-llambda-limit" in common.headers) == ("Quota exceeded", False)


async def test_of_a_batch_all_rows_bind_money_and_rows_of_tokens_and_the_common_tokens_wait_for_its_end() -> None:
    order = batch_order("small", "p", prompt=70, unbound=2)
    b = Limited(row(money="0.01"), max_tokens=100, default_max_tokens=40)
    ticket = await b.quota.admit(user(), -60, 3, order)
    assert b.costs.batches == [("small", "p", 70, 60 + 2 * 40, 3)]
    assert b.counters.total() == Counts(3, 0, CENT)
    with pytest.raises(QuotaExceeded, match="USD a month are used up"):
        await b.quota.admit(user(), -60, 3, order)
    assert ticket.hand_over() is not None


async def test_of_a_batch_all_tokens_bind_where_rows_limit_tokens() -> None:
    counters, rows = MemoryCounters(), QuotaRows.model_validate({"limits": [row(tokens=200)]}).limits
    rules = Rules(rows, counters, lambda _: Costs(1), clock=lambda: NOON)
    config = quota_config(authenticated_max_requests=9, default_max_tokens=40)
    quota = Quota(config, counters, rules=rules, clock=lambda: NOON)
    with pytest.raises(QuotaExceeded, match="this may take 271 tokens") as refusal:
        await quota.admit(user(), -60, 3, batch_order("small", "p", prompt=270, unbound=2))
    assert refusal.value.final
    await quota.admit(user(), -60, 3, batch_order("small", "p", prompt=70, unbound=2))
    assert counters.total() == Counts(3, 200)
    with pytest.raises(QuotaExceeded) as full:
        await quota.admit(user(), -60, 3, batch_order("small", "p", prompt=70, unbound=0))
    assert not full.value.final


async def test_what_is_handed_over_is_given_back_once_by_whoever_has_it() -> None:
    b = Limited(row(money=1), row(per="model", name="small", money=1))
    ticket = await b.admit(tokens=100, requests=2)
    handle = ticket.hand_over()
    assert handle is not None
    assert ticket.hand_over() is None
    await ticket.settle(user().end())
    shared = list(b.counters.shared.values())
    assert [counts.numbers for counts in (b.counters.total(), *shared)] == [(2, 0, CENT)] * (1 + len(shared))
    assert shared
    for _ in range(2):
        await b.quota.release(json.loads(json.dumps(handle)))
    assert (b.counters.total(), b.counters.held) == (Counts(2), {})
    assert list(b.counters.shared.values()) == [Counts(2)] * len(shared)


async def test_money_is_reserved_before_a_call_and_put_right_after_it() -> None:
    b = Limited(row(money="0.02"))
    first = await b.admit(tokens=100)
    second = await b.admit(tokens=100)
    full = await b.refusal(tokens=100)
    assert full.message == "Quota exceeded: your 0.02 USD a month are used up until 2027-02-01T00:00:00Z"
    assert full.headers["x-llambda-limit"] == "caller; month; money; limit=0.02; used=0.02; resets=2027-02-01T00:00:00Z"
    await first.settle(Charge(50, rows=(UsageRow("small", nanos=CENT // 2),)))
    rest = await b.refusal(tokens=100)
    assert rest.message == (
        "Quota exceeded: of your 0.02 USD a month 0.005 USD are left until 2027-02-01T00:00:00Z, and this may take 0.01 USD"
    )
    await second.settle(Charge(0))
    await b.admit(tokens=100)


async def test_what_is_free_is_not_bound_by_money_and_what_makes_no_tokens_is_not_either() -> None:
    b = Limited(row(money="0.01"))
    await b.admit(tokens=100)
    await b.refusal(tokens=100)
    await b.admit()
    b.costs.nanos = 0
    await b.admit(tokens=100)


async def test_what_never_fits_is_refused_without_asking() -> None:
    dear = Limited(row(money="0.01"), nanos=CENT + 1)
    many = await dear.refusal(tokens=100)
    assert many.message == "Quota exceeded: this may take 0.010000001 USD, more than your 0.01 USD a month"
    assert (many.final, dear.counters.takes) == (True, [])
    b = Limited(row(window="day", tokens=10))
    message = (await b.refusal(tokens=11)).message
    assert message == "Quota exceeded: this may take 11 tokens, more than your 10 tokens a day"
    await b.admit(tokens=0)


async def test_limits_of_a_key_bind_beside_the_others() -> None:
    b = Limited(row(window="minute", requests=2))
    call = keyed(Allowance("day", requests=1))
    await b.admit(call)
    assert "your 1 request a day is used up" in (await b.refusal(call)).message
    await b.admit()
    assert "your 2 requests a minute" in (await b.refusal()).message


async def test_tokens_of_both_kinds_of_limits_count_alike() -> None:
    b = Limited(row(window="hour", tokens=100), max_tokens=1000)
    ticket = await b.admit(tokens=60)
    assert "of your 100 tokens an hour 40 tokens are left" in (await b.refusal(tokens=60)).message
    await ticket.settle(Charge(10))
    await b.admit(tokens=60)
    assert b.counters.total() == Counts(2, 70)


async def test_a_soft_limit_warns_and_refuses_nobody() -> None:
    b = Limited(row(money="0.05", hard=False), row(window="day", requests=3, soft=0.5))
    call = user()
    assert "x-llambda-budget" not in (await b.admit(call, tokens=10)).headers
    said = (await b.admit(call, tokens=10)).headers["x-llambda-budget"]
    assert said == '"day requests 2 of 3; resets=2027-01-16T00:00:00Z"'
    assert (call.observed.budget_warnings, call.observed.budget_refusals) == (1, 0)
    await b.admit(call, tokens=10)
    await b.refusal(call, tokens=10)
    assert call.observed.budget_refusals == 1


async def test_money_that_is_not_hard_warns_of_what_was_used_and_needs_no_price() -> None:
    b = Limited(row(money="0.05", hard=False), nanos=-1)
    ticket = await b.admit(tokens=10)
    await ticket.settle(Charge(5, rows=(UsageRow("small", nanos=6 * CENT),)))
    said = (await b.admit(tokens=10)).headers["x-llambda-budget"]
    assert said == '"month money 0.06 of 0.05 USD; resets=2027-02-01T00:00:00Z"'


async def test_a_call_knows_what_it_may_use_with_all_that_it_causes() -> None:
    b = Limited(row(money="0.03"), max_tokens=1000)
    call = user()
    await b.admit(call, tokens=60)
    await b.admit(call, tokens=60)
    assert (call.ledger.most, call.ledger.most_nanos, call.ledger.resets_in) == (940, 2 * CENT, 16 * 86_400 + 43_200)
    b = Limited(row(window="hour", tokens=100), max_tokens=1000)
    await b.admit(call, tokens=60)
    assert (call.ledger.most, call.ledger.most_nanos, call.ledger.resets_in) == (100, None, 3600)


async def test_what_binds_is_shown() -> None:
    b = Limited(row(money="0.05", window="day"), row(window="minute", requests=3, hard=False))
    await (await b.admit(tokens=10)).settle(Charge(5, rows=(UsageRow("small", nanos=CENT),)))
    common = {"per": "caller", "name": None, "soft": 0.8}
    assert (await b.quota.remaining(user()))["limits"] == [
        common | {"window": "day", "unit": "money", "limit": 0.05, "used": 0.01, "remaining": 0.04, "currency": "USD", "hard": True, "resets_at": 1_800_057_600, "resets_in": 43_200},
        common | {"window": "minute", "unit": "requests", "limit": 3, "used": 1, "remaining": 2, "currency": None, "hard": False, "resets_at": 1_800_014_460, "resets_in": 60},
    ]  # fmt: skip


async def test_several_shards_of_a_caller_admit_as_many_requests_as_one() -> None:
    b = Limited(row(window="day", requests=10), shards=4)
    for _ in range(10):
        await b.admit()
    assert (await b.refusal()).headers["x-llambda-limit"].startswith("caller; day; requests; limit=10; used=10; ")
