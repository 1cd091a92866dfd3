"""Admission with one counter for each client: what is counted, refused, reserved, settled and said."""

import asyncio
import logging

import pytest

from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Charge, UsageRow
from core.quota.ticket import MOST_TOKENS
from core.stores.counters.port import Counts
from tests.unit.quota.fakes import EVENING, NOON, Bench, MemoryCounters, anonymous, bench, user

ADA = "quota:user:issuer:ada:day:20833"


async def refused(wanted: Bench, tokens: int | None = None) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        await wanted.quota.admit(user(), tokens)
    return refusal.value


async def test_the_limit_is_admitted_and_not_one_more() -> None:
    b = bench(authenticated_max_requests=2)
    tickets = [await b.quota.admit(user(), None) for _ in range(2)]
    assert [ticket.headers for ticket in tickets] == [
        {"ratelimit-limit": "2", "ratelimit-remaining": left, "ratelimit-reset": str(EVENING)} for left in "10"
    ]
    refusal = await refused(b)
    assert refusal.headers == {"retry-after": str(EVENING), **tickets[1].headers}
    assert b.counters.rows == {ADA: Counts(2, 0)}


async def test_what_was_used_elsewhere_is_charged_whatever_is_left() -> None:
    b = bench(authenticated_max_requests=2, max_tokens=100)
    for name in ("batch/0", "batch/0", "batch/1"):
        await b.quota.charge(user(), (UsageRow(prompt_tokens=50, completion_tokens=25),), name)
    assert b.counters.rows == {ADA: Counts(0, 150)}
    await refused(b, 1)
    unlimited = bench(authenticated_max_requests=2)
    await unlimited.quota.charge(user(), (UsageRow(prompt_tokens=150),))
    assert unlimited.counters.rows == {}


async def test_each_client_has_its_own() -> None:
    b = bench(authenticated_max_requests=1, anonymous_max_requests=1)
    others = (user(), user("bob"), user(vouched_by="other"), anonymous(), anonymous("2001:db8::1"))
    for call in others:
        await b.quota.admit(call, None)
    with pytest.raises(QuotaExceeded):
        await b.quota.admit(anonymous("2001:db8::2"), None)
    assert len(b.counters.rows) == len(others)


async def test_a_new_window_begins_at_its_first_instant() -> None:
    b = bench(authenticated_max_requests=1)
    await b.quota.admit(user(), None)
    b.clock.now = NOON + EVENING - 0.001
    assert (await refused(b)).headers["retry-after"] == "1"
    b.clock.now = NOON + EVENING
    ticket = await b.quota.admit(user(), None)
    assert ticket.headers["ratelimit-reset"] == "86400"


async def test_a_counter_outlives_its_window_for_calls_under_way() -> None:
    b = bench(period="minute", max_tokens=100)
    ticket = await b.quota.admit(user(), 60)
    assert b.counters.expiries == {f"quota:user:issuer:ada:minute:{int(NOON) // 60}": int(NOON) + 2 * 60 + 3600}
    b.clock.now += 90
    await ticket.settle(Charge(10))
    assert b.counters.total() == Counts(1, 10)


async def test_processes_whose_clocks_differ_count_in_the_window_that_each_is_in() -> None:
    here = bench(authenticated_max_requests=1)
    there = bench(authenticated_max_requests=1, counters=here.counters)
    here.clock.now, there.clock.now = NOON + EVENING - 1, NOON + EVENING + 1
    await here.quota.admit(user(), None)
    await there.quota.admit(user(), None)
    here.clock.now += 2
    for late in (here, there):
        await refused(late)
    there.clock.now -= 2  # a clock that is set back finds its old window full
    await refused(there)
    assert here.counters.total() == Counts(2, 0)


async def test_a_limit_of_zero_admits_nobody_and_asks_no_counter() -> None:
    b = bench(authenticated_max_requests=0)
    assert (await refused(b)).headers["ratelimit-limit"] == "0"
    b = bench(max_tokens=0)
    assert (await refused(b, 0)).headers["x-ratelimit-limit-tokens"] == "0"
    assert b.counters.takes == []
    await b.quota.admit(user(), None)


async def test_a_client_beyond_its_limit_costs_no_more_writes_until_the_window_ends() -> None:
    b = bench(authenticated_max_requests=2)
    for _ in range(2):
        await b.quota.admit(user(), None)
    for _ in range(5):
        await refused(b)
    assert len(b.counters.takes) == 2
    b.clock.now += EVENING
    await b.quota.admit(user(), None)


async def test_a_client_is_full_for_its_limit_and_not_for_the_larger_one_of_another_role() -> None:
    b = bench(authenticated_max_requests=1, roles={"admin": {"max_requests": 2}})
    await b.quota.admit(user(), None)
    await refused(b)
    assert (await b.quota.admit(user("ada", "admin"), None)).headers["ratelimit-remaining"] == "0"


