"""What a call may cost before it runs: by the dearest place that may answer, and never a way to see what is hidden."""

from typing import Any

import pytest

from core.apis.inference import ChatRequest, EmbeddingsRequest
from core.apis.manifests.inference import MODEL
from core.apis.prompt_bounds import bound_prompt
from core.config.policy import AccessRule
from core.config.usage import PriceRow
from core.errors import PriceUnknown
from core.frame.callers import Principal
from core.frame.observed import NANOS, nanos_of
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import Policy
from core.routing.registry import Registry
from core.services.inference.money import LEAST, MoneyRouter
from core.services.inference.prices import Prices
from tests.fakes import FakeProvider, MemoryStore, served

ADA = Principal("ada", {"roles": ("user",)})
SEES_ALL_BUT_SECRET = Policy(
    [
        AccessRule.model_validate({"forbid": {"actions": ["read"], "resource": "model::secret"}}),
        AccessRule.model_validate({"permit": {"actions": ["create", "read"]}}),
    ]
)
CHAT = ChatRequest(model="any", messages=[{"role": "user", "content": "good day"}])
PROMPT = bound_prompt(CHAT).tokens
CHEAP, DEAR = {"input": 1, "output": 2}, {"input": 3, "output": 4}


def model(identifier: str, name: str, kind: str = "llm", **metadata: Any) -> Resource:
    return Resource("model", identifier, "a", name, {"metadata": metadata, "model_type": kind})


PLACES = [{"provider_id": "a", "provider_model_id": name} for name in ("cheap", "dear")]
DECLARED = [
    model("cheap", "cheap", price=CHEAP),
    model("dear", "dear", price=DEAR),
    model("secret", "hidden", price=CHEAP),
    model("both", "cheap", targets=PLACES),
    model("half", "cheap", targets=[PLACES[0], {"provider_id": "a", "provider_model_id": "plain"}]),
    model("plain", "plain"),
    model("small", "small", price=CHEAP, context_length=50),
    model("free", "free", price={"input": 0, "output": 0}),
    model("vectors", "vectors", "embedding", price={"input": 5}, embedding_dimension=2),
]


class Rates:
    def __init__(self, *rows: dict[str, Any], refuses: bool = True) -> None:
        catalog = Catalog({"a": FakeProvider([served("dear"), served("large")]).list_models}, seconds=60)
        registry = Registry(MODEL, MemoryStore(), catalog, provider_ids=["a"], declared=DECLARED)
        prices = Prices([PriceRow.model_validate(row) for row in rows], {"a": "remote::vllm"})
        self.models = GuardedRegistry(registry, Enforcement(SEES_ALL_BUT_SECRET), ADA)
        self.router = MoneyRouter(self.models, prices.find, refuses=refuses)

    async def nanos(self, name: str, tokens: int = 10, body: Any = CHAT, requests: int = 1) -> int:
        return await self.router.most_nanos(name, body, tokens, requests)


def cost(rates: dict[str, int], prompt: int, completion: int) -> int:
    return nanos_of((prompt * rates["input"] + completion * rates["output"]) * 1_000_000)


@pytest.mark.parametrize(("name", "rates"), [("cheap", CHEAP), ("dear", DEAR), ("both", DEAR)])
async def test_a_call_may_cost_what_the_dearest_of_its_models_places_asks(name: str, rates: dict[str, int]) -> None:
    assert await Rates().nanos(name) == cost(rates, PROMPT, 10)


async def test_a_model_without_a_price_is_refused_by_its_name_unless_the_run_config_allows_it() -> None:
    for name in ("plain", "half"):
        with pytest.raises(PriceUnknown, match=f"`{name}` costs.*Give the model a price.*unpriced: allow"):
            await Rates().nanos(name)
    allowing = Rates(refuses=False)
    assert await allowing.nanos("plain") == LEAST
    assert await allowing.nanos("half") == cost(CHEAP, PROMPT, 10)
    assert await Rates({"provider_id": "a", "model": "plain", "price": DEAR}).nanos("half") == cost(DEAR, PROMPT, 10)


async def test_another_speed_has_a_price_that_nobody_says() -> None:
    fast = ChatRequest.model_validate({**CHAT.model_dump(), "service_tier": "priority"})
    with pytest.raises(PriceUnknown):
        await Rates().nanos("cheap", body=fast)


async def test_a_batch_may_cost_what_its_provider_asks_for_batches_of_all_its_rows_together() -> None:
    half = {"provider_id": "a", "model": "*", "price": {"input": 4, "output": 6, "per_request": "0.001", "batch": 0.5}}
    router = Rates(half).router
    assert await router.most_of_batch("dear", "a", 1000, 100, 3) == (1000 * 2 + 100 * 3) * 1000 + 3 * 500_000
    assert await router.most_of_batch("vectors", "a", 1000, 100, 3) == 1000 * 2 * 1000 + 3 * 500_000
    assert [await router.most_of_batch(name, "a", 1000, 100, 3) for name in ("secret", "missing")] == [LEAST] * 2


@pytest.mark.parametrize(("name", "place"), [("cheap", "a"), ("plain", "a"), ("cheap", "gone")])
async def test_a_batch_that_nobody_knows_the_price_of_is_refused_unless_the_run_config_allows_it(
    name: str, place: str
) -> None:
    with pytest.raises(PriceUnknown, match=f"a batch of `{name}` costs.*Give its price a `batch`"):
        await Rates().router.most_of_batch(name, place, 1000, 100, 3)
    assert await Rates(refuses=False).router.most_of_batch(name, place, 1000, 100, 3) == LEAST


async def test_what_is_free_costs_nothing_and_its_price_is_known() -> None:
    assert await Rates().nanos("free") == 0


@pytest.mark.parametrize("name", ["", "secret", "missing", "a/hidden"])
async def test_what_is_hidden_missing_or_not_named_is_left_to_who_answers(name: str) -> None:
    assert await Rates().nanos(name) == LEAST


async def test_a_prompt_is_no_longer_than_what_the_run_config_says_that_the_model_takes() -> None:
    assert await Rates().nanos("small") == cost(CHEAP, 50, 10)
    assert await Rates().nanos("small", requests=2) == cost(CHEAP, 100, 10)
    audio = {"type": "input_audio", "input_audio": {"data": "A" * 99}}
    heard = ChatRequest(model="any", messages=[{"role": "user", "content": [audio]}])
    long = Rates({"provider_id": "a", "model": "large", "price": CHEAP})
    assert await long.nanos("a/large", body=heard) == cost(CHEAP, bound_prompt(heard).tokens, 10)
    assert await Rates().nanos("small", body=heard, requests=0) == cost(CHEAP, 50, 10)


async def test_what_a_caller_says_of_a_model_that_it_registers_makes_no_call_cheaper() -> None:
    rates = Rates({"provider_id": "a", "model": "large", "price": CHEAP})
    await rates.models.register(model("mine", "large", context_length=1))
    assert await rates.nanos("mine") == cost(CHEAP, PROMPT, 10)


async def test_an_embedding_model_makes_no_tokens() -> None:
    body = EmbeddingsRequest(model="any", input="good day")
    assert await Rates().nanos("vectors", tokens=9999, body=body) == bound_prompt(body).tokens * 5 * NANOS // 10**6
