"""OpenAI's tools and tool choice as Converse's toolConfig."""

from collections.abc import Sequence
import re
from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import PLAIN
from core.providers.bedrock.converse.families import family_of
from core.providers.bedrock.converse.messages import called_tools
from core.providers.bedrock.converse.tools import WITHDRAWN, Offer, answer_form, offer_tools, read_tools

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_3 = "anthropic.claude-3-haiku-20240307-v1:0"
OPUS = "anthropic.claude-opus-5-5"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
DEEPSEEK = "deepseek.v3-v1:0"
TITAN = "amazon.titan-text-express-v1"

SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD: JsonObject = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA}}
SPEC: JsonObject = {"toolSpec": {"name": "add", "description": "Adds.", "inputSchema": {"json": SCHEMA}}}
POINT: JsonObject = {"cachePoint": {"type": "default"}}
NAMED: JsonObject = {"type": "function", "function": {"name": "add"}}
EPHEMERAL: JsonObject = {"type": "ephemeral"}


def allowed(mode: str, *names: str) -> JsonObject:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def offer(model: str = CLAUDE, called: Sequence[str] = (), *, thinking: bool = False, **given: object) -> Offer:
    return offer_tools(read_tools(dict(given)), called, family_of(model), thinking=thinking)


def config(**given: object) -> JsonObject:
    return offer(**given).config  # type: ignore[arg-type] # as offer has them


def refused(**given: object) -> str | None:
    with pytest.raises(InvalidRequest) as refusal:
        config(**given)
    return refusal.value.param


def function(name: str, **more: object) -> JsonObject:
    return {"type": "function", "function": {"name": name, **more}}


def offered(configuration: JsonObject) -> list[str]:
    return [tool["toolSpec"]["name"] for tool in configuration["tools"]]


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
    (spec, point, _) = config(tools=[tool, function("now")])["tools"]
    assert (spec, point) == (SPEC, POINT)


@pytest.mark.parametrize(
    ("choice", "wanted"), [("auto", {"auto": {}}), ("required", {"any": {}}), (NAMED, {"tool": {"name": "add"}})]
)
def test_a_choice_is_converses(choice: object, wanted: JsonObject) -> None:
    assert config(tools=[ADD], tool_choice=choice) == {"tools": [SPEC], "toolChoice": wanted}


def test_without_tools_there_is_nothing_to_configure() -> None:
    assert config() == config(tools=[]) == config(tool_choice="auto") == config(tool_choice="none") == {}


def test_none_leaves_the_tools_out() -> None:
    assert config(tools=[ADD], tool_choice="none") == config(tools=[ADD], called=["add"], tool_choice="none") == {}


def test_a_tool_of_the_conversation_that_is_offered_no_more_is_defined_as_such() -> None:
    configuration = config(tools=[ADD], called=["old", "add", "old"])
    assert offered(configuration) == ["add", "old"]
    assert configuration["tools"][1]["toolSpec"]["description"] == WITHDRAWN


@pytest.mark.parametrize(
    ("model", "choice", "wanted"),
    [
        (CLAUDE, NAMED, {"tool": {"name": "add"}}),
        (NOVA, NAMED, {"tool": {"name": "add"}}),
        (MISTRAL, NAMED, {"any": {}}),
        (DEEPSEEK, NAMED, {"any": {}}),
        (MISTRAL, "required", {"any": {}}),
    ],
)
def test_a_call_is_forced_by_what_the_family_has_for_it(model: str, choice: object, wanted: JsonObject) -> None:
    configuration = config(model=model, called=["old"], tools=[ADD, function("now")], tool_choice=choice)
    assert configuration["toolChoice"] == wanted
    if "any" in wanted:  # then nothing may be offered that must not be called
        assert offered(configuration) == (["add"] if choice == NAMED else ["add", "now"])


@pytest.mark.parametrize("choice", ["required", NAMED, allowed("required", "add")])
@pytest.mark.parametrize("model", [LLAMA, OPUS, "cohere.command-r-v1:0", "qwen.qwen3-32b-v1:0", TITAN])
def test_a_call_that_cannot_be_forced_is_refused_with_the_reason(model: str, choice: object) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot be made to call a tool|takes no tools") as refusal:
        offer(model, tools=[ADD], tool_choice=choice)
    assert refusal.value.param == ("tools" if model == TITAN else "tool_choice")


@pytest.mark.parametrize("choice", [None, "auto"])
def test_a_choice_of_ones_own_is_left_to_a_model_that_takes_no_word_for_it(choice: object) -> None:
    for model in (LLAMA, MISTRAL, DEEPSEEK, "m"):
        assert sorted(config(model=model, tools=[ADD], tool_choice=choice)) == ["tools"]


def test_claude_thinks_or_is_forced() -> None:
    with pytest.raises(InvalidRequest, match="while it thinks") as refusal:
        offer(tools=[ADD], tool_choice="required", thinking=True)
    assert refusal.value.param == "tool_choice"
    assert offer(tools=[ADD], tool_choice="auto", thinking=True).config
    assert offer(NOVA, tools=[ADD], tool_choice="required", thinking=True).config


def test_allowed_tools_are_those_that_are_offered() -> None:
    tools = [ADD, function("now"), function("old")]
    assert config(tools=tools, tool_choice=allowed("auto", "add")) == {"tools": [SPEC], "toolChoice": {"auto": {}}}
    assert config(tools=tools, tool_choice=allowed("required", "add")) == {"tools": [SPEC], "toolChoice": {"any": {}}}
    assert offered(config(tools=tools, tool_choice=allowed("auto", "old", "add"))) == ["old", "add"]
    assert config(tools=tools, tool_choice=allowed("auto")) == {}


