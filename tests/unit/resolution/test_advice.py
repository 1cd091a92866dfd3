"""What is said of APIs and provider types that are not served: only what this build serves is advised."""

import re
from typing import Any

import pytest

from core.config.load import interpret
from core.resolution.check import check
from core.resolution.provider_types import INSTEAD, built_in

VLLM = {"provider_id": "v", "provider_type": "remote::vllm", "config": {"url": "http://h:1"}}


def problems(**more: Any) -> dict[str, str]:
    document = {"version": 2, "image_name": "t", "providers": {"inference": [VLLM]}, **more}
    loaded = interpret(document, {})
    return {problem.path: problem.message for problem in loaded.problems + check(loaded)}


@pytest.mark.parametrize(("api", "provider_type"), INSTEAD)
def test_only_types_that_are_served_are_advised(api: str, provider_type: str) -> None:
    entry = {"provider_id": "x", "provider_type": provider_type, "config": {}}
    providers = {"inference": [VLLM], api: [entry]}
    message = problems(providers=providers)[f"providers.{api}[0].provider_type"]
    assert f"`{provider_type}`" in message
    for advised in re.findall(r"(?:remote|inline)::[\w:-]+", message.replace(f"`{provider_type}`", "")):
        assert (api, advised) in built_in()
    assert ("; use " in message) == (api in {"inference", "safety", "vector_io"})


@pytest.mark.parametrize("more", [{}, {"providers": {"inference": [VLLM], "safety": []}}])
def test_an_api_that_no_provider_serves_is_a_mistake_that_says_what_to_add(more: dict[str, Any]) -> None:
    assert problems(apis=["inference", "safety"], **more) == {
        "apis[1]": "no provider serves API `safety`: add one to `providers.safety` (llambda providers list), or take it "
        "out of `apis`"
    }


def test_what_may_be_registered_later_or_needs_no_provider_is_none() -> None:
    assert problems(apis=["inference", "safety"], configurations={}) == {}
    assert problems(apis=["inference", "models", "shields", "inspect"]) == {}
    assert problems() == {}
