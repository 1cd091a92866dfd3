"""Tool definitions and the choice among them, in OpenAI's words."""

from typing import Any

import pytest

from core.apis.native import Conversation
from core.errors import InvalidRequest
from core.services.inference.native.tools import to_openai_tools

TOOL = {"tool_name": "weather"}
OPENAI_TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}, "required": []}},
}


def translated(**fields: Any) -> dict[str, Any]:
    return to_openai_tools(Conversation.model_validate({"model_id": "m"} | fields))


def parameter_schema(**fields: Any) -> Any:
    tools = [TOOL | {"parameters": {"p": fields}}]
    return translated(tools=tools)["tools"][0]["function"]["parameters"]["properties"]["p"]


def test_a_tool_becomes_a_function() -> None:
    parameters = {
        "city": {"param_type": "str", "description": "Where"},
        "days": {"param_type": "int", "required": False, "default": 3},
        "exact": {"param_type": "bool", "default": False},
    }
    tool = TOOL | {"description": "Tells the weather.", "parameters": parameters}
    assert translated(tools=[tool]) == {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Tells the weather.",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "city": {"type": "string", "description": "Where"},
                            "days": {"type": "integer", "default": 3},
                            "exact": {"type": "boolean", "default": False},
                        },
                        "required": ["city", "exact"],
                    },
                },
            }
        ]
    }


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    assert translated(tools=[TOOL]) == {"tools": [OPENAI_TOOL]}
    assert translated(tools=[TOOL | {"parameters": None}]) == {"tools": [OPENAI_TOOL]}


@pytest.mark.parametrize(
    ("param_type", "schema"),
    [
        ("str", {"type": "string"}),
        ("string", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("integer", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("number", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("boolean", {"type": "boolean"}),
        ("list", {"type": "array"}),
        ("List", {"type": "array"}),
        ("array", {"type": "array"}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("list[ dict[str, int] ]", {"type": "array", "items": {"type": "object"}}),
        ("tuple[int, str]", {"type": "array"}),
        ("dict", {"type": "object"}),
        ("object", {"type": "object"}),
        ("null", {"type": "null"}),
        ("Any", {}),
        ("Optional[str]", {}),
    ],
)
def test_types_are_known_by_pythons_names_and_json_schemas(param_type: str, schema: dict[str, Any]) -> None:
    assert parameter_schema(param_type=param_type) == schema


@pytest.mark.parametrize(
    "param_type",
    [
        "",
        "strng",
        "list[strng]",
        "list[",
        "int or str",
        "[" * 256,
        "list[str] x",
        "str]",
    ],
)
def test_an_unknown_type_is_refused_with_those_that_are_known(param_type: str) -> None:
    with pytest.raises(InvalidRequest, match=r"is not a type\. The types: str, string, int") as refusal:
        parameter_schema(param_type=param_type)
    assert refusal.value.param == "tools[0].parameters.p.param_type"


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_config": {}}, None),
        ({"tool_choice": "auto"}, "auto"),
        ({"tool_choice": "required"}, "required"),
        ({"tool_config": {"tool_choice": "required"}}, "required"),
        ({"tool_config": {"tool_choice": "auto"}, "tool_choice": "auto"}, "auto"),
        (
            {"tool_config": {"tool_choice": "weather", "system_message_behavior": "replace"}},
            {"type": "function", "function": {"name": "weather"}},
        ),
        ({"tool_choice": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_the_choice_of_tools_is_passed_on(fields: dict[str, Any], choice: object) -> None:
    wanted = {"tools": [OPENAI_TOOL]} | ({"tool_choice": choice} if choice else {})
    assert translated(tools=[TOOL], **fields) == wanted


def test_no_tools_can_be_called_when_none_are_chosen() -> None:
    assert translated(tools=[TOOL], tool_choice="none") == {}
    assert translated(tools=[TOOL], tool_config={"tool_choice": "none"}) == {}


def test_auto_without_tools_is_nothing() -> None:
    assert translated(tool_choice="auto") == {}
    assert translated(tools=[], tool_config={"tool_choice": "auto"}) == {}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL], "tool_choice": "wether"}, "tool_choice"),
        ({"tools": [TOOL], "tool_config": {"tool_choice": "wether"}}, "tool_config.tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_config": {"tool_choice": "weather"}}, "tool_config.tool_choice"),
        ({"tools": [TOOL], "tool_choice": "none", "tool_config": {"tool_choice": "auto"}}, "tool_choice"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        translated(**fields)
    assert refusal.value.param == param


def test_the_refusal_of_a_choice_names_the_tools() -> None:
    with pytest.raises(InvalidRequest, match=r"`wether` needs a tool to choose\. The tools: `weather`\."):
        translated(tools=[TOOL], tool_choice="wether")
    with pytest.raises(InvalidRequest, match="The tools: none were given"):
        translated(tool_choice="required")
