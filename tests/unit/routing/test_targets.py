"""In which order the targets of a model are tried, and who may use a model that is served in several places."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.manifests.inference import MODEL
from core.config.policy import AccessRule
from core.errors import NotFound
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import Policy
from core.routing.registry import Registry
from core.routing.targets import Target, alternates, order_targets, targets_of
from tests.fakes import MemoryStore

ADA = Principal("ada", {})
TARGETS = st.lists(
    st.builds(
        Target,
        st.sampled_from("abc"),
        st.text(max_size=2),
        st.integers(0, 3),
        st.floats(min_value=0, max_value=1_000_000, exclude_min=True) | st.integers(1, 1_000_000),
    ),
    max_size=9,
)


def drawn(seed: int) -> Callable[[], float]:
    return Random(seed).random  # noqa: S311 - chance that can be repeated


def model(*targets: dict[str, Any], identifier: str = "mine") -> Resource:
    return Resource("model", identifier, "a", "m", {"metadata": {"targets": list(targets)}, "model_type": "llm"})


def at(provider_id: str, name: str = "m", **more: Any) -> dict[str, Any]:
    return {"provider_id": provider_id, "provider_model_id": name, **more}


@given(TARGETS, st.integers())
def test_every_order_has_every_target_once_and_lower_priorities_first(targets: list[Target], seed: int) -> None:
    found = order_targets(targets, drawn(seed))
    assert Counter(found) == Counter(targets)
    assert [target.priority for target in found] == sorted(target.priority for target in targets)


def test_within_a_priority_the_weights_are_the_odds_of_being_next() -> None:
    targets = [Target("a", "m", weight=6), Target("b", "m", weight=3), Target("c", "m", weight=1), Target("z", "m", 1)]
    draw = drawn(7)
    orders = [[target.provider_id for target in order_targets(targets, draw)] for _ in range(20_000)]
    firsts = Counter(order[0] for order in orders)
    assert [round(firsts[name] / 20_000, 1) for name in "abcz"] == [0.6, 0.3, 0.1, 0]
    seconds = Counter(order[1] for order in orders if order[0] == "a")
    assert seconds["b"] / firsts["a"] == pytest.approx(0.75, abs=0.02)  # 3 of the 3 + 1 that are left
    assert {order[3] for order in orders} == {"z"}


def test_a_models_own_provider_is_a_target_too() -> None:
    assert targets_of(model(at("b", priority=1, weight=2, timeout=3))) == [
        Target("a", "m"),
        Target("b", "m", 1, 2, 3),
    ]
    assert targets_of(model(at("b"), at("a", priority=5))) == [Target("b", "m"), Target("a", "m", 5)]
    assert targets_of(Resource("model", "mine", "a", "m", {"metadata": {}})) == [Target("a", "m")]
    assert targets_of(Resource("shield", "mine", "a", "m", {"params": {}})) == [Target("a", "m")]


def test_a_providers_own_name_of_a_model_means_that_provider_alone() -> None:
    assert targets_of(model(at("b"), identifier="a/m")) == [Target("a", "m")]


def test_alternates_are_the_targets_but_its_own() -> None:
    places = alternates(model(at("b"), at("a"), at("a", "n")))
    assert [(place.identifier, place.provider_id, place.provider_resource_id) for place in places] == [
        ("mine", "b", "m"),
        ("mine", "a", "n"),
    ]


def guarded(rules: list[AccessRule], principal: Principal | None) -> GuardedRegistry:
    registry = Registry(MODEL, MemoryStore(), Catalog({}, seconds=60), provider_ids=["a"], declared=[model(at("b"))])
    return GuardedRegistry(registry, Enforcement(Policy(rules)), principal)


def rule(verdict: str, name: str) -> AccessRule:
    return AccessRule.model_validate({verdict: {"actions": ["read"], "resource": f"model::{name}"}})


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([rule("permit", "*")], True),
        ([rule("permit", "mine")], True),
        ([rule("forbid", "b/m"), rule("permit", "*")], False),
        ([rule("forbid", "a/m"), rule("permit", "*")], False),
        ([rule("forbid", "b/other"), rule("permit", "*")], True),
        ([rule("permit", "a/*")], False),
        ([rule("permit", "b/*")], False),
        ([rule("permit", "a/*"), rule("permit", "b/*")], True),
        ([rule("permit", "mine"), rule("forbid", "b/m")], True),
        ([], False),
    ],
)
async def test_a_model_may_be_used_if_it_may_be_used_at_each_of_its_targets(
    rules: list[AccessRule], *, allowed: bool
) -> None:
    if allowed:
        await guarded(rules, ADA).get("mine")
    else:
        with pytest.raises(NotFound):
            await guarded(rules, ADA).get("mine")
    await guarded(rules, None).get("mine")


async def test_its_providers_own_name_is_not_hidden_by_a_target() -> None:
    assert (await guarded([rule("permit", "a/*")], ADA).get("a/m")).identifier == "a/m"
