"""How many connections a provider has at most."""

from dataclasses import replace
from typing import Any

from pydantic import BaseModel
import pytest

from core.config.user_fields import machine_defaults, user_fields, view
from core.platform.machine import machine
from core.providers.bedrock import inference as bedrock
from core.providers.bedrock.guardrail_config import Config as GuardrailConfig
from core.providers.http.connections import MOST_CONNECTIONS, most_connections
from core.providers.nvidia import safety as nvidia
from core.providers.openai.config import config_of
from core.providers.sambanova import safety as sambanova

CONFIGS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (config_of("remote::vllm"), {"url": "http://gpu"}),
    (bedrock.Config, {}),
    (GuardrailConfig, {}),
    (nvidia.Config, {}),
    (sambanova.Config, {"api_key": "none-of-your-business"}),
]
configs = pytest.mark.parametrize(("config", "given"), CONFIGS)


@pytest.mark.parametrize(
    ("files", "connections"), [(256, 96), (1024, 480), (20_000, 9968), (1_048_576, 16_384), (None, 16_384), (64, 16)]
)
def test_on_a_machine_there_are_as_many_as_there_are_files_for(files: int | None, connections: int) -> None:
    assert most_connections(replace(machine(), kind="machine", open_files=files)) == connections


@pytest.mark.parametrize("files", [64, 1024, None])
def test_on_lambda_they_are_few_for_one_request_at_a_time(files: int | None) -> None:
    assert most_connections(replace(machine(), kind="lambda", open_files=files)) == 32


@configs
def test_the_default_is_taken_from_the_machine_and_says_so(config: type[BaseModel], given: dict[str, Any]) -> None:
    made = config.model_validate(given)
    assert view(made)["max_connections"] == most_connections(machine())
    assert machine_defaults(made) == ["max_connections"]


@configs
def test_who_sets_it_has_it(config: type[BaseModel], given: dict[str, Any]) -> None:
    made = config.model_validate({**given, "max_connections": 5})
    assert view(made)["max_connections"] == 5
    assert machine_defaults(made) == []
    assert "max_connections" in user_fields(config)


def test_its_description_says_where_the_default_comes_from() -> None:
    schema = config_of("remote::vllm").model_json_schema()["properties"]["max_connections"]
    assert schema["discovered"] == "open_files"
    assert "open" in schema["description"]
    assert "default" not in schema
    assert MOST_CONNECTIONS.description == schema["description"]
