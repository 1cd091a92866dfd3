"""The environment is read and written in one place."""

import os
from pathlib import Path

import pytest

from core.config.environment import config_path, environ, expand_home, parse_env_option, set_variables
from core.config.problems import ConfigInvalid


def test_the_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMBDA_TEST", "one")
    seen = environ()
    monkeypatch.setenv("LLAMBDA_TEST", "two")
    assert seen["LLAMBDA_TEST"] == "one"


def test_variables_that_are_set_are_seen_by_the_next_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMBDA_TEST", "one")
    set_variables({"LLAMBDA_TEST": "two"})
    assert environ()["LLAMBDA_TEST"] == os.environ["LLAMBDA_TEST"] == "two"


@pytest.mark.parametrize(("value", "expected"), [("a/b.json", Path("a/b.json")), ("", None)])
def test_the_config_path_comes_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: Path | None
) -> None:
    monkeypatch.setenv("LLAMBDA_CONFIG", value)
    assert config_path() == expected


def test_there_is_no_config_path_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMBDA_CONFIG", raising=False)
    assert config_path() is None


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("KEY=value", ("KEY", "value")),
        ("KEY=", ("KEY", "")),
        ("URL=http://h?a=b=c", ("URL", "http://h?a=b=c")),
        ("_a1= x ", ("_a1", " x ")),
    ],
)
def test_an_env_option_is_split_at_its_first_equals_sign(text: str, pair: tuple[str, str]) -> None:
    assert parse_env_option(text) == pair


@pytest.mark.parametrize("text", ["KEY", "", "1A=hunter2", "=hunter2", "A-B=hunter2", "A B=hunter2", "É=hunter2"])
def test_a_bad_env_option_says_the_form_and_not_the_value(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="KEY=VALUE") as raised:
        parse_env_option(text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.source == "--env"


def test_a_nul_in_a_value_is_refused_before_the_system_refuses_it() -> None:
    with pytest.raises(ConfigInvalid, match="KEY: the value has a NUL"):
        parse_env_option("KEY=a\0b")


def test_home_comes_from_the_variables_and_else_from_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/process")
    assert expand_home("~/x", {"HOME": "/home/me"}) == "/home/me/x"
    assert expand_home("~/x", {}) == "/home/process/x"
    assert expand_home("x/~", {}) == "x/~"
