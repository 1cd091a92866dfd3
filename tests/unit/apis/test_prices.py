"""A price is exact, and what nobody says is no price."""

from decimal import ROUND_CEILING, Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.prices import Price, parse_price
from core.frame.callers import ANONYMOUS, Call, UsageRow
from core.frame.observed import usd_of, usd_text

ROW = UsageRow("m", "p", answers=1, prompt_tokens=100, cached_tokens=30, cache_write_tokens=20, completion_tokens=10)


@pytest.mark.parametrize(
    ("rates", "picos"),
    [
        ({"input": 1, "output": 2}, 120),
        ({"input": 1, "cached_input": 0, "cache_write": 1.25, "output": 2}, 95),
        ({"input": "0.000001", "output": 0.000001, "currency": "USD"}, 0.00011),
        ({"input": 0, "output": 0}, 0),
        ({"input": 1, "output": 2, "per_request": 0.002}, 120 + 3 * 2000),
        ({"per_request": 0.002}, 3 * 2000),
        ({"input": 1}, None),
        ({"output": 1, "cached_input": 1}, None),
    ],
)
def test_tokens_cost_by_what_they_are_and_a_rate_that_is_missing_is_not_zero(rates: Any, picos: float | None) -> None:
    """In millionths of a USD."""
    found = parse_price(rates).picos(ROW, 3)
    assert found == (None if picos is None else Decimal(str(picos)) * 1_000_000)


def test_a_rate_that_nothing_is_counted_by_need_not_be_known() -> None:
    assert parse_price({"input": 1}).picos(UsageRow(prompt_tokens=5), 1) == 5_000_000
    assert Price().picos(UsageRow(), 1) == 0


@pytest.mark.parametrize(
    ("rates", "picos"),
    [
        ({"input": 1, "cache_write": 1.25, "cache_write_1h": 2, "output": 2}, 80 + 8 * 1.25 + 12 * 2 + 10 * 2),
        ({"input": 1, "cache_write": 1.25, "output": 2}, 80 + 20 * 1.25 + 10 * 2),
        ({"input": 1, "output": 2}, 80 + 20 + 10 * 2),
    ],
)
def test_what_is_cached_for_an_hour_has_a_price_of_its_own(rates: Any, picos: float) -> None:
    assert parse_price(rates).picos(ROW, 1, 12) == picos * 1_000_000


RATES = st.none() | st.integers(0, 50_000_000)
COUNTS = st.integers(0, 10**6)


@given(st.builds(Price, RATES, RATES, RATES, RATES, RATES, RATES), st.tuples(*[COUNTS] * 5), COUNTS, st.integers(1, 9))
def test_no_answer_costs_more_than_one_of_as_many_tokens_may(
    price: Price, prompt: tuple[int, ...], completion: int, requests: int
) -> None:
    plain, cached, written, hour, more = prompt
    row = UsageRow(
        prompt_tokens=plain + cached + written + hour,
        cached_tokens=cached,
        cache_write_tokens=written + hour,
        completion_tokens=completion,
    )
    most = price.most_picos(row.prompt_tokens + more, completion + more, requests)
    if most is not None:
        assert (price.picos(row, requests, hour) or 0) <= most
        assert price.picos(row, requests, hour) is not None


def test_the_most_is_not_known_where_a_rate_is_not() -> None:
    assert parse_price({"cached_input": 1, "output": 1}).most_picos(1, 0, 1) is None
    assert parse_price({"input": 1}).most_picos(1, 1, 1) is None
    assert parse_price({"input": 1}).most_picos(7, 0, 1) == 7_000_000
    assert parse_price({"per_request": 1, "cached_input": 2}).most_picos(7, 5, 1) == 10**12 + 14_000_000
    assert parse_price({"input": 0, "output": 0}).most_picos(7, 5, 1) == 0


@pytest.mark.parametrize(
    ("batch", "picos"),
    [
        (0.5, 500_000 * 70 + 50_000 * 30 + 10 * 1_000_000),
        ("0.333333", 333_333 * 70 + 33_334 * 30 + 10 * 666_666),
        (1, 1_000_000 * 70 + 100_000 * 30 + 10 * 2_000_000),
        (0, 0),
        ({"input": 0.5, "output": "1"}, 500_000 * 100 + 10 * 1_000_000),
        ({"input": 0.5}, None),
    ],
)
def test_a_batch_costs_a_share_of_each_rate_rounded_up_or_has_rates_of_its_own(batch: Any, picos: int | None) -> None:
    price = parse_price({"input": 1, "cached_input": 0.1, "output": 2, "batch": batch})
    row = UsageRow(prompt_tokens=100, cached_tokens=30, completion_tokens=10)
    assert price.batch is not None
    assert price.batch.picos(row, 1) == picos
    assert price.picos(row, 1) == 1_000_000 * 70 + 100_000 * 30 + 10 * 2_000_000


