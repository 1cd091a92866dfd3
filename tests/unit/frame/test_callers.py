"""What a call is charged: what was reported, the reservation for what was not, and what it caused in any case."""

import logging

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import ANONYMOUS, CURRENT_CALL, ActingFor, Call, Charge, Principal, UsageRow, principal_of

REPORTS = st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 10**6)))


@given(reports=REPORTS, failed=st.booleans())
def test_every_report_is_charged_once_whoever_made_it(reports: list[tuple[bool, int | None]], *, failed: bool) -> None:
    call = Call(ANONYMOUS)
    further = call.cause(internal=True).cause()
    for caused, tokens in reports:
        (further if caused else call).add_tokens(tokens)
    own = [tokens for caused, tokens in reports if not caused and tokens is not None]
    others = sum(tokens or 0 for caused, tokens in reports if caused)
    silent = any(tokens is None for _, tokens in reports)
    assert call.tokens == (None if not own and not others else sum(own) + others)
    assert further.end(failed=failed) == (
        Charge(None, others, sum(own)) if silent or not (own or failed) else Charge(sum(own), others)
    )
    assert call.ledger.closed


def test_a_caused_call_is_observed_in_the_callers_line_but_does_not_name_it() -> None:
    call = Call(Principal("ada", {}), provider_data={"key": 1})
    call.observed.model = "mine"
    caused, internal = call.cause(), call.cause(internal=True)
    internal.observed.model, internal.observed.provider = "guard", "g"
    internal.observed.add_usage({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3})
    with caused.observed.upstream:
        pass
    assert (call.observed.model, call.observed.provider, call.observed.tokens) == (
        "mine",
        "",
        {"prompt": 2, "completion": 1},
    )
    assert call.observed.upstream.seconds > 0
    assert (caused.provider_data, internal.provider_data) == ({"key": 1}, {})
    assert (principal_of(caused), principal_of(internal), principal_of(None)) == (call.principal, None, None)
    assert principal_of(internal.cause()) == call.principal


def test_what_is_reported_after_the_end_is_not_silent(caplog: pytest.LogCaptureFixture) -> None:
    call = Call(ANONYMOUS)
    call.end()
    call.add_tokens(0)
    assert not caplog.records
    call.cause().add_tokens(7)
    call.add_tokens(None)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "7 tokens were used for a call that had ended" in caplog.text


def test_acting_for_one_ends_where_it_ends() -> None:
    first, second = Call(ANONYMOUS), Call(ANONYMOUS)
    with ActingFor(first):
        with ActingFor(second):
            assert CURRENT_CALL.get() is second
        with pytest.raises(KeyError), ActingFor(second):
            raise KeyError
        assert CURRENT_CALL.get() is first
        with ActingFor(None):
            assert CURRENT_CALL.get() is None
        assert CURRENT_CALL.get() is first
    assert CURRENT_CALL.get() is None


def test_a_call_ends_where_its_money_does_as_where_its_tokens_do() -> None:
    call = Call(ANONYMOUS)
    assert not call.is_spent
    call.ledger.most, call.ledger.most_nanos = 10, 3
    call.note_use(UsageRow("m"), 1500)
    call.cause(internal=True).note_use(UsageRow("guard"), 500)
    assert not call.is_spent
    call.note_use(UsageRow("m"))
    call.cause().note_use(UsageRow("guard"), 1)  # rounded up: 3 nano-USD
    assert call.is_spent
    call.ledger.most_nanos = None
    assert not call.is_spent
    call.add_tokens(10)
    assert call.is_spent