async def test_tokens_are_reserved_up_to_the_last_one() -> None:
    b = bench(max_tokens=100)
    ticket = await b.quota.admit(user(), 60)
    assert ticket.headers["x-ratelimit-limit-tokens"] == "100"
    assert ticket.headers["x-ratelimit-remaining-tokens"] == "40"
    refusal = await refused(b, 41)
    assert (refusal.headers["ratelimit-remaining"], refusal.headers["x-ratelimit-remaining-tokens"]) == ("0", "40")
    await b.quota.admit(user(), 40)
    await refused(b, 1)
    assert (await b.quota.admit(user(), None)).headers["x-ratelimit-remaining-tokens"] == "0"
    assert b.counters.rows == {ADA: Counts(3, 100)}


@pytest.mark.parametrize("tokens", [101, 10**30])
async def test_a_reservation_beyond_the_whole_limit_is_refused_at_once(tokens: int) -> None:
    b = bench(max_tokens=100)
    refusal = await refused(b, tokens)
    assert "x-ratelimit-remaining-tokens" not in refusal.headers
    assert b.counters.takes == []


@pytest.mark.parametrize(
    ("limit", "asked", "reserved"), [(500, 0, 70), (500, -5, 70), (50, 0, 50), (1, 0, 1), (500, 71, 71)]
)
async def test_a_call_without_a_bound_reserves_the_default_or_the_whole_limit(
    limit: int, asked: int, reserved: int
) -> None:
    b = bench(max_tokens=limit, default_max_tokens=70)
    await b.quota.admit(user(), asked)
    assert b.counters.rows == {ADA: Counts(1, reserved)}


@pytest.mark.parametrize(
    ("used", "stays"), [(0, 0), (10, 10), (60, 60), (95, 95), (None, 60), (-7, 0), (10**30, MOST_TOKENS)]
)
async def test_settling_leaves_what_was_used(used: int | None, stays: int) -> None:
    b = bench(max_tokens=100)
    await (await b.quota.admit(user(), 60)).settle(Charge(used))
    assert b.counters.rows == {ADA: Counts(1, stays)}
    assert len(b.counters.adjusts) == (stays != 60)


async def test_only_the_first_settling_counts() -> None:
    b = bench(max_tokens=100)
    for first, then in ((10, 0), (None, 0)):
        ticket = await b.quota.admit(user(), 20)
        await asyncio.gather(ticket.settle(Charge(first)), ticket.settle(Charge(then)))
    assert b.counters.total() == Counts(2, 30)


@pytest.mark.parametrize(("least", "stays"), [(0, 60), (59, 60), (95, 95), (10**30, MOST_TOKENS)])
async def test_what_came_of_an_answer_that_nobody_waited_for_is_charged_where_it_is_more(
    least: int, stays: int
) -> None:
    b = bench(max_tokens=100)
    await (await b.quota.admit(user(), 60)).settle(Charge(None, 0, least))
    assert b.counters.rows == {ADA: Counts(1, stays)}


@pytest.mark.parametrize(("asked", "reserved"), [(-5, 70), (-80, 80), (-(10**30), 500)])
async def test_a_bound_that_may_not_be_heeded_raises_the_reservation_and_never_lowers_it(
    asked: int, reserved: int
) -> None:
    b = bench(max_tokens=500, default_max_tokens=70)
    await b.quota.admit(user(), asked)
    assert b.counters.rows == {ADA: Counts(1, reserved)}


async def test_a_batch_counts_each_part_all_or_none_and_its_refusal_says_how_many_are_left() -> None:
    b = bench(authenticated_max_requests=10, max_tokens=100)
    ticket = await b.quota.admit(user(), 30, 7)
    assert (ticket.headers["ratelimit-remaining"], b.counters.rows) == ("3", {ADA: Counts(7, 30)})
    for parts in (4, 11, 10**30):
        with pytest.raises(QuotaExceeded, match=f"this is {parts} requests, and 3 of 10 are left") as refusal:
            await b.quota.admit(user(), 30, parts)
        assert refusal.value.headers["ratelimit-remaining"] == "3"
    with pytest.raises(QuotaExceeded, match="3 of 10"):
        await b.quota.admit(user(), 71, 3)
    assert b.counters.rows == {ADA: Counts(7, 30)}
    await b.quota.admit(user(), 70, 3)
    assert (await refused(b)).message == "Quota exceeded"
    await ticket.settle(Charge(0))
    assert b.counters.rows == {ADA: Counts(10, 70)}


async def test_in_the_shadow_a_batch_counts_each_part_too() -> None:
    b = bench(shadow=True, authenticated_max_requests=3)
    assert (await b.quota.admit(user(), None, 5)).headers["ratelimit-remaining"] == "0"
    assert b.counters.total() == Counts(5, 0)


async def test_without_a_limit_on_tokens_none_are_written() -> None:
    b = bench()
    ticket = await b.quota.admit(user(), 5000)
    assert "x-ratelimit-limit-tokens" not in ticket.headers
    await ticket.settle(Charge(4000))
    assert (b.counters.rows, b.counters.adjusts) == ({ADA: Counts(1, 0)}, [])


