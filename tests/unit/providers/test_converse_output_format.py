"""response_format: held to by a grammar where the model has one, told in words where it has none."""

import json
from typing import Any

import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import UNKNOWN, family_of
from core.providers.bedrock.converse.output_format import to_format
from core.providers.bedrock.converse.request import to_converse

LLAMA = "meta.llama3-3-70b-instruct-v1:0"
SCHEMA: JsonObject = {"type": "object", "properties": {"é": {"type": "string"}}, "additionalProperties": False}
NODE: JsonObject = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}


def json_schema(schema: object, **more: Any) -> JsonObject:
    return {"type": "json_schema", "json_schema": {"schema": schema, **more}}


def nested(depth: int) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def grammar(schema: JsonObject) -> JsonObject | None:
    """The schema that Bedrock is held to, if it is."""
    output = to_format(json_schema(schema), UNKNOWN)
    if output.instruction:
        assert json.dumps(schema, ensure_ascii=False) in output.instruction
        return None
    closed: JsonObject = json.loads(output.text_format["structure"]["jsonSchema"]["schema"])
    return closed


def test_a_json_schema_is_an_output_format_and_the_schema_its_json() -> None:
    output = to_format(json_schema(SCHEMA, name="the city!", description="A city.", strict=True), UNKNOWN)
    assert output.text_format["type"] == "json_schema"
    definition = output.text_format["structure"]["jsonSchema"]
    assert json.loads(definition.pop("schema")) == SCHEMA
    assert definition == {"name": "the_city_", "description": "A city."}
    assert output.instruction == ""


def test_text_is_no_format() -> None:
    assert to_format({"type": "text"}, UNKNOWN) == to_format({"type": "text", "more": 1}, UNKNOWN)
    assert not to_format({"type": "text"}, UNKNOWN).text_format


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}}, {"a", "a.b"}),
        ({"properties": {"a": {"type": ["object", "null"], "properties": {"b": {}}}}}, {"a", "a.b"}),
    ],
)
def test_objects_have_no_members_but_those_that_are_named(schema: JsonObject, wanted: set[str]) -> None:
    closed = grammar(schema)
    assert closed is not None
    assert closed["additionalProperties"] is False
    assert closed["properties"]["a"]["additionalProperties"] is False
    assert wanted


def test_what_a_grammar_does_not_have_is_said_in_the_description() -> None:
    age = {"type": "integer", "minimum": 0, "maximum": 150, "description": "In years."}
    mails = {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "string", "format": "idn-email"}}
    closed = grammar({"$schema": "x", "type": "object", "properties": {"age": age, "mails": mails}})
    assert closed == {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "description": 'In years. {"minimum": 0, "maximum": 150}'},
            "mails": {
                "type": "array",
                "items": {"type": "string", "description": '{"format": "idn-email"}'},
                "description": '{"minItems": 2, "maxItems": 3}',
            },
        },
        "additionalProperties": False,
    }


def test_one_of_is_any_of_and_definitions_are_closed_too() -> None:
    item: JsonObject = {"type": "object", "properties": {"x": {"type": "null"}}}
    schema: JsonObject = {
        "type": "object",
        "$defs": {"Item": item},
        "properties": {"a": {"oneOf": [{"$ref": "#/$defs/Item"}, {"type": "string"}]}},
    }
    closed = grammar(schema)
    assert closed is not None
    assert closed["$defs"]["Item"]["additionalProperties"] is False
    assert closed["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/Item"}, {"type": "string"}]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}}},
    ],
)
def test_a_schema_that_no_grammar_can_hold_to_is_told_in_words(schema: JsonObject) -> None:
    assert grammar(schema) is None


def test_a_schema_that_is_deep_is_told_in_words_too() -> None:
    assert grammar(nested(30)) is not None
    assert grammar(nested(400)) is None


@pytest.mark.parametrize(
    "model",
    [LLAMA, "amazon.nova-pro-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "mistral.mistral-large-2407-v1:0"],
)
def test_a_model_without_structured_output_is_told_the_schema(model: str) -> None:
    output = to_format(json_schema(SCHEMA, description="A city."), family_of(model))
    assert not output.text_format
    assert json.dumps(SCHEMA, ensure_ascii=False) in output.instruction
    assert "A city." in output.instruction


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be kind."}]])
def test_an_instruction_is_the_last_of_the_systems(system: list[JsonObject]) -> None:
    request = {
        "model": LLAMA,
        "messages": [*system, {"role": "user", "content": "hi"}],
        "response_format": {"type": "json_object"},
    }
    body = to_converse(ChatRequest.model_validate(request))
    assert [block["text"] for block in body["system"]][:-1] == [message["content"] for message in system]
    assert "JSON object" in body["system"][-1]["text"]
    assert len(body["messages"]) == 1


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("json", "response_format"),
        ({}, "response_format.type"),
        ({"type": ["text"]}, "response_format.type"),
        ({"type": "grammar"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.schema"),
        (json_schema({}, name=1), "response_format.json_schema.name"),
        (json_schema({"description": "x" * 120_000}), "response_format.json_schema.schema"),
        (json_schema(nested(20_000)), "response_format.json_schema.schema"),
    ],
)
def test_a_form_that_nobody_can_give_is_refused(given: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_format(given, UNKNOWN)
    assert refusal.value.param == param
