"""What a caller may not read does not exist for it; what it may not change is a 403."""

import asyncio
from typing import Any

import pytest

from core.apis.manifests.inference import MODEL
from core.config.policy import AccessRule
from core.errors import ApiError, Conflict, InvalidRequest, NotFound, PermissionDenied
from core.frame.callers import ANONYMOUS, Call, Grant, Principal, principal_of
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry, LastDecision
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from tests.fakes import Clock, FakeProvider, MemoryStore, served

ADA = Principal("ada", {"roles": ("ada",), "teams": ("red",)})
BOB = Principal("bob", {"roles": ("bob",), "teams": ("blue",)})
EVERYTHING = ["create", "read", "update", "delete"]


def rule(verdict: str, actions: list[str] = EVERYTHING, **more: Any) -> AccessRule:
    scope = {key: more.pop(key) for key in ("principal", "resource") if key in more}
    return AccessRule.model_validate({verdict: {"actions": actions, **scope}, **more})


def model(identifier: str, name: str = "m") -> Resource:
    return Resource("model", identifier, "a", name, {"metadata": {}, "model_type": "llm"})


class Stack:
    """As of a process: all callers share the last decision."""

    def __init__(self, *rules: AccessRule, declared: tuple[Resource, ...] = ()) -> None:
        self.clock, self.store, self.slept = Clock(), MemoryStore(), list[float]()
        self.last = LastDecision()
        self.provider = FakeProvider([served("m"), served("secret")])
        catalog = Catalog({"a": self.provider.list_models}, seconds=60)
        self.registry = Registry(MODEL, self.store, catalog, provider_ids=["a"], declared=declared)
        self.enforcement = Enforcement(Policy(rules or DEFAULT_POLICY), 0.025, self.clock, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def seen_by(self, principal: Principal | None) -> GuardedRegistry:
        return GuardedRegistry(self.registry, self.enforcement, principal, last=self.last)

    async def ids(self, principal: Principal | None) -> list[str]:
        return [row.identifier for row in (await self.seen_by(principal).page(after="", limit=1000)).resources]


async def refusal(work: Any) -> tuple[type[ApiError], str]:
    with pytest.raises(ApiError) as raised:
        await work
    return type(raised.value), raised.value.message


async def test_another_tenants_model_cannot_be_read_used_listed_deleted_or_told_from_a_missing_one() -> None:
    stack = Stack()
    ada, bob = stack.seen_by(ADA), stack.seen_by(BOB)
    assert (await ada.register(model("mine"))).owner == {
        "principal": "ada",
        "attributes": {"roles": ["ada"], "teams": ["red"]},
    }
    assert (await ada.get("mine")).identifier == "mine"
    hidden = [await refusal(bob.get("mine")), await refusal(bob.unregister("mine"))]
    missing = [await refusal(bob.get("none")), await refusal(bob.unregister("none"))]
    assert [(kind, text.replace("mine", "none")) for kind, text in hidden] == missing
    assert {kind for kind, _ in hidden} == {NotFound}
    assert await stack.ids(BOB) == ["a/m", "a/secret"]
    assert await stack.ids(ADA) == ["a/m", "a/secret", "mine"]
    await ada.unregister("mine")
    assert not stack.store.rows


async def test_a_call_resolves_a_resource_once_and_the_next_call_sees_what_has_changed() -> None:
    stack = Stack()
    await stack.seen_by(ADA).register(model("mine"))
    call, earlier = stack.seen_by(ADA), stack.store.reads
    assert await call.get("mine") is await call.get("mine")
    assert stack.store.reads == earlier + 1
    await stack.seen_by(ADA).unregister("mine")
    assert (await call.get("mine")).identifier == "mine"
    with pytest.raises(NotFound):
        await stack.seen_by(ADA).get("mine")


async def test_the_stack_itself_is_not_one_call_and_reads_again() -> None:
    stack = Stack()
    itself = stack.seen_by(None)
    await itself.register(model("mine"))
    await itself.get("mine")
    await stack.seen_by(None).unregister("mine")
    with pytest.raises(NotFound):
        await itself.get("mine")


async def test_a_taken_name_tells_nothing_of_what_has_it() -> None:
    stack = Stack()
    await stack.seen_by(ADA).register(model("mine", "secret"))
    other, same = model("mine", "m"), model("mine", "secret")
    for wanted in (other, same):
        kind, text = await refusal(stack.seen_by(BOB).register(wanted))
        assert (kind, text) == (Conflict, "`mine` is taken. Choose another identifier.")
    kind, text = await refusal(stack.seen_by(ADA).register(other))
    assert kind is Conflict
    assert "mine" in text


async def test_the_providers_own_name_of_a_model_belongs_to_nobody_who_registers_another() -> None:
    stack = Stack()
    await stack.seen_by(ADA).register(model("mine"))
    found = await stack.seen_by(BOB).get("a/m")
    assert (found.identifier, found.owner) == ("a/m", None)


async def test_what_may_be_read_but_not_deleted_is_a_403() -> None:
    stack = Stack(rule("permit", ["read"]), rule("permit", ["create"], principal="ada"))
    await stack.seen_by(ADA).register(model("shared"))
    kind, text = await refusal(stack.seen_by(BOB).unregister("shared"))
    assert (kind, text) == (PermissionDenied, "The access policy does not let you delete the model `shared`.")
    assert (await refusal(stack.seen_by(BOB).register(model("new"))))[0] is PermissionDenied
    assert ("model", "shared") in stack.store.rows


async def test_a_name_of_ones_own_does_not_open_what_may_not_be_read() -> None:
    stack = Stack(rule("permit", resource="model::ada-*"), rule("permit", ["read"], resource="model::a/m"))
    ada = stack.seen_by(ADA)
    assert (await ada.register(model("ada-1", "m"))).identifier == "ada-1"
    assert (await refusal(ada.register(model("ada-2", "secret"))))[0] is PermissionDenied


async def test_what_a_forbidden_name_means_is_forbidden_under_its_other_name_too() -> None:
    declared = (model("small", "m"),)
    by_name = Stack(rule("forbid", resource="model::small"), rule("permit"), declared=declared)
    by_provider = Stack(rule("forbid", resource="model::a/m"), rule("permit"), declared=declared)
    for stack in (by_name, by_provider):
        for name in ("small", "a/m"):
            assert (await refusal(stack.seen_by(ADA).get(name)))[0] is NotFound
        assert await stack.ids(ADA) == ["a/secret"]


async def test_what_is_declared_and_hidden_is_not_said_to_be_declared() -> None:
    stack = Stack(rule("forbid", resource="model::small"), rule("permit"), declared=(model("small"),))
    assert (await refusal(stack.seen_by(ADA).unregister("small")))[0] is NotFound
    assert (await refusal(stack.seen_by(None).unregister("small")))[0] is Conflict


async def test_a_refusal_names_only_what_may_be_read() -> None:
    stack = Stack(rule("forbid", ["read"], resource="model::a/secret"), rule("permit"))
    kind, text = await refusal(stack.seen_by(ADA).register(model("x", "nothing")))
    assert kind is InvalidRequest
    assert "It serves: m." in text


async def test_pages_and_their_more_speak_of_what_may_be_read_alone() -> None:
    stack = Stack()
    for number in range(120):
        owner = ADA if number in {0, 40, 80, 119} else BOB
        await stack.seen_by(owner).register(model(f"r{number:03}"))
    ada = stack.seen_by(ADA)
    seen, after, sizes = list[str](), "", list[int]()
    while True:
        page = await ada.page(after=after, limit=2)
        seen += [row.identifier for row in page.resources]
        sizes.append(len(page.resources))
        if not page.has_more:
            break
        after = seen[-1]
    assert seen == ["a/m", "a/secret", "r000", "r040", "r080", "r119"]
    assert sizes == [2, 2, 2]
    assert (await ada.page(after="", limit=5)).has_more
    assert not (await ada.page(after="r119", limit=1)).resources


async def test_a_page_after_what_is_declared_and_hidden_is_the_one_after_what_is_not_there() -> None:
    hide = rule("forbid", ["read"], resource="model::hidden")
    stack = Stack(hide, rule("permit"), declared=(model("open", "x"), model("hidden", "y"), model("last", "z")))
    await stack.store.create(model("z"))
    ada = stack.seen_by(ADA)

    async def after(name: str) -> list[str]:
        return [row.identifier for row in (await ada.page(after=name, limit=1000)).resources]

    assert await after("") == ["open", "last", "a/m", "a/secret", "z"]
    assert await after("hidden") == await after("hidde") == ["z"]
    assert await after("open") == ["last", "a/m", "a/secret", "z"]
    assert [row.identifier for row in (await ada.page(after="open", limit=1)).resources] == ["last"]


async def test_every_404_leaves_at_the_same_time_whatever_it_took_to_find_out() -> None:
    stack = Stack()
    await stack.seen_by(ADA).register(model("mine"))
    for identifier in ("mine", "none", "a/none"):
        for work in (stack.seen_by(BOB).get, stack.seen_by(BOB).unregister):
            await refusal(work(identifier))
    assert stack.slept == [0.025] * 6
    await stack.seen_by(ADA).get("mine")
    assert len(stack.slept) == 6


async def test_time_that_was_spent_is_not_spent_again() -> None:
    stack = Stack()

    async def slow(kind: str, identifier: str) -> None:
        del kind, identifier
        stack.clock.now += 0.02 if len(stack.slept) == 0 else 1.0

    stack.store.get = slow  # type: ignore[method-assign]
    for _ in range(2):
        await refusal(stack.seen_by(BOB).get("none"))
    assert stack.slept == [pytest.approx(0.005)]


async def test_without_auth_every_caller_is_the_same_and_what_is_owned_stays_hidden() -> None:
    stack = Stack()
    assert (await stack.seen_by(ANONYMOUS).register(model("open"))).owner is None
    await stack.seen_by(ADA).register(model("mine"))
    assert await stack.ids(ANONYMOUS) == ["a/m", "a/secret", "open"]
    assert await stack.ids(None) == ["a/m", "a/secret", "mine", "open"]


async def test_of_two_that_register_one_name_at_once_the_loser_learns_nothing() -> None:
    stack = Stack()
    work = [stack.seen_by(who).register(model("same")) for who in (ADA, BOB)]
    first, second = await asyncio.gather(*work, return_exceptions=True)
    assert isinstance(first, Resource)
    assert isinstance(second, Conflict)
    assert "taken" in second.message


HELD = Principal("ada", {"roles": ("ada",)}, "api_key", grant=Grant(("small", "team-*")))


def alternating(identifier: str, *others: str) -> Resource:
    targets = [{"provider_id": "a", "provider_model_id": name} for name in others]
    return Resource("model", identifier, "a", "m", {"metadata": {"targets": targets}, "model_type": "llm"})


async def test_a_key_for_some_models_finds_no_others_under_any_name() -> None:
    stack = Stack(rule("permit"), declared=(model("small"), model("other", "secret")))
    assert await stack.ids(HELD) == ["small", "a/m"]
    held = stack.seen_by(HELD)
    assert (await held.get("a/m")).provider_resource_id == "m"
    for name in ("other", "a/secret"):
        kind, _ = await refusal(stack.seen_by(HELD).get(name))
        assert kind is NotFound
    assert stack.slept
    assert stack.seen_by(HELD).readable(["small", "other"]) == [model("small")]


async def test_no_name_that_a_key_is_for_opens_what_it_is_not_for() -> None:
    stack = Stack(rule("permit"), declared=(model("small"),))
    kind, _ = await refusal(stack.seen_by(HELD).register(model("team-big", "secret")))
    assert kind is PermissionDenied
    await stack.seen_by(BOB).register(model("bobs", "secret"))
    kind, _ = await refusal(stack.seen_by(HELD).unregister("bobs"))
    assert kind is NotFound


async def test_a_model_with_targets_is_for_a_key_by_its_id_or_by_all_of_its_places() -> None:
    stack = Stack(rule("permit"), declared=(alternating("small", "secret"), alternating("wide", "secret")))
    for models, names in (
        (("small",), {"small", "a/m"}),
        (("a/m",), {"a/m"}),
        (("a/*",), {"small", "wide", "a/m", "a/secret"}),
    ):
        key = Principal("ada", {}, "api_key", grant=Grant(models))
        assert set(await stack.ids(key)) == names, models


async def test_what_a_call_causes_is_held_to_its_key_and_the_stacks_own_calls_are_not() -> None:
    stack = Stack(rule("permit"), declared=(model("small"), model("other", "secret")))
    call = Call(HELD)
    kind, _ = await refusal(stack.seen_by(principal_of(call.cause())).get("other"))
    assert kind is NotFound
    assert (await stack.seen_by(principal_of(call.cause(internal=True))).get("other")).identifier == "other"


async def test_a_price_takes_a_rule_that_names_prices_of_everybody_but_the_stack_itself() -> None:
    priced = Resource("model", "mine", "a", "m", {"metadata": {"price": {"input": 0}}, "model_type": "llm"})
    everything, named = rule("permit"), rule("permit", ["create"], resource="price::mi*", principal="ada")
    for principal in (ADA, BOB, ANONYMOUS):
        kind, said = await refusal(Stack(everything).seen_by(principal).register(priced))
        assert kind is PermissionDenied
        assert "No rule of the access policy lets you create `price::mine`. It takes one of its own" in said
    assert (await refusal(Stack().seen_by(ANONYMOUS).register(priced)))[0] is PermissionDenied
    assert (await refusal(Stack(named, everything).seen_by(BOB).register(priced)))[0] is PermissionDenied
    assert (await Stack(named, everything).seen_by(ADA).register(priced)).identifier == "mine"
    assert (await Stack(everything).seen_by(None).register(priced)).identifier == "mine"
