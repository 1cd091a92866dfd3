"""Which shields guard a call: what the model's owner, its places, the deployment and the caller's rules say, in this order."""

from dataclasses import replace
from typing import Any

import pytest

from core.apis.manifests.inference import MODEL
from core.apis.manifests.safety import SHIELD
from core.config.safety import SafetyConfig
from core.errors import ProviderUnavailable
from core.frame.callers import ANONYMOUS, Call, Principal, principal_of
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.routing.shields import ShieldPolicy
from tests.fakes import FakeProvider, MemoryStore, served

ADA, BOB = Call(Principal("ada", {"roles": ("student",)})), Call(Principal("bob", {}))
SAFETY = SafetyConfig.model_validate(
    {
        "default_shields": {"input": ["a", "default"], "output": ["out"]},
        "rules": [{"when": "user with student in roles", "shields": ["strict", "default"]}],
    }
)


def model(identifier: str, name: str = "m", before: tuple[str, ...] = (), *targets: str) -> Resource:
    entries = [{"provider_id": "p", "provider_model_id": target} for target in targets]
    metadata: dict[str, Any] = {"input_shields": list(before), "targets": entries}
    return Resource("model", identifier, "p", name, {"metadata": metadata, "model_type": "llm"})


def shield(identifier: str) -> Resource:
    return Resource("shield", identifier, "s", identifier, {"params": {}})


class World:
    def __init__(self, *declared: Resource, safety: SafetyConfig = SAFETY) -> None:
        self.store = MemoryStore()
        provider = FakeProvider([served("m"), served("n")])
        catalog = Catalog({"p": provider.list_models}, seconds=60)
        shields = [shield(name) for name in ("a", "b", "c", "default", "out", "strict")]
        self.models = Registry(MODEL, self.store, catalog, provider_ids=["p"], declared=declared)
        self.shields = Registry(SHIELD, self.store, Catalog({}, seconds=1), provider_ids=["s"], declared=shields)
        self.enforcement = Enforcement(Policy(DEFAULT_POLICY))
        self.policy = ShieldPolicy(safety, lambda: lambda call: self.seen_by(call, self.shields))

    def seen_by(self, call: Call | None, registry: Registry) -> GuardedRegistry:
        return GuardedRegistry(registry, self.enforcement, principal_of(call))

    async def register(self, call: Call, *resources: Resource) -> None:
        for resource in resources:
            registry = self.shields if resource.kind == "shield" else self.models
            await self.seen_by(call, registry).register(resource)

    async def names(self, call: Call, identifier: str) -> tuple[list[str], list[str]]:
        models = self.seen_by(call, self.models)
        return await self.policy.shields_of(call, await models.get(identifier), models)


async def test_all_that_apply_add_up_in_order_each_once() -> None:
    world = World(model("first", "m", ("c",), "n"), model("second", "m", ("b", "c")), model("third", "n", ("a",)))
    assert await world.names(ADA, "second") == (["b", "c", "a", "default", "strict"], ["out", "strict", "default"])
    assert await world.names(BOB, "third") == (["a", "c", "default"], ["out"])
    assert await world.names(BOB, "p/n") == (["a", "c", "default"], ["out"])
    await world.register(BOB, model("bobs", "n", ("b",), "m"))
    assert await world.names(BOB, "bobs") == (["b", "c", "a", "default"], ["out"])
    assert not (await world.models.registered_at("p", "m")).rows


async def test_what_a_shield_asks_is_guarded_as_its_caller_is_unless_it_is_for_a_verdict() -> None:
    world = World(model("guarded", "m", ("c",)))
    judged = replace(BOB, judging=("s/own",))
    assert await world.names(judged, "p/m") == (["c", "a", "default"], ["out"])
    assert await world.names(replace(judged, for_verdict=True), "p/m") == (["c"], [])


@pytest.mark.parametrize("by", [ADA, BOB])
async def test_a_name_that_is_no_shield_of_whoever_says_it_judges_nothing(by: Call) -> None:
    world = World(model("operators", "n", ("free",)))
    await world.register(BOB, model("bobs", "m", ("free",)))
    await world.register(by, shield("free"))
    with pytest.raises(ProviderUnavailable, match="does not declare"):
        await world.names(BOB, "p/n")
    if by is BOB:
        assert (await world.names(ADA, "bobs"))[0][0] == "free"
    else:
        with pytest.raises(ProviderUnavailable, match="`free`, which does not exist"):
            await world.names(BOB, "bobs")


async def test_without_auth_a_place_has_the_shields_of_all_that_is_registered_there_but_not_of_declared_names() -> None:
    world = World(model("declared"), safety=SafetyConfig())
    anybody = Call(ANONYMOUS)
    await world.register(anybody, model("plain"), model("behind", "n", (), "m"), model("guarded", "m", ("free",)))
    for name in ("plain", "guarded", "behind", "p/m"):
        assert await world.names(anybody, name) == (["free"], []), name
    reads = world.store.reads
    assert await world.names(anybody, "declared") == ([], [])
    assert await world.names(anybody, "p/m") == (["free"], [])
    assert world.store.reads == reads
