"""`server.usage`: what is wrong with prices is said at its place, at `config validate` and before anything is served."""

from datetime import date, timedelta
from typing import Any

import pytest

from core.config.problems import ConfigInvalid
from core.config.usage import usage_of
from core.resolution.check import check
from core.resolution.price_dates import OLD, price_warnings
from core.resolution.protection import retention_days
from core.resolution.resolve import resolve
from core.services.inference.price_list import DATED
from core.stores.connect import COUNTERS
from tests.unit.config.documents import loaded

LOCAL = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": "http://localhost:9"}}
SERVED: dict[str, Any] = {"apis": ["inference"], "providers": {"inference": [LOCAL]}}


def found(prices: Any, **usage: Any) -> dict[str, str]:
    said = loaded(**SERVED, server={"usage": {"prices": prices, **usage}})
    return {problem.path: problem.message for problem in [*said.problems, *check(said)]}


def test_prices_are_rows_of_which_the_first_counts() -> None:
    rows = [
        {"provider_id": "local", "model": "big*", "price": {"input": "${env.RATE}", "output": 2.5}},
        {"provider_type": "remote::openai", "model": "*", "price": {"input": 0}},
    ]
    said = loaded({"RATE": "0.15"}, **SERVED, server={"usage": {"currency": "USD", "prices": rows}})
    assert said.config is not None
    first, second = usage_of(said.config).prices
    assert (first.rates.input, first.rates.output, second.rates.input) == (150_000, 2_500_000, 0)
    assert not found(rows[1:])
    none: list[dict[str, Any]] = [{}, {"usage": None}, {"usage": {}}]
    for nothing in none:
        config = loaded(**SERVED, server=nothing).config
        assert config is not None
        assert usage_of(config).prices == ()


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({"provider_id": "local", "price": {"input": 1}}, ".model", "is required"),
        ({"model": "m", "price": {"input": 1}}, "", "give either provider_id or provider_type"),
        ({"provider_id": "locla", "model": "m", "price": {"input": 1}}, ".provider_id", "`locla` is no provider of inference; did you mean `local`?"),
        ({"provider_id": "local", "model": "m", "price": {"input": -1}}, ".price", "price.input must be USD per million tokens: a number below 1000000, 0 or more, with at most 6 decimals"),
        ({"provider_id": "local", "model": "m", "price": {"input": 1, "currency": "EUR"}}, ".price", "price.currency must be USD: this stack counts in no other currency"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_price_is_said_at_its_place(row: dict[str, Any], field: str, said: str) -> None:
    assert found([row]) == {f"server.usage.prices[0]{field}": said}
    with pytest.raises(ConfigInvalid, match=r"server\.usage\.prices"):
        await resolve(loaded(**SERVED, server={"usage": {"prices": [row]}}), ["inference"], version="1")


def test_another_currency_is_refused_by_its_name() -> None:
    assert found([], currency="EUR") == {
        "server.usage.currency": "must be USD: this stack counts in no other currency, got 'EUR'"
    }


def test_a_declared_model_says_its_price() -> None:
    def problems_of(price: Any) -> dict[str, str]:
        entry = {"model_id": "mine", "provider_id": "local", "metadata": {"price": price}}
        return {problem.path: problem.message for problem in loaded(**SERVED, models=[entry]).problems}

    assert not problems_of({"input": 0, "output": 0})
    assert "price.output must be" in problems_of({"input": 1, "output": 0.1234567})["models[0]"]


STORE = {"type": "sqlite", "db_path": "counters.db"}
QUOTA = {"quota": {"kvstore": STORE}}


@pytest.mark.parametrize(
    ("server", "days"),
    [
        ({}, None),
        ({"usage": {"retention_days": 30}}, None),
        ({"usage": {"kvstore": STORE}}, 400),
        ({"usage": {"kvstore": STORE, "enabled": False}}, None),
        (QUOTA, 400),
        ({**QUOTA, "usage": {"retention_days": 30}}, 30),
        ({**QUOTA, "usage": {"enabled": False}}, None),
    ],
)
def test_usage_is_counted_where_there_is_a_place_for_it(server: dict[str, Any], days: int | None) -> None:
    said = loaded(**SERVED, server=server)
    assert said.config is not None
    assert (check(said), retention_days(said.config)) == ([], days)
    place = COUNTERS.config_in(said.config)
    assert (place is not None) == ("quota" in server or "kvstore" in server.get("usage", {}))


@pytest.mark.parametrize(
    ("server", "place", "text"),
    [
        ({"usage": {"enabled": True}}, "enabled", "needs a store: name one at server.usage.kvstore, or configure server.quota"),
        ({**QUOTA, "usage": {"kvstore": STORE}}, "kvstore", "is for stacks without server.quota, whose store has the usage too; remove it"),
        ({**QUOTA, "usage": {"retention_days": 3651}}, "retention_days", "must be at most 3650"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_place_of_usage_is_said(server: dict[str, Any], place: str, text: str) -> None:
    problems = check(loaded(**SERVED, server=server))
    assert [(problem.path, problem.message[: len(text)]) for problem in problems] == [(f"server.usage.{place}", text)]


MONEY: dict[str, Any] = {"limits": [{"per": "caller", "window": "month", "money": 5}]}


@pytest.mark.parametrize(
    ("days", "quota", "kind", "is_warned"),
    [
        (OLD + 1, MONEY, "remote::openai", True),
        (OLD, MONEY, "remote::openai", False),
        (OLD + 1, MONEY, "remote::vllm", False),
        (OLD + 1, {"limits": [{"per": "caller", "window": "month", "tokens": 5}]}, "remote::openai", False),
        (OLD + 1, None, "remote::openai", False),
    ],
)
def test_prices_that_money_rests_on_are_not_taken_for_new_for_ever(
    days: int, quota: Any, kind: str, *, is_warned: bool
) -> None:
    entry = {"provider_id": "a", "provider_type": kind, "config": {"api_key": "k", "url": "http://localhost:9"}}
    server = {} if quota is None else {"quota": {"kvstore": {"type": "sqlite", "db_path": "/q.db"}, **quota}}
    config = loaded(apis=["inference"], providers={"inference": [entry]}, server=server).config
    assert config is not None
    warned = price_warnings(config, date.fromisoformat(DATED) + timedelta(days))
    said = (
        f"server.quota.limits: money is limited by the prices of remote::openai that ship, which are {days} days old "
        f"({DATED}): check them, and say in server.usage.prices what has changed"
    )
    assert warned == ([said] if is_warned else [])


def test_what_becomes_of_a_call_without_a_price_is_one_of_two() -> None:
    assert found([], unpriced="allow") == {}
    assert "refuse" in found([], unpriced="warn")["server.usage.unpriced"]
