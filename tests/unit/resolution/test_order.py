"""What is needed comes first, nothing else comes at all, and a circle is named."""

import pytest

from core.resolution.order import DependencyCycle, dependency_order


def test_dependencies_come_first_and_strangers_not_at_all() -> None:
    needs = {"agents": {"safety", "inference"}, "safety": {"inference"}, "eval": {"agents"}}
    order = dependency_order(["agents"], needs)
    assert sorted(order) == ["agents", "inference", "safety"]
    assert order.index("inference") < order.index("safety") < order.index("agents")


def test_a_cycle_names_its_members() -> None:
    with pytest.raises(DependencyCycle, match=r"in a circle: . -> . -> . -> .") as cycle:
        dependency_order(["a"], {"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert set(cycle.value.members) == {"a", "b", "c"}


def test_an_api_may_need_itself_in_no_way() -> None:
    with pytest.raises(DependencyCycle):
        dependency_order(["a"], {"a": {"a"}})