def test_a_batch_that_nobody_says_a_price_of_has_none() -> None:
    assert parse_price({"input": 1, "output": 2}).batch is None
    assert parse_price({"input": 1, "output": 2, "batch": None}).batch is None


NO_RATES: list[Any] = [
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    0.0000001,
    "0.1234567",
    True,
    None,
    "",
    "1e3",
    " 1",
    [],
    10**6,
    1e22,
]
NO_SHARES: list[Any] = [-0.5, 1.000001, 2, "half", True, [0.5], {}, 0.0000001]
NO_PRICES: list[tuple[Any, str]] = [
    (None, "price must be a mapping with one of input, cached_input, cache_write, cache_write_1h, output, per_request, in USD"),
    ([1], "price must be a mapping"),
    ({}, "price must be a mapping"),
    ({"currency": "USD"}, "price must be a mapping"),
    ({"input": 1, "currency": "EUR"}, "price.currency must be USD: this stack counts in no other currency"),
    ({"currency": None, "input": 1}, "price.currency must be USD"),
    ({"inputs": 1}, "price: unknown key `inputs`; known: currency, input, "),
    *(
        ({"input": rate}, "price.input must be USD per million tokens: a number below 1000000, 0 or more, with at most 6")
        for rate in NO_RATES
    ),
    ({"per_request": -1}, "price.per_request must be USD for a request: a number below 1000000"),
    ({"batch": 0.5}, "price must be a mapping with one of input, "),
    ({"input": 1, "batch": {"inputs": 1}}, "price.batch: unknown key `inputs`; known: currency, input, "),
    ({"input": 1, "batch": {"input": 1, "batch": 0.5}}, "price.batch: unknown key `batch`; known: currency, input, "),
    ({"input": 1, "batch": {"output": -1}}, "price.batch.output must be USD per million tokens: a number below 1000000"),
    *(
        ({"input": 1, "batch": share}, "price.batch must be what a provider's own batch costs: a share of the other rates, from 0 to 1, or")
        for share in NO_SHARES
    ),
]  # fmt: skip


@pytest.mark.parametrize(("value", "said"), NO_PRICES)
def test_what_is_no_price_is_said_by_its_rate(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match="price") as refused:
        parse_price(value)
    assert str(refused.value).startswith(said)


@given(st.decimals(0, 999_999, places=6))
def test_a_rate_is_exact_as_a_number_and_as_a_text(rate: Decimal) -> None:
    wanted = int(rate * 1_000_000)
    assert parse_price({"input": f"{rate:f}"}).input == wanted
    assert parse_price({"input": float(rate)}).input == wanted
    assert parse_price({"per_request": float(rate)}).per_request == wanted * 1_000_000


ANSWERS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from("ab")), min_size=1)


@given(answers=ANSWERS, cents=st.integers(0, 10_000))
def test_what_a_call_costs_is_rounded_up_once_for_each_row(answers: list[tuple[int, int, str]], cents: int) -> None:
    call, rate = Call(ANONYMOUS), Decimal(cents) / 1_000_000
    price = parse_price({"input": str(rate), "output": str(rate * 3)})
    for prompt, completion, provider in answers:
        row = UsageRow("m", provider, answers=1, prompt_tokens=prompt, completion_tokens=completion)
        call.note_use(row, price.picos(row, 1))
    exact: dict[str, Decimal] = {}
    for prompt, completion, provider in answers:
        exact[provider] = exact.get(provider, Decimal()) + prompt * rate + completion * 3 * rate
    nanos = {name: int((cost * 1000).to_integral_value(ROUND_CEILING)) for name, cost in exact.items()}
    assert call.observed.nanos == int((sum(exact.values(), Decimal()) * 1000).to_integral_value(ROUND_CEILING))
    assert {row.provider: row.nanos for row in call.ledger.list_rows()} == nanos


def test_a_call_of_which_one_answer_has_no_price_has_none() -> None:
    call = Call(ANONYMOUS)
    assert call.observed.nanos is None
    call.note_use(UsageRow("m", answers=1), 0)
    assert call.observed.nanos == 0
    call.cause().note_use(UsageRow("guard", answers=1, unpriced=1))
    assert call.observed.nanos is None


@given(st.integers(0, 10**15))
def test_money_is_written_exactly(nanos: int) -> None:
    assert Decimal(repr(usd_of(nanos))) == Decimal(usd_text(nanos)) == Decimal(nanos) / 10**9
    assert not usd_text(nanos).endswith(".")
