"""Tools of requests: what is read of them, what they are called, and which of them a choice means."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.tools import Tool, ToolResult
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.responses.contract import StepDone, ToolCall
from core.services.responses.tools.approvals import approved_calls, requests_in
from core.services.responses.tools.choices import NamedTool, read_choice
from core.services.responses.tools.functions import read_function
from core.services.responses.tools.naming import NAME, name_tools
from core.services.responses.tools.resolving import resolve_tools
from core.services.responses.tools.results import MOST_TOLD, cut, read_arguments, tell_error, text_of_result
from core.services.responses.tools.servers import read_listing
from core.services.responses.tools.shapes import read_file_search, read_mcp, read_web_search
from core.services.responses.tools.surfaces import ToolSurfaces
from core.services.responses.tools.told import passages_of, tell_item
from tests.parts.response_tools import called, names_of, request_of, steps_of

SERVER = {"type": "mcp", "server_label": "s", "server_url": "https://s.example/mcp"}
FUNCTION: JsonObject = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    "strict": True,
}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: begin"}
CUSTOM = {"type": "custom", "name": "apply_patch", "description": "Patches.", "format": GRAMMAR}


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ({"server_label": None}, "server_label"),
        ({"server_label": 3}, "server_label"),
        ({"server_url": None}, "server_url"),
        ({"connector_id": "c"}, "server_url"),
        ({"headers": ["x"]}, "headers"),
        ({"headers": {"x": 1}}, "headers"),
        ({"headers": {"AUTHORIZATION": "Bearer secret"}}, "headers"),
        ({"authorization": {"token": "secret"}}, "authorization"),
        ({"allowed_tools": "a"}, "allowed_tools"),
        ({"allowed_tools": [1]}, "allowed_tools"),
        ({"allowed_tools": {"names": ["a"]}}, "allowed_tools"),
        ({"require_approval": "sometimes"}, "require_approval"),
        ({"require_approval": {"ask": ["a"]}}, "require_approval"),
        ({"require_approval": {"never": {"tool_names": "a"}}}, "require_approval.never"),
    ],
)
def test_a_server_that_cannot_be_read_is_refused_by_its_field(tool: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_mcp(SERVER | tool, "tools[2]")
    assert refused.value.param == f"tools[2].{field}"
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("read", "tool", "field"),
    [
        (read_file_search, {"vector_store_ids": []}, "vector_store_ids"),
        (read_file_search, {"vector_store_ids": [""]}, "vector_store_ids"),
        (read_file_search, {"vector_store_ids": ["a"], "max_num_results": 51}, "max_num_results"),
        (read_file_search, {"vector_store_ids": ["a"], "max_num_results": True}, "max_num_results"),
        (read_file_search, {"vector_store_ids": ["a"], "filters": []}, "filters"),
        (read_web_search, {"search_context_size": 3}, "search_context_size"),
        (read_web_search, {"user_location": "US"}, "user_location"),
        (read_web_search, {"filters": {"allowed_domains": "a.example"}}, "filters.allowed_domains"),
        (read_web_search, {"filters": {"allowed_domains": ["a.example", 1]}}, "filters.allowed_domains"),
    ],
)
def test_a_search_that_cannot_be_read_is_refused_by_its_field(read: Any, tool: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(tool, "tools[0]")
    assert refused.value.param == f"tools[0].{field}"


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (None, "abc"),
        ("always", "abc"),
        ("never", ""),
        ({"never": {"tool_names": ["a"]}}, "bc"),
        ({"never": ["a"], "always": ["a", "b"]}, "abc"),
        ({"always": {"tool_names": ["b"]}}, "abc"),
        ({"never": {"read_only": True}}, "bc"),
        ({"never": {"read_only": False}}, "a"),
    ],
)
def test_which_tools_need_approval(rule: Any, asked: str) -> None:
    tools = [Tool("a", read_only=True), Tool("b", read_only=False), Tool("c")]
    approval = read_mcp(SERVER | {"require_approval": rule}, "p").approval
    assert "".join(tool.name for tool in tools if approval.wants(tool)) == asked


def test_what_a_server_is_given_is_in_no_text_of_it() -> None:
    shape = read_mcp(SERVER | {"authorization": "Bearer secret", "headers": {"X-Key": "secret"}}, "p")
    assert (shape.access.authorization, shape.access.headers) == ("secret", {"X-Key": "secret"})
    assert "secret" not in repr(shape)


NAMES = st.sampled_from(["a", "b", "a.b", "a_b", "", "s_a", "long" * 20, "日", "file_search"])


@given(st.lists(st.tuples(st.sampled_from(["s", "t", "s_a", "x y"]), NAMES), max_size=12), st.sets(NAMES))
def test_every_tool_has_a_name_of_its_own_that_a_model_takes(tools: list[tuple[str, str]], taken: set[str]) -> None:
    names = name_tools(tools, taken)
    assert len(names) == len(tools) == len(set(names))
    assert not taken.intersection(names)
    assert all(NAME.fullmatch(name) for name in names)
    own = [name for _, name in tools]
    assert all(name in names for name in own if own.count(name) == 1 and name not in taken and NAME.fullmatch(name))


async def test_functions_are_the_callers_and_their_definitions_go_on_as_they_are() -> None:
    tools = resolve_tools(request_of(FUNCTION | {"extra": 1}), ToolSurfaces())
    own = {name: FUNCTION[name] for name in ("name", "description", "parameters", "strict")}
    assert tools.definitions == [{"type": "function", "function": own}]
    tool = tools.find("add")
    assert tool is not None
    assert (tool.hosted, tool.counted, tool.streams_arguments) == (False, False, True)
    begun = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "", "status": "in_progress"}
    assert tool.begin("c") == begun
    [done] = await steps_of(tool.run(ToolCall("c", "add", '{"a": 1}'), begun))
    assert done == StepDone(begun | {"arguments": '{"a": 1}', "status": "completed"})
    [bare] = resolve_tools(request_of({"type": "function", "name": "now"}), ToolSurfaces()).definitions
    assert bare["function"] == {"name": "now", "parameters": {"type": "object", "properties": {}}}
    with pytest.raises(InvalidRequest) as refused:
        resolve_tools(request_of(FUNCTION, {"type": "function", "name": ""}), ToolSurfaces())
    assert refused.value.param == "tools[1].name"


async def test_a_custom_tool_is_a_function_of_one_text_for_the_model() -> None:
    tools = resolve_tools(request_of(CUSTOM), ToolSurfaces())
    function = tools.definitions[0]["function"]
    assert function["description"] == "Patches.\n\n`input` must follow this lark grammar:\nstart: begin"
    assert function["parameters"]["required"] == ["input"]
    for written, text in (
        ('{"input": "*** Begin"}', "*** Begin"),
        ("*** Begin", "*** Begin"),
        ('{"a": 1}', '{"a": 1}'),
    ):
        before, done = await called(tools, "apply_patch", written)
        call = {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": text}
        assert (before, done.item) == ([], call | {"status": "completed"})


@pytest.mark.parametrize(
    "kind", ["local_shell", "code_interpreter", "image_generation", "computer_use_preview", "namespace"]
)
def test_a_tool_of_another_type_is_passed_over(kind: str) -> None:
    offline = {"type": "web_search", "external_web_access": False}  # as Codex sends it
    other = {"type": kind, "name": "add", "tools": [FUNCTION]}
    tools = resolve_tools(request_of(other, offline, FUNCTION), ToolSurfaces())
    assert names_of(tools) == ["add"]
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": kind}, {"type": "function", "name": "add"}]}
    assert (tools.choose(allowed), names_of(tools)) == ("auto", ["add"])
    with pytest.raises(InvalidRequest):
        tools.choose({"type": kind})


ADD = {"type": "function", "function": {"name": "add"}}
PATCH = {"type": "function", "function": {"name": "apply_patch"}}


@pytest.mark.parametrize(
    ("choice", "chat", "names"),
    [
        (None, None, ["add", "apply_patch"]),
        ("none", "none", ["add", "apply_patch"]),
        ("required", "required", ["add", "apply_patch"]),
        ({"type": "function", "name": "add"}, ADD, ["add", "apply_patch"]),
        (ADD, ADD, ["add", "apply_patch"]),
        ({"type": "custom", "name": "apply_patch"}, PATCH, ["add", "apply_patch"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}, "required", ["apply_patch"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [ADD]}}, "auto", ["add"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, None, []),
    ],
)  # fmt: skip
def test_a_choice_of_tools_as_chat_completions_have_it(choice: Any, chat: Any, names: list[str]) -> None:
    tools = resolve_tools(request_of(FUNCTION, CUSTOM), ToolSurfaces())
    assert (tools.choose(choice), names_of(tools)) == (chat, names)
    assert all((tools.find(name) is not None) == (name in names) for name in ("add", "apply_patch"))


@pytest.mark.parametrize(
    "choice",
    [
        "any",
        3,
        {},
        {"type": "function", "name": "sub"},
        {"type": "custom", "name": "add"},
        {"type": "file_search"},
        {"type": "mcp", "server_label": "s"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "sub"}]},
        {"type": "allowed_tools", "mode": "always", "tools": []},
        {"type": "allowed_tools", "mode": "required", "tools": []},
    ],
)
def test_a_choice_of_what_the_request_has_not_is_refused(choice: Any) -> None:
    tools = resolve_tools(request_of(FUNCTION), ToolSurfaces())
    with pytest.raises(InvalidRequest) as refused:
        tools.choose(choice)
    assert refused.value.param == "tool_choice"
    without = resolve_tools(request_of(), ToolSurfaces())
    assert (without.choose("auto"), without.choose(None)) == (None, None)
    with pytest.raises(InvalidRequest):
        without.choose("required")


def test_searches_and_tools_of_servers_are_chosen_by_what_a_request_calls_them() -> None:
    rows = [("file_search", "file_search", ""), ("web_search", "web_search", ""), ("mcp", "a", "s"), ("mcp", "b", "s")]
    tools = [NamedTool(kind, name, read_function({"name": f"{name}_"}, ""), label) for kind, name, label in rows]

    def choose(**choice: Any) -> Any:
        chosen = read_choice(choice, tools, ())
        return chosen.mode if chosen.only is None else (chosen.mode, [tool.name for tool in chosen.only])

    for kind, name in (
        ("file_search", "file_search_"),
        ("web_search", "web_search_"),
        ("web_search_preview", "web_search_"),
    ):
        assert choose(type=kind) == {"type": "function", "function": {"name": name}}
    assert choose(type="mcp", server_label="s") == ("required", ["a", "b"])
    assert choose(type="mcp", server_label="s", name="b") == {"type": "function", "function": {"name": "b_"}}
    everything = [{"type": "mcp", "server_label": "s", "name": "a"}, {"type": "mcp", "server_label": "s"}]
    assert choose(type="allowed_tools", mode="auto", tools=everything) == ("auto", ["a", "b"])
    for missing in (
        {"type": "mcp", "server_label": "t"},
        {"type": "mcp", "server_label": "s", "name": "c"},
        {"type": "a"},
    ):
        with pytest.raises(InvalidRequest, match="is none of the request's `tools`"):
            choose(**missing)


def test_two_servers_of_one_label_are_refused() -> None:
    surfaces = ToolSurfaces(tools=object())  # type: ignore[arg-type]  # nothing of it is asked
    with pytest.raises(InvalidRequest) as refused:
        resolve_tools(request_of(SERVER, SERVER), surfaces)
    assert refused.value.param == "tools[1].server_label"


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"a": NaN}', '{"a":' * 5000, "\ud800"])
def test_arguments_that_are_no_json_object_are_refused_in_words_for_a_model(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Call the tool again"):
        read_arguments(text)
    assert (read_arguments(" "), read_arguments('{"a": 1}')) == ({}, {"a": 1})


@given(st.text(max_size=60), st.integers(1, 80))
def test_what_is_told_is_cut_to_its_bound_and_says_so(text: str, most: int) -> None:
    told = cut(text, most)
    if len(text.encode(errors="replace")) <= most:
        assert told == text
    else:
        kept, _, note = told.rpartition("\n")
        assert text.encode(errors="replace").decode().startswith(kept)
        assert len(kept.encode()) <= most
        assert "more bytes were cut" in note
    assert len(cut("日" * MOST_TOLD).encode()) < MOST_TOLD + 200


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "mcp_call", "name": "a.b", "arguments": "", "output": "out"}, ("a_b", "{}", "out")),
        ({"type": "mcp_call", "name": "a", "arguments": "{}", "error": "old"}, ("a", "{}", "old")),
        (
            {"type": "mcp_call", "name": "a", "arguments": "{}", "error": {"type": "http_error", "code": 503, "message": "m"}},
            ("a", "{}", "m"),
        ),
        ({"type": "mcp_call", "name": "a", "arguments": "{}"}, ("a", "{}", "There is no result of this call.")),
        (
            {"type": "file_search_call", "queries": ["q", "r"], "status": "completed"},
            ("file_search", '{"query":"q","queries":["r"]}', "What this search found was not kept."),
        ),
        ({"type": "file_search_call", "queries": None, "status": "failed"}, ("file_search", '{"query":""}', "The search failed.")),
        (
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
            ("web_search", '{"query":"q"}', '{"query":"q","results":[]}'),
        ),
        ({"type": "mcp_list_tools", "server_label": "s", "tools": []}, None),
        ({"type": "mcp_approval_response", "approval_request_id": "x", "approve": False}, None),
        ({"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}, None),
        ({"type": "function_call", "name": "a"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_what_a_model_is_told_of_a_kept_item(item: Any, told: Any) -> None:
    assert tell_item(item) == told
    assert tell_item(item, {}) == told


WORDS = st.sampled_from(
    ["function", "custom", "mcp", "file_search", "web_search", "allowed_tools", "auto", "required", "add", "s"]
)
FIELDS = st.sampled_from(
    [
        "type",
        "name",
        "tools",
        "mode",
        "server_label",
        "server_url",
        "vector_store_ids",
        "allowed_tools",
        "function",
        "require_approval",
        "headers",
        "filters",
        "format",
        "id",
        "approval_request_id",
        "approve",
        "queries",
        "results",
        "action",
        "error",
        "output",
        "arguments",
        "content",
        "text",
        "url",
        "message",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 60) | WORDS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(FIELDS, each, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(FIELDS, JSON, max_size=5)
KINDS = st.sampled_from(
    [
        "mcp_call",
        "file_search_call",
        "web_search_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
    ]
)


@settings(max_examples=20)
@given(st.lists(OBJECTS, max_size=3), JSON)
def test_whatever_tools_and_choice_a_request_has_they_are_read_or_refused(tools: Any, choice: Any) -> None:
    with suppress(InvalidRequest):
        made = resolve_tools(request_of(*tools, FUNCTION), ToolSurfaces(tools=object()))  # type: ignore[arg-type]
        made.choose(choice)
        assert all(made.definitions)


@settings(max_examples=20)
@given(st.lists(st.tuples(OBJECTS, KINDS), max_size=4))
def test_whatever_items_a_context_has_they_are_told_or_refused(pairs: list[tuple[JsonObject, str]]) -> None:
    items = [{**fields, "type": kind} for fields, kind in pairs]
    with suppress(InvalidRequest):
        approved_calls(items[-1:], items)
    shape = read_mcp(SERVER, "p")
    assert all(tool.name for tool in read_listing(shape, items) or [Tool("none")])
    for item in items:
        told = tell_item(item, requests_in(items))
        assert told is None or all(isinstance(part, str) for part in told)
        passages = passages_of(item)
        assert [passage.index for passage in passages] == [*range(1, len(passages) + 1)]


@settings(max_examples=15)
@given(st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["content", "text", "message", "code"]), each)))  # fmt: skip
def test_whatever_a_caller_sends_as_an_error_is_told_as_a_text(error: Any) -> None:
    assert tell_error(error)


def test_a_result_that_is_structured_alone_is_told_as_json() -> None:
    assert text_of_result(ToolResult("", structured={"sum": 5})) == '{"sum":5}'
    assert text_of_result(ToolResult("five", structured={"sum": 5})) == "five"
    assert text_of_result(ToolResult("")) == ""
