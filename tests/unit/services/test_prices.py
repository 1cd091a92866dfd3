"""Which of several prices counts for a model, and that the list that ships says only what a vendor does."""

from typing import Any

import pytest

from core.apis.manifests.inference import MODEL
from core.apis.prices import RATES, Price, parse_price
from core.config.usage import PriceRow
from core.frame.callers import UsageRow
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.routing.targets import Target
from core.services.inference.price_list import PRICES
from core.services.inference.prices import Prices
from tests.fakes import MemoryStore

TYPES = {"a": "remote::openai", "b": "remote::vllm"}


def model(identifier: str, provider_id: str, name: str, price: Any = None) -> Resource:
    metadata = {} if price is None else {"price": price}
    return Resource("model", identifier, provider_id, name, {"metadata": metadata, "model_type": "llm"})


DECLARED = [model("dear", "b", "one", {"input": 7}), model("plain", "b", "two")]


def registry() -> GuardedRegistry:
    made = Registry(MODEL, MemoryStore(), Catalog({}, seconds=60), provider_ids=["a", "b"], declared=DECLARED)
    return GuardedRegistry(made, Enforcement(Policy(DEFAULT_POLICY)), None)


def rate(resource: Resource, *rows: dict[str, Any], target: Target | None = None) -> int | None:
    """Of a token of the prompt, in pico-USD."""
    prices = Prices([PriceRow.model_validate(row) for row in rows], TYPES)
    at = target or Target(resource.provider_id, resource.provider_resource_id)
    found = [prices.find(registry(), resource, at) for _ in range(2)]  # the second is remembered
    assert found[0] == found[1]
    return None if found[0] is None else found[0].input


def test_the_run_config_goes_before_metadata_and_that_before_the_list() -> None:
    mine = model("mine", "a", "gpt-4o", {"input": 9})
    row = {"provider_id": "a", "model": "gpt-4*", "price": {"input": 5}}
    assert rate(mine, row) == 5_000_000
    assert rate(mine) == 9_000_000
    assert rate(model("mine", "a", "gpt-4o")) == 2_500_000
    assert rate(model("mine", "a", "gpt-4o"), {**row, "model": "gpt-4"}) == 2_500_000


def test_the_first_row_that_fits_counts_by_provider_or_its_type() -> None:
    rows = [
        {"provider_id": "b", "model": "big-*", "price": {"input": 1}},
        {"provider_type": "remote::vllm", "model": "*", "price": {"input": 0}},
        {"provider_id": "b", "model": "*", "price": {"input": 2}},
    ]
    assert (rate(model("x", "b", "big-one"), *rows), rate(model("x", "b", "small"), *rows)) == (1_000_000, 0)
    assert rate(model("x", "gone", "big-one"), *rows) is None


def test_what_is_declared_of_a_place_is_the_price_of_every_name_of_it() -> None:
    assert rate(model("another", "b", "one")) == 7_000_000
    assert rate(model("another", "b", "one", {"input": 8})) == 8_000_000
    assert rate(model("another", "b", "two")) is None
    assert rate(model("another", "b", "two"), target=Target("b", "one")) == 7_000_000
    assert rate(model("b/three", "b", "three")) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("gpt-4o-audio-preview", None), ("gpt-4.1-mini-2025-04-14", 400_000), ("gpt-5-pro", None), ("o3-pro", None)],
)
def test_the_list_means_no_model_that_costs_something_else(name: str, wanted: int | None) -> None:
    assert rate(model("x", "a", name)) == wanted


def test_claudes_writes_for_an_hour_have_their_price() -> None:
    assert all("cache_write_1h" in rates for rates in PRICES["remote::anthropic"].values())


def rates_of(price: Price) -> list[int | None]:
    return [price.input, price.cached_input, price.cache_write, price.cache_write_1h, price.output]


def test_of_a_vendor_s_own_batches_half_is_what_ships() -> None:
    batches = {name for models in PRICES.values() for name, rates in models.items() if "batch" in rates}
    assert batches == {*PRICES["remote::openai"], *PRICES["remote::groq"]}
    older = parse_price(PRICES["remote::openai"]["gpt-4o"]).batch  # nobody says what is cached in its batches
    assert older is not None
    assert older.picos(UsageRow(prompt_tokens=2, cached_tokens=1), 1) == 2 * 1_250_000


def test_every_price_of_the_list_is_one() -> None:
    for models in PRICES.values():
        for name, rates in models.items():
            price = parse_price(rates)
            assert price.input, name
            assert rates.keys() <= {*RATES, "batch"}
            for said, whole in () if price.batch is None else zip(rates_of(price.batch), rates_of(price), strict=True):
                assert said is None or (whole is not None and 2 * said == whole), name
            assert price.cached_input is None or price.cached_input < price.input
            assert price.cache_write is None or price.cache_write > price.input
            assert price.cache_write_1h in {None, 2 * price.input}
            assert price.output is None or price.output > price.input
