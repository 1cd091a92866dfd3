"""The section `routing`, and targets of declared models: off unless they are there, and checked when they are."""

from typing import Any

import pytest

from core.config.document import CircuitConfig, RoutingConfig
from tests.unit.config.documents import loaded, problems, provider


def routing(**document: Any) -> RoutingConfig:
    found = loaded(**document)
    assert found.config is not None, found.problems
    return found.config.routing


@pytest.mark.parametrize("document", [{}, {"routing": None}, {"routing": {}}, {"routing": {"circuit": None}}])
def test_without_the_section_there_are_no_circuits(document: dict[str, Any]) -> None:
    assert routing(**document).circuit is None


def test_a_circuit_has_defaults_and_takes_what_the_environment_says() -> None:
    assert routing(routing={"circuit": {}}).circuit == CircuitConfig(failures=5, open_seconds=30.0)
    given = {"failures": "${env.N}", "open_seconds": 0.5}
    found = loaded({"N": "2"}, routing={"circuit": given}).config
    assert found is not None
    assert found.routing.circuit == CircuitConfig(failures=2, open_seconds=0.5)


def test_what_is_wrong_with_the_section_is_said_at_its_place() -> None:
    assert problems(routing={"circuits": {}}) == {
        "routing.circuits": "unknown key `circuits`; did you mean `circuit`?",
    }
    assert problems(routing={"circuit": {"failures": 0, "open_seconds": 0}}) == {
        "routing.circuit.failures": "must be at least 1, got 0",
        "routing.circuit.open_seconds": "must be more than 0, got 0",
    }
    assert set(problems(routing={"circuit": {"failures": 2.5, "open_seconds": True}})) == {
        "routing.circuit.failures",
        "routing.circuit.open_seconds",
    }


def model(*targets: dict[str, Any]) -> dict[str, Any]:
    return {"model_id": "mine", "provider_id": "a", "metadata": {"targets": list(targets)}}


def test_a_declared_target_names_a_provider_that_is_configured() -> None:
    good, bad = ({"provider_id": name, "provider_model_id": "m"} for name in ("b", "bb"))
    providers = {"inference": [provider("a"), provider("b")]}
    assert problems(providers=providers, models=[model(good)]) == {}
    found = problems(providers=providers, models=[model(good, bad)])
    message = "no inference provider is called `bb`; did you mean `b`? (configured: a, b)"
    assert found == {"models[0].metadata.targets[1].provider_id": message}


@pytest.mark.parametrize("targets", ["b", [None], [{"provider_id": 1}], {"provider_id": "b"}, None])
def test_a_declared_list_of_targets_that_is_none_is_one_problem(targets: Any) -> None:
    entry = {"model_id": "mine", "provider_id": "a", "metadata": {"targets": targets}}
    found = problems(providers={"inference": [provider("a")]}, models=[entry])
    assert list(found) == ["models[0]"]
    assert "targets" in found["models[0]"]