async def test_an_operation_that_was_to_make_no_tokens_pays_for_those_that_it_reports() -> None:
    b = bench(max_tokens=100)
    await (await b.quota.admit(user(), None)).settle(Charge(30))
    assert b.counters.total() == Counts(1, 30)


async def test_what_is_left_is_told_without_counting() -> None:
    b = bench(max_tokens=100, authenticated_max_requests=3)
    await b.quota.admit(user(), 60)
    assert await b.quota.remaining(user()) == {
        "object": "quota",
        "identity": "authenticated",
        "period": "day",
        "resets_at": int(NOON) + EVENING,
        "resets_in": EVENING,
        "shadow": False,
        "requests": {"limit": 3, "used": 1, "remaining": 2},
        "tokens": {"limit": 100, "used": 60, "remaining": 40},
        "limits": [],
    }
    stranger = await bench().quota.remaining(anonymous())
    assert (stranger["identity"], stranger["tokens"]) == ("anonymous", None)
    assert stranger["requests"] == {"limit": 100, "used": 0, "remaining": 100}
    assert len(b.counters.takes) == 1


async def test_a_store_that_is_down_refuses_by_default() -> None:
    b = bench(counters=MemoryCounters(down=True))
    for asked in (b.quota.admit(user(), None), b.quota.remaining(user())):
        with pytest.raises(QuotaUnavailable):
            await asked


async def test_a_store_that_is_down_allows_if_told_to_and_says_so_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    b = bench(counters=MemoryCounters(down=True), on_store_failure="allow", max_tokens=10)
    lines: list[int] = []
    for seconds in (0, 1, 28.9, 0.1, 29):
        b.clock.now += seconds
        ticket = await b.quota.admit(user(), 5)
        assert ticket.headers == {}
        await ticket.settle(Charge(5))
        lines.append(len(caplog.records))
    assert lines == [1, 1, 1, 2, 2]
    assert b.counters.adjusts == []
    b.counters.down = False
    assert (await b.quota.admit(user(), 5)).headers["ratelimit-remaining"] == "999"


async def test_a_refusal_is_not_a_store_failure() -> None:
    await refused(bench(authenticated_max_requests=0, on_store_failure="allow"))


async def test_a_store_that_fails_at_the_end_of_a_call_keeps_the_reservation_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    b = bench(max_tokens=100)
    ticket = await b.quota.admit(user(), 60)
    b.counters.down = True
    await ticket.settle(Charge(5))
    assert b.counters.total() == Counts(1, 60)
    assert "60 reserved tokens stay counted" in caplog.text


async def test_in_the_shadow_everything_is_counted_and_nobody_refused(caplog: pytest.LogCaptureFixture) -> None:
    b = bench(shadow=True, authenticated_max_requests=2, max_tokens=100)
    said: list[tuple[str, int]] = []
    for name in ("ada", "ada", "ada", "ada", "bob"):
        ticket = await b.quota.admit(user(name), 20)
        said.append((ticket.headers["ratelimit-remaining"], len(caplog.records)))
    assert said == [("1", 0), ("0", 0), ("0", 1), ("0", 1), ("1", 1)]
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
        f"quota (shadow): {ADA} would be refused"
    ]
    assert (await b.quota.remaining(user()))["requests"] == {"limit": 2, "used": 4, "remaining": 0}
    b.clock.now += EVENING
    for _ in range(3):
        await b.quota.admit(user(), 20)
    assert len(caplog.records) == 2


async def test_in_the_shadow_tokens_beyond_the_limit_are_reported_too(caplog: pytest.LogCaptureFixture) -> None:
    b = bench(shadow=True, max_tokens=100)
    assert (await b.quota.admit(user(), 100)).headers["ratelimit-remaining"] == "999"
    assert caplog.records == []
    ticket = await b.quota.admit(user(), 10**30)
    assert (ticket.headers["ratelimit-remaining"], ticket.headers["x-ratelimit-remaining-tokens"]) == ("0", "0")
    assert len(caplog.records) == 1
    await b.quota.admit(user(), None)
    assert b.counters.total() == Counts(3, 100 + MOST_TOKENS)
    await ticket.settle(Charge(7))
    assert b.counters.total() == Counts(3, 107)


async def test_a_shadow_of_fewer_calls_than_shards_is_not_over_with_the_first(caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(5):
        b = bench(seed=seed, shadow=True, authenticated_max_requests=1, shards=5)
        await b.quota.admit(user(), None)
    assert caplog.records == []


async def test_a_shadow_of_a_limit_of_zero_still_lets_everybody_in() -> None:
    b = bench(shadow=True, authenticated_max_requests=0, shards=5)
    assert (await b.quota.admit(user(), None)).headers["ratelimit-remaining"] == "0"


async def test_closing_closes_the_counters() -> None:
    b = bench()
    await b.quota.close()
    assert b.counters.closed


async def test_warming_warms_the_counters() -> None:
    b = bench()
    b.quota.warm()
    assert b.counters.warmed
