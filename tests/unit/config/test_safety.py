"""The `safety` section names shields that the run config declares, for requests, for replies or for both."""

from typing import Any

import pytest

from core.config.load import interpret

PROVIDER = {"provider_id": "llama", "provider_type": "inline::llama-guard"}
SHIELDS = [{"shield_id": "guard", "provider_shield_id": "g", "provider_id": "llama"}, {"provider_shield_id": "other"}]


def problems(safety: Any) -> dict[str, str]:
    document = {"image_name": "t", "providers": {"safety": [PROVIDER]}, "shields": SHIELDS, "safety": safety}
    return {problem.path: problem.message for problem in interpret({"version": 2, **document}, {}).problems}


@pytest.mark.parametrize(
    "safety",
    [
        None,
        {},
        {"default_shield_id": None},
        {"default_shield_id": ""},
        {"default_shield_id": "of-the-reference"},
        {"default_shields": []},
        {"default_shields": ["guard", "llama/g", "other"]},
        {"default_shields": {"output": ["guard"]}},
        {"rules": [{"when": "user with a in roles", "shields": ["guard"], "description": "why"}]},
        {"rules": [{"unless": ["user is owner", "resource is unowned"], "shields": {"input": ["other"]}}]},
    ],
)
def test_what_names_declared_shields_is_fine(safety: Any) -> None:
    assert problems(safety) == {}


RULE = {"when": "user is owner", "shields": ["guard"]}


@pytest.mark.parametrize(
    ("safety", "path", "words"),
    [
        ({"default_shield": ["guard"]}, "safety.default_shield", "did you mean `default_shields`"),
        ({"default_shields": ["guards"]}, "safety.default_shields[0]", "did you mean `guard`"),
        ({"default_shields": {"output": ["guard", "x"]}}, "safety.default_shields.output[1]", "no shield `x`"),
        ({"rules": [RULE, {**RULE, "shields": ["x"]}]}, "safety.rules[1].shields[0]", "no shield `x`"),
        ({"rules": [{"shields": ["guard"]}]}, "safety.rules[0]", "exactly one of `when` and `unless`"),
        ({"rules": [{**RULE, "unless": "user is owner"}]}, "safety.rules[0]", "exactly one of `when` and `unless`"),
        ({"rules": [{**RULE, "when": "user is nice"}]}, "safety.rules[0].when", "is not a condition"),
        ({"rules": [{"when": "user is owner"}]}, "safety.rules[0].shields", "required"),
        ({"default_shields": "guard"}, "safety.default_shields", "must be a mapping"),
        ({"default_shields": {"input": "guard"}}, "safety.default_shields.input", "must be a list"),
    ],
)
def test_what_would_guard_nothing_is_a_mistake(safety: Any, path: str, words: str) -> None:
    assert words in problems(safety).get(path, f"nothing, but {problems(safety)}")


@pytest.mark.parametrize("value", [None, [], {}, 5, "x", [None], [["guard"]], {"a": None}, {"input": [{}]}])
@pytest.mark.parametrize("key", ["default_shield_id", "default_shields", "rules"])
def test_no_shape_makes_loading_fail(key: str, value: Any) -> None:
    problems({key: value})
    problems({"rules": [{"when": "user is owner", key: value, "shields": value}]})
