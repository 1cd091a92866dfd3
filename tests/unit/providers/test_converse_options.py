"""The rest of a chat request: what Converse has a word for, what means nothing to it, and what it would get wrong."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import UNKNOWN, family_of
from core.providers.bedrock.converse.options import (
    DROPPED,
    NO_EQUIVALENT,
    OTHERS,
    refuse_fields_without_equivalent,
    to_guardrail_config,
    to_model_fields,
    to_request_metadata,
    to_service_tier,
    to_top_k,
)

GUARDRAIL: JsonObject = {"guardrailIdentifier": "abc", "guardrailVersion": "1", "trace": "enabled"}


@pytest.mark.parametrize("name", ["guardrail_config", "guardrailConfig"])
def test_a_guardrail_is_handed_on(name: str) -> None:
    assert to_guardrail_config({name: GUARDRAIL}, stream=False) == GUARDRAIL
    streamed = GUARDRAIL | {"streamProcessingMode": "async"}
    assert to_guardrail_config({name: streamed}, stream=True) == streamed
    assert to_guardrail_config({}, stream=False) == {}


@pytest.mark.parametrize(
    ("config", "param"),
    [
        (1, "guardrail_config"),
        ({"guardrailVersion": 1}, "guardrail_config.guardrailVersion"),
        ({"id": "abc"}, "guardrail_config.id"),
        ({"streamProcessingMode": "sync"}, "guardrail_config.streamProcessingMode"),
    ],
)
def test_a_guardrail_that_converse_does_not_know_is_refused(config: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_guardrail_config({"guardrail_config": config}, stream=False)
    assert refusal.value.param == param


def test_what_nobody_here_knows_is_the_models_and_the_explicit_fields_win() -> None:
    given: JsonObject = {
        "wish": 40,
        "thinking": {"type": "enabled"},
        "additional_model_request_fields": {"wish": 5},
        "temperature": 0.5,
        "n": 1,
        **dict.fromkeys(DROPPED | OTHERS, "x"),
    }
    assert to_model_fields(given, UNKNOWN) == {"wish": 5, "thinking": {"type": "enabled"}}
    with pytest.raises(InvalidRequest) as refusal:
        to_model_fields({"additional_model_request_fields": []}, UNKNOWN)
    assert refusal.value.param == "additional_model_request_fields"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"voice": "alloy"}),
        ("frequency_penalty", 0.5),
        ("logit_bias", {"1": 5}),
        ("logprobs", True),
        ("modalities", ["text", "audio"]),
        ("n", 2),
        ("moderation", {"model": "omni"}),
        ("presence_penalty", -1),
        ("top_logprobs", 3),
        ("verbosity", "low"),
        ("web_search_options", {}),
        ("repetition_penalty", 1.1),
        ("min_p", 0.05),
        ("guided_json", {"type": "object"}),
        ("chat_template_kwargs", {"enable_thinking": False}),
        ("models", ["a/b"]),
    ],
)
def test_what_would_be_lost_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="no equivalent") as refusal:
        refuse_fields_without_equivalent({name: value})
    assert refusal.value.param == name


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, harmless in NO_EQUIVALENT.items() for value in harmless]
)
def test_what_asks_for_nothing_is_left_out(name: str, value: Any) -> None:
    refuse_fields_without_equivalent({name: value})
    assert to_model_fields({name: value}, UNKNOWN) == {}


def test_no_thinking_is_nothing_to_a_model_that_has_none() -> None:
    thinking: JsonObject = {"thinking": {"type": "disabled"}}
    assert to_model_fields(thinking, family_of("amazon.nova-pro-v1:0")) == {}
    assert to_model_fields(thinking, family_of("anthropic.claude-sonnet-4-5-20250929-v1:0")) == thinking


@pytest.mark.parametrize(
    ("model", "value", "wanted"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 5, {"top_k": 5}),
        ("us.amazon.nova-lite-v1:0", 5, {"inferenceConfig": {"topK": 5}}),
        ("somebodys-own", 5, {"top_k": 5}),
        ("meta.llama3-3-70b-instruct-v1:0", -1, {}),
        ("us.anthropic.claude-opus-4-7", 5, {}),
        ("meta.llama3-3-70b-instruct-v1:0", 0, {}),
    ],
)
def test_top_k_is_where_the_model_has_it(model: str, value: int, wanted: JsonObject) -> None:
    assert to_top_k(value, family_of(model)) == wanted


def test_top_k_is_refused_where_there_is_none() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_top_k(5, family_of("meta.llama3-3-70b-instruct-v1:0"))
    assert refusal.value.param == "top_k"


@pytest.mark.parametrize(
    ("model", "tier", "wanted"),
    [
        ("us.amazon.nova-pro-v1:0", "flex", {"type": "flex"}),
        ("openai.gpt-oss-120b-1:0", "priority", {"type": "priority"}),
        ("us.amazon.nova-pro-v1:0", "auto", {}),
        ("us.amazon.nova-pro-v1:0", "scale", {}),
        ("us.amazon.nova-pro-v1:0", ["flex"], {}),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "flex", {}),
    ],
)
def test_a_service_tier_is_asked_for_where_there_are_some(model: str, tier: object, wanted: JsonObject) -> None:
    assert to_service_tier({"service_tier": tier}, family_of(model)) == wanted


def test_metadata_are_for_the_invocation_log_as_far_as_it_has_room() -> None:
    assert to_request_metadata({"team": "a-1", "mail": "x@y.z", "long": "x" * 257, "flag": "50%", "n": 1, "": "x"}) == {
        "team": "a-1",
        "mail": "x@y.z",
    }
    assert to_request_metadata({f"k{number}": "v" for number in range(17)}) == {}
    with pytest.raises(InvalidRequest) as refusal:
        to_request_metadata([])
    assert refusal.value.param == "metadata"
