"""The environment is read and written in one place."""

import os
from pathlib import Path

import pytest

from core.platform.environment import config_path, environ, expand_home, set_variables


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


def test_home_comes_from_the_variables_and_else_from_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/process")
    assert expand_home("~/x", {"HOME": "/home/me"}) == "/home/me/x"
    assert expand_home("~/x", {}) == "/home/process/x"
    assert expand_home("x/~", {}) == "x/~"
