"""What calls are counted as in the usage: under which row, day and teams, in which write, and what counts nothing."""

from dataclasses import replace
from typing import Any

import pytest

from core.errors import QuotaExceeded, QuotaUnavailable
from core.frame.callers import Call, Principal, UsageRow
from core.frame.observed import Observed
from core.quota.recorder import UsageRecorder
from core.stores.counters.port import Counts, Use
from tests.fakes import Clock
from tests.unit.quota.fakes import NOON, Bench, MemoryCounters, anonymous, bench, user

ADA = "user:issuer:ada"
DAY = 20833
KEEP = 10
EXPIRES = (DAY + 1 + KEEP) * 86_400
SMALL = UsageRow("small", "vllm", "inference", "chat", answers=1, prompt_tokens=7, completion_tokens=3, nanos=50)
GUARD = UsageRow("guard", "vllm", "inference", "chat", answers=1, prompt_tokens=5, unpriced=1)
NOTHING = UsageRow(api="inference", operation="chat", requests=1)


def chat(*teams: str) -> Call:
    principal = Principal("ada", {"teams": teams}, "issuer")
    return Call(principal, observed=Observed("inference", "chat"))


def ask(call: Call) -> None:
    """As a guarded chat does: the guard's model first, then its own."""
    call.cause().add_tokens(GUARD.tokens)
    call.cause().note_use(GUARD)
    call.add_tokens(SMALL.tokens)
    call.note_use(replace(SMALL, nanos=0), 50_000)


def counting(**settings: Any) -> Bench:
    return bench(retention_days=KEEP, **settings)


def used(*rows: UsageRow, teams: str = "") -> tuple[str, Use]:
    return ADA, Use(DAY, rows, teams, EXPIRES)


@pytest.mark.parametrize("settings", [{}, {"max_tokens": 1000}, {"max_tokens": 1000, "shadow": True}, {"shards": 3}])
async def test_a_call_is_counted_once_as_it_is_settled_with_its_requests_in_the_row_of_the_model_asked_for(
    settings: dict[str, Any],
) -> None:
    b, call = counting(**settings), chat()
    ticket = await b.quota.admit(call, 0)
    assert (b.counters.uses, len(b.counters.held)) == ([], 1)
    ask(call)
    charge = call.end()
    await ticket.settle(charge)
    await ticket.settle(charge)
    name = f"{ADA}:{b.counters.takes[-1].rpartition(':')[2]}" if "shards" in settings else ADA
    assert b.counters.uses == [(name, used(GUARD, replace(SMALL, requests=1))[1])]
    assert b.counters.total() == Counts(1, SMALL.tokens + GUARD.tokens, SMALL.nanos)


async def test_what_fails_before_a_model_answers_is_a_request_without_a_model() -> None:
    b, call = counting(max_tokens=100), chat()
    ticket = await b.quota.admit(call, 50)
    call.cause().note_use(GUARD)  # which refused it
    await ticket.settle(call.end(failed=True))
    assert b.counters.uses == [used(NOTHING, GUARD)]


async def test_a_call_that_makes_no_tokens_is_counted_in_the_one_write_that_admits_it_and_what_it_caused_beside() -> (
    None
):
    b, call = counting(max_tokens=100), chat()
    ticket = await b.quota.admit(call, None, 3)
    await ticket.settle(call.end())
    assert (b.counters.uses, len(b.counters.takes)) == ([used(replace(NOTHING, requests=3))], 1)
    call = chat()
    ticket = await b.quota.admit(call, None)
    call.cause().note_use(GUARD)
    await ticket.settle(call.end())
    assert b.counters.uses[1:] == [used(NOTHING), used(GUARD)]


async def test_requests_over_several_shards_are_counted_once_when_all_have_room() -> None:
    b = counting(authenticated_max_requests=6, shards=3)
    ticket = await b.quota.admit(chat(), None, 5)
    assert [use for _, use in b.counters.uses] == [used(replace(NOTHING, requests=5))[1]]
    with pytest.raises(QuotaExceeded):
        await b.quota.admit(chat(), None, 2)
    assert len(b.counters.uses) == 1
    await ticket.settle(chat().end())
    assert len(b.counters.uses) == 1


async def test_a_refused_call_counts_nothing_nor_does_one_that_could_not_be_counted() -> None:
    b = counting(authenticated_max_requests=0)
    with pytest.raises(QuotaExceeded):
        await b.quota.admit(chat(), 0)
    b = counting(on_store_failure="allow")
    b.counters.down = True
    ticket = await b.quota.admit(chat(), 0)
    b.counters.down = False
    await ticket.settle(chat().end())
    assert b.counters.uses == []


async def test_what_was_counted_before_has_tokens_alone() -> None:
    b, call = counting(max_tokens=5000), chat()
    ticket = await b.quota.admit(call, 0, 0)
    ask(call)
    await ticket.settle(call.end_part())
    assert b.counters.uses == [used(GUARD, SMALL)]
    ticket = await b.quota.admit(call, 0, 0)
    await ticket.settle(call.end_part())
    assert len(b.counters.uses) == 1


async def test_the_day_is_that_on_which_the_call_began_and_the_teams_are_sorted_and_quoted() -> None:
    b, call = counting(), chat("red", "a+b", "blue")
    ticket = await b.quota.admit(call, 0)
    b.clock.now = NOON + 86_400
    ask(call)
    await ticket.settle(call.end())
    assert b.counters.uses == [used(GUARD, replace(SMALL, requests=1), teams="a%2Bb+blue+red")]


async def test_without_usage_no_more_is_written_than_before_there_was_any() -> None:
    b, call = bench(), chat()
    ticket = await b.quota.admit(call, 0)
    ask(call)
    await ticket.settle(call.end())
    await b.quota.charge(user(), (SMALL,))
    assert (b.counters.uses, b.counters.held, len(b.counters.takes)) == ([], {}, 1)


async def test_what_was_used_elsewhere_is_counted_too() -> None:
    b = counting()
    await b.quota.charge(chat(), (SMALL, GUARD))
    assert b.counters.uses == [used(SMALL, GUARD)]
    assert b.counters.total() == Counts(0, SMALL.tokens + GUARD.tokens, SMALL.nanos)


def recorder() -> tuple[UsageRecorder, MemoryCounters]:
    clock, counters = Clock(), MemoryCounters()
    clock.now = NOON
    return UsageRecorder(counters, retention_days=KEEP, clock=clock), counters


async def test_where_nothing_limits_a_call_there_is_one_write_as_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    usage, counters = recorder()
    call = chat()
    ticket = await usage.admit(call, 0, 2)
    assert (counters.takes, ticket.headers) == ([], {})
    ask(call)
    await ticket.settle(call.end())
    assert (counters.uses, counters.takes) == ([used(GUARD, replace(SMALL, requests=2))], [ADA])
    await usage.charge(chat(), (SMALL,))
    await usage.charge(chat(), ())
    await (await usage.admit(anonymous(), None)).settle(anonymous().end())
    assert [(name, use.rows) for name, use in counters.uses[1:]] == [
        (ADA, (SMALL,)),
        ("anonymous:203.0.113.7", (UsageRow(requests=1),)),
    ]
    assert counters.total() == Counts()
    counters.down = True
    with pytest.raises(QuotaUnavailable):
        await usage.charge(chat(), (SMALL,))
    await (await usage.admit(chat(), 0)).settle(chat().end())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
