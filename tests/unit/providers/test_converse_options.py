"""The rest of a chat request: what Converse has a word for, what means nothing to it, and what it would get wrong."""

import json
from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.options import (
    DROPPED,
    NO_EQUIVALENT,
    refuse_fields_without_equivalent,
    to_guardrail_config,
    to_inference_config,
    to_model_fields,
    to_output_config,
)

SCHEMA: JsonObject = {"type": "object", "properties": {"é": {"type": "string"}}}


def test_sampling_is_converses_inference_config() -> None:
    given = {"max_tokens": 9, "temperature": 0, "top_p": 0.5, "stop": ["a", "b"]}
    assert to_inference_config(given) == {"maxTokens": 9, "temperature": 0, "topP": 0.5, "stopSequences": ["a", "b"]}


def test_the_newer_bound_is_asked_first_and_one_stop_is_a_list() -> None:
    assert to_inference_config({"max_tokens": 9, "max_completion_tokens": 5}) == {"maxTokens": 5}
    assert to_inference_config({"stop": "END"}) == {"stopSequences": ["END"]}
    assert to_inference_config({"stop": []}) == {}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": "1"}, "top_p"),
        ({"top_p": -0.1}, "top_p"),
        ({"stop": ""}, "stop"),
        ({"stop": {}}, "stop"),
        ({"stop": 0}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
    ],
)
def test_sampling_that_bedrock_refuses_is_refused(given: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_inference_config(given)
    assert refusal.value.param == param


def test_a_json_schema_is_an_output_format_and_the_schema_its_json() -> None:
    wanted = {"name": "city", "description": "A city.", "schema": SCHEMA, "strict": True}
    config = to_output_config({"response_format": {"type": "json_schema", "json_schema": wanted}})
    assert config["textFormat"]["type"] == "json_schema"
    definition = config["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(definition.pop("schema")) == SCHEMA
    assert definition == {"name": "city", "description": "A city."}


def test_text_is_no_format_and_effort_is_converses() -> None:
    assert to_output_config({"response_format": {"type": "text"}}) == {}
    assert to_output_config({"reasoning_effort": "high"}) == {"effort": "high"}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": ["text"]}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "name": 1}}},
            "response_format.json_schema.name",
        ),
        ({"reasoning_effort": "none"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
    ],
)
def test_a_form_that_converse_cannot_give_is_refused(given: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_output_config(given)
    assert refusal.value.param == param


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
        "top_k": 40,
        "thinking": {"type": "enabled"},
        "additional_model_request_fields": {"top_k": 5},
        "temperature": 0.5,
        "n": 1,
        **dict.fromkeys(DROPPED, "x"),
    }
    assert to_model_fields(given) == {"top_k": 5, "thinking": {"type": "enabled"}}
    with pytest.raises(InvalidRequest) as refusal:
        to_model_fields({"additional_model_request_fields": []})
    assert refusal.value.param == "additional_model_request_fields"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"voice": "alloy"}),
        ("frequency_penalty", 0.5),
        ("function_call", "auto"),
        ("functions", [{"name": "f"}]),
        ("logit_bias", {"1": 5}),
        ("logprobs", True),
        ("modalities", ["text", "audio"]),
        ("n", 2),
        ("parallel_tool_calls", False),
        ("prediction", {"type": "content"}),
        ("presence_penalty", -1),
        ("top_logprobs", 3),
        ("verbosity", "low"),
        ("web_search_options", {}),
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
    assert to_model_fields({name: value}) == {}
