"""OpenAI's tools and tool choice as Converse's toolConfig."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.tools import to_tool_config

SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD: JsonObject = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA}}
SPEC: JsonObject = {"toolSpec": {"name": "add", "description": "Adds.", "inputSchema": {"json": SCHEMA}}}
POINT: JsonObject = {"cachePoint": {"type": "default"}}
NAMED: JsonObject = {"type": "function", "function": {"name": "add"}}
EPHEMERAL: JsonObject = {"type": "ephemeral"}


def config(*, in_conversation: bool = False, **given: object) -> JsonObject:
    return to_tool_config(dict(given), in_conversation=in_conversation)


def refused(*, in_conversation: bool = False, **given: object) -> str | None:
    with pytest.raises(InvalidRequest) as refusal:
        config(in_conversation=in_conversation, **given)
    return refusal.value.param


def test_a_function_is_a_tool_with_its_schema() -> None:
    assert config(tools=[ADD]) == {"tools": [SPEC]}


def test_a_function_needs_no_description_and_no_parameters() -> None:
    bare = {"type": "function", "function": {"name": "now", "description": "", "parameters": None, "strict": None}}
    wanted = {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    assert config(tools=[bare]) == {"tools": [{"toolSpec": wanted}]}


@pytest.mark.parametrize(("strict", "wanted"), [(True, {"strict": True}), (False, {}), ("yes", {})])
def test_a_strict_function_is_a_strict_tool(strict: object, wanted: JsonObject) -> None:
    (tool,) = config(tools=[{"type": "function", "function": {"name": "now", "strict": strict}}])["tools"]
    assert {name: value for name, value in tool["toolSpec"].items() if name == "strict"} == wanted


@pytest.mark.parametrize(
    "tool",
    [
        ADD | {"cache_control": EPHEMERAL},
        ADD | {"function": ADD["function"] | {"cache_control": EPHEMERAL}},
        ADD | {"function": ADD["function"] | {"cache_control": EPHEMERAL}, "cache_control": EPHEMERAL},
    ],
)
def test_a_tools_cache_control_is_one_cache_point_after_it(tool: JsonObject) -> None:
    assert config(tools=[tool, ADD])["tools"] == [SPEC, POINT, SPEC]


@pytest.mark.parametrize(
    ("choice", "wanted"), [("auto", {"auto": {}}), ("required", {"any": {}}), (NAMED, {"tool": {"name": "add"}})]
)
def test_a_choice_is_converses(choice: object, wanted: JsonObject) -> None:
    assert config(tools=[ADD], tool_choice=choice) == {"tools": [SPEC], "toolChoice": wanted}


def test_without_tools_there_is_nothing_to_configure() -> None:
    assert config() == config(tools=[]) == config(tool_choice="auto") == config(tool_choice="none") == {}


def test_none_leaves_the_tools_out_unless_the_conversation_needs_their_definitions() -> None:
    assert config(tools=[ADD], tool_choice="none") == {}
    assert config(tools=[ADD], tool_choice="none", in_conversation=True) == {"tools": [SPEC]}


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_conversation_with_tools_must_define_them(choice: str) -> None:
    assert refused(in_conversation=True, tool_choice=choice) == "tools"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": 0}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
        ({"tools": [{"type": ["function"]}]}, "tools[0].type"),
        ({"tools": [ADD, {"type": "function"}]}, "tools[1].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": "{}"}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": 1}}]},
            "tools[0].function.description",
        ),
        ({"tools": [ADD | {"cache_control": 1}]}, "tools[0].cache_control"),
        ({"tools": [ADD], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": ""}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": NAMED}, "tool_choice"),
    ],
)
def test_what_is_no_function_is_refused_by_its_path(given: dict[str, Any], param: str) -> None:
    assert refused(**given) == param
