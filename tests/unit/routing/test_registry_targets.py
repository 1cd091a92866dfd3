"""Naming a target takes what registering the model there takes."""

from typing import Any

import pytest

from core.apis.inference import ModelType, ServedModel
from core.apis.manifests.inference import MODEL
from core.config.policy import AccessRule
from core.errors import ApiError, InvalidRequest, NotFound, PermissionDenied, ProviderUnavailable, UpstreamFailed
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from tests.fakes import FakeProvider, MemoryStore, served

ADA = Principal("ada", {})


def model(identifier: str, *targets: tuple[str, str], kind: ModelType = "llm", of: tuple[str, str] = ("a", "m")) -> Any:
    entries = [{"provider_id": provider_id, "provider_model_id": name} for provider_id, name in targets]
    return Resource("model", identifier, *of, {"metadata": {"targets": entries}, "model_type": kind})


def rule(verdict: str, *names: str) -> list[AccessRule]:
    actions = ["create", "read", "delete"]
    return [AccessRule.model_validate({verdict: {"actions": actions, "resource": f"model::{name}"}}) for name in names]


class Stack:
    def __init__(self, *rules: AccessRule, declared: tuple[Resource, ...] = ()) -> None:
        self.store = MemoryStore()
        embedding = ServedModel(id="e", model_type="embedding", metadata={})
        self.a, self.b = FakeProvider([served("m"), served("e2")]), FakeProvider([served("n"), served("x"), embedding])
        catalog = Catalog({"a": self.a.list_models, "b": self.b.list_models}, seconds=60)
        registry = Registry(MODEL, self.store, catalog, provider_ids=["a", "b"], declared=declared)
        self.models = GuardedRegistry(registry, Enforcement(Policy(rules or DEFAULT_POLICY)), ADA)

    async def refusal(self, wanted: Resource) -> ApiError:
        with pytest.raises(ApiError) as raised:
            await self.models.register(wanted)
        assert not self.store.rows
        return raised.value


async def test_a_target_that_its_provider_serves_is_registered() -> None:
    stack = Stack()
    await stack.models.register(model("mine", ("b", "n"), ("a", "m")))
    assert (await stack.models.get("mine")).attributes["metadata"]["targets"][0]["provider_id"] == "b"


async def test_a_target_at_an_unknown_provider_is_refused() -> None:
    refusal = await Stack().refusal(model("mine", ("b", "n"), ("c", "n")))
    assert isinstance(refusal, InvalidRequest)
    assert refusal.message == "Target provider `c` not found. Known: a, b."


async def test_a_target_that_its_provider_does_not_serve_is_refused() -> None:
    refusal = await Stack().refusal(model("mine", ("b", "m")))
    assert isinstance(refusal, InvalidRequest)
    assert refusal.message == "Provider `b` does not serve `m`. It serves: e, n, x."


async def test_a_target_whose_provider_cannot_be_asked_is_not_registered() -> None:
    stack = Stack()
    stack.b.down = UpstreamFailed("down")
    assert isinstance(await stack.refusal(model("mine", ("b", "n"))), ProviderUnavailable)


async def test_a_target_that_the_caller_may_not_read_cannot_be_named() -> None:
    rules = [*rule("forbid", "b/x"), *rule("permit", "*")]
    refusal = await Stack(*rules).refusal(model("mine", ("b", "n"), ("b", "x")))
    assert isinstance(refusal, PermissionDenied)
    missing = await Stack(*rule("forbid", "b/y"), *rule("permit", "*")).refusal(model("mine", ("b", "n"), ("b", "y")))
    assert missing.message == refusal.message.replace("b/x", "b/y")


async def test_a_name_that_is_permitted_opens_no_target_that_is_not() -> None:
    refusal = await Stack(*rule("permit", "mine", "a/*")).refusal(model("mine", ("b", "x")))
    assert isinstance(refusal, PermissionDenied)


async def test_a_rule_about_the_name_that_a_target_is_declared_as_decides_too() -> None:
    declared = (model("hidden", of=("b", "x")),)
    stack = Stack(*rule("forbid", "hidden"), *rule("permit", "*"), declared=declared)
    assert isinstance(await stack.refusal(model("mine", ("b", "x"))), PermissionDenied)


async def test_what_may_not_be_seen_is_not_named_as_served() -> None:
    stack = Stack(*rule("forbid", "b/x"), *rule("permit", "*"))
    refusal = await stack.refusal(model("mine", ("b", "nope")))
    assert refusal.message == "Provider `b` does not serve `nope`. It serves: e, n."


async def test_a_declared_model_with_a_target_that_is_forbidden_is_not_there() -> None:
    declared = (model("mine", ("b", "x")), model("yours", ("b", "n")))
    stack = Stack(*rule("forbid", "b/x"), *rule("permit", "*"), declared=declared)
    assert (await stack.models.get("yours")).identifier == "yours"
    with pytest.raises(NotFound):
        await stack.models.get("mine")
    listed = [row.identifier for row in (await stack.models.page(after="", limit=100)).resources]
    assert listed == ["yours", "a/e2", "a/m", "b/e", "b/n"]


async def test_a_target_of_another_type_is_refused() -> None:
    refusal = await Stack().refusal(model("mine", ("b", "e")))
    assert isinstance(refusal, InvalidRequest)
    assert refusal.message == "Target `b/e` is of model_type `embedding`, not `llm`."


async def test_what_is_declared_of_a_target_is_its_type_and_a_listing_that_cannot_tell_is_believed() -> None:
    declared = (model("emb", kind="embedding", of=("a", "e2")),)
    stack = Stack(declared=declared)
    assert isinstance(await stack.refusal(model("mine", ("a", "e2"))), InvalidRequest)
    await stack.models.register(model("one", ("a", "e2"), kind="embedding", of=("b", "e")))
    await Stack().models.register(model("two", ("a", "e2"), kind="embedding", of=("b", "e")))