def test_one_call_at_most_is_asked_for_where_bedrock_takes_it() -> None:
    one = {"type": "auto", "disable_parallel_tool_use": True}
    for choice in (None, "auto"):
        asked = offer(tools=[ADD], tool_choice=choice, parallel_tool_calls=False)
        assert (asked.fields, "toolChoice" in asked.config) == ({"tool_choice": one}, False)
    assert offer(tools=[ADD], tool_choice="required", parallel_tool_calls=False).fields == {}
    assert offer(tools=[ADD], parallel_tool_calls=True).fields == {}
    for model in (NOVA, LLAMA, CLAUDE_3):
        assert offer(model, tools=[ADD], parallel_tool_calls=False).fields == {}
    assert offer(parallel_tool_calls=False) == Offer()


def test_names_that_bedrock_refuses_are_aliased_and_no_two_are_one() -> None:
    first = wire("files.read")
    given = ["files.read", first, f"{first}_2", "files/read", "é" * 65, "x" * 65, "ok-1"]
    asked = offer(
        tools=[function(name) for name in given], tool_choice={"type": "function", "function": {"name": "é" * 65}}
    )
    names = offered(asked.config)
    assert len({*names}) == len(names)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert [name for name in names if name in given] == [first, f"{first}_2", "ok-1"]
    assert asked.config["toolChoice"] == {"tool": {"name": names[4]}}
    form = answer_form(read_tools({"tools": [function(name) for name in given]}), (), family_of(CLAUDE), thinking=False)
    assert [form.names.get(name, name) for name in names] == given


def wire(name: str) -> str:
    return offered(config(tools=[function(name)]))[0]


def test_an_alias_is_the_same_in_every_request() -> None:
    assert wire("files.read") == wire("files.read") != wire("files/read")


def test_the_older_form_is_of_todays_meaning() -> None:
    older = {"functions": [ADD["function"]], "function_call": {"name": "add"}}
    assert config(**older) == {"tools": [SPEC], "toolChoice": {"tool": {"name": "add"}}}
    assert config(functions=[ADD["function"]], function_call="none") == {}
    assert config(functions=[]) == config(function_call="auto") == {}
    form = answer_form(read_tools(older), (), family_of(CLAUDE), thinking=False)
    assert (form.older, form.most) == (True, 1)


def test_definitions_that_are_equal_are_one() -> None:
    assert config(tools=[ADD, ADD]) == {"tools": [SPEC]}


@pytest.mark.parametrize(
    ("given", "called", "told"),
    [
        ({"tools": [ADD]}, [], ["add", "old", "add"]),
        ({"tools": [ADD]}, ["old", "add"], ["add", "add"]),
        ({"tools": [ADD], "tool_choice": "none"}, [], []),
        ({"tools": []}, ["old"], []),
        ({"tools": [ADD], "parallel_tool_calls": False}, [], ["add"]),
        ({"functions": [ADD["function"]]}, [], ["add"]),
    ],
)
def test_what_of_an_answers_calls_is_told(given: JsonObject, called: list[str], told: list[str]) -> None:
    form = answer_form(read_tools(given), called, family_of(CLAUDE), thinking=False)
    heard: list[str] = []
    for name in ("add", "old", "add"):
        heard += [name] if form.tells(name, len(heard)) else []
    assert heard == told


def test_without_tools_an_answer_is_told_as_it_is() -> None:
    assert answer_form(read_tools({}), (), family_of(CLAUDE), thinking=False) == PLAIN


def test_the_calls_of_a_conversation_are_found_whatever_else_it_holds() -> None:
    messages: list[JsonObject] = [
        {"tool_calls": [{"function": {"name": "a"}}, {"function": {"name": 1}}, 7, {"function": {"name": "a"}}]},
        {"function_call": {"name": "b"}},
        {"tool_calls": "x", "function_call": None},
        {"tool_calls": []},
    ]
    assert called_tools(messages) == ["a", "a", "b"]


@pytest.mark.parametrize("description", ["", " \n", None])
def test_a_blank_description_is_none(description: object) -> None:
    (tool,) = config(tools=[function("now", description=description)])["tools"]
    assert "description" not in tool["toolSpec"]


def test_what_a_family_takes_nowhere_is_left_out_of_its_tools() -> None:
    tool = function("now", strict=True) | {"cache_control": EPHEMERAL}
    assert [sorted(block) for block in config(model=NOVA, tools=[tool])["tools"]] == [["toolSpec"]]
    assert "strict" not in config(model=NOVA, tools=[tool])["tools"][0]["toolSpec"]


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
        ({"tools": [ADD], "tool_choice": function("sub")}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"name": "add"}}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": allowed("auto", "sub")}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": allowed("any", "add")}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": allowed("required")}, "tool_choice"),
        (
            {"tools": [ADD], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [1]}}},
            "tool_choice",
        ),
        ({"tools": [ADD, function("add")]}, "tools[1].function.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"functions": [ADD["function"]], "tools": [ADD]}, "functions"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"functions": [{"name": "f"}], "function_call": "required"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": NAMED}, "tool_choice"),
    ],
)
def test_what_is_no_function_is_refused_by_its_path(given: dict[str, Any], param: str) -> None:
    assert refused(**given) == param
