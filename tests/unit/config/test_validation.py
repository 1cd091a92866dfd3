"""What is validated gets the types that it has and the text that it was given; messages are plain and keep secrets."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
import pytest

from tests.unit.config.documents import loaded, problems, provider


class Config(BaseModel):
    """A provider's, as strict about text as they are."""

    model_config = ConfigDict(extra="forbid")

    url: str
    token: SecretStr = SecretStr("")
    verify: bool | str = True
    timeout: float = 1.0
    size: int | None = None
    mode: Literal["a", "b"] = "a"


def test_wrong_types_are_said_plainly() -> None:
    found = problems(
        server={"port": "abc", "tls_certfile": 5, "quota": [1], "host": {"a": 1}},
        providers={"inference": {"a": 1}, "safety": [5], "eval": [provider(name=True)]},
        registry={"cache_seconds": "soon"},
        logging=None,
        apis="inference",
        container_image=True,
    )
    assert found == {
        "server.port": "must be an integer, got 'abc'",
        "server.tls_certfile": "must be text, got 5",
        "server.quota": "must be a mapping, got a list",
        "server.host": "must be text, got a mapping",
        "providers.inference": "must be a list, got a mapping",
        "providers.safety[0]": "must be a mapping, got 5",
        "providers.eval[0].provider_id": "must be text, got true",
        "registry.cache_seconds": "must be a number, got 'soon'",
        "apis": "must be a list",
        "container_image": "must be text, got true",
    }


@pytest.mark.parametrize("text", ["12345678", "007", "1.10", "1.5", "true", "True", "-0", "1e5", "null", "~x"])
def test_a_field_of_type_text_gets_what_the_environment_said(text: str) -> None:
    found = loaded(
        {"V": text},
        providers={"inference": [provider("${env.V}", token="${env.V}", url="u")]},
        models=[{"model_id": "${env.V}", "provider_id": "${env.V}"}],
        shields=[{"shield_id": "${env.V}", "params": {"version": "${env.V}"}}],
        container_image="${env.V}",
    )
    assert found.problems == []
    assert found.config is not None
    entry = found.config.providers["inference"][0]
    config, wrong = found.check(Config, entry.config, "providers.inference[0].config")
    assert wrong == []
    assert config is not None
    assert config.token.get_secret_value() == text
    model, shield = found.config.resources["models"][0], found.config.resources["shields"][0]
    assert (entry.provider_id, model["model_id"], model["provider_id"]) == (text, text, text)
    assert (shield["shield_id"], found.config.container_image) == (text, text)


def test_other_fields_get_the_type_that_they_have() -> None:
    config = {"url": "u", "verify": "${env.B}", "timeout": "${env.F}", "size": "${env.I}"}
    found = loaded({"B": "false", "F": "1.10", "I": "7"}, providers={"inference": [provider(**config)]})
    checked, _ = found.check(
        Config, found.document["providers"]["inference"][0]["config"], "providers.inference[0].config"
    )
    assert checked == Config(url="u", verify=False, timeout=1.1, size=7)


def test_values_that_were_not_in_the_environment_are_not_turned_into_text() -> None:
    found = loaded(providers={"inference": [provider(url=5)]})
    _, wrong = found.check(Config, {"url": 5}, "providers.inference[0].config")
    assert [str(problem) for problem in wrong] == ["providers.inference[0].config.url: must be text"]


def test_a_providers_config_is_checked_in_the_same_words_and_without_its_values() -> None:
    config = {"ulr": "hunter2", "token": ["hunter2"], "verify": {}, "mode": "hunter2", "size": "hunter2"}
    found = loaded({"OFF": ""}, providers={"inference": [provider("${env.OFF:+x}"), provider(**config)]})
    _, wrong = found.check(Config, config, "providers.inference[0].config")
    assert {problem.path.removeprefix("providers.inference[1].config."): problem.message for problem in wrong} == {
        "url": "is required",
        "token": "must be text",
        "verify": "must be true or false or text",
        "mode": "must be 'a' or 'b'",
        "size": "must be an integer",
        "ulr": "unknown key `ulr`; did you mean `url`?",
    }


def test_a_check_leaves_out_what_follows_from_a_missing_variable() -> None:
    found = loaded(providers={"inference": [provider(url="u", size="${env.SIZE}", mode="c")]})
    config = found.document["providers"]["inference"][0]["config"]
    _, wrong = found.check(Config, config, "providers.inference[0].config")
    assert [problem.path for problem in wrong] == ["providers.inference[0].config.mode"]


def test_a_secret_is_never_repeated_by_a_message() -> None:
    secret = "hunter2"
    found = problems(
        {"S": secret},
        providers={"inference": [{"provider_id": "a", "provider_type": "b", "config": secret, "api_key": secret}]},
        server={"auth": secret, "quota": {"token": secret}, "port": f"http://u:{secret}@h"},
        metadata_store={"type": "sqlite", "db_path": "x", "password": "${env.S}"},
        models=[{"model_id": {"token": secret}}],
    )
    assert len(found) == 8
    assert all(secret not in message for message in found.values())


def test_a_long_value_is_cut() -> None:
    assert len(problems(server={"port": "x" * 1000})["server.port"]) < 100


def test_nested_models_suggest_their_own_keys_and_other_limits_are_said_as_pydantic_has_them() -> None:
    class Part(BaseModel, extra="forbid"):
        weight: int = 1

    type Parts = dict[str, list[Part]]

    class Whole(BaseModel):
        parts: Parts = {}
        tags: Annotated[list[str], Field(min_length=1)] = ["x"]

    _, wrong = loaded().check(Whole, {"parts": {"a": [{"weightt": 1}]}, "tags": []}, "")
    assert [problem.path for problem in wrong] == ["parts.a[0].weightt", "tags"]
    assert wrong[0].message == "unknown key `weightt`; did you mean `weight`?"
    assert "at least 1 item" in wrong[1].message


def test_a_number_from_the_environment_that_is_out_of_bounds_is_shown() -> None:
    found = problems({"PORT": "99999"}, server={"port": "${env.PORT}"})
    assert found == {"server.port": "must be at most 65535, got 99999"}
