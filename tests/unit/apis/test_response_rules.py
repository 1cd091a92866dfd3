"""What no response can be asked with is said by its path, before anything is asked."""

import pytest

from core.apis.response_queries import InputTokensRequest
from core.apis.response_rules import check_include
from core.apis.responses import ResponseRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject

FUNCTION: JsonObject = {"type": "function", "name": "f", "parameters": {}}
CALL: JsonObject = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
GOOD: list[JsonObject] = [
    {"input": "hi"},
    {"input": [], "previous_response_id": "resp_1"},
    {"prompt": {"id": "pmpt_1", "version": None, "variables": {"a": "b"}}},
    {"input": [{"role": "user", "content": "hi"}, {"type": None, "id": "msg_1"}]},
    {"input": [CALL, {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": ""}]}]},
    {"input": [{"type": "local_shell_call", "action": {}}, {"type": "reasoning", "summary": [], "content": None}]},
    {"input": "hi", "tools": [FUNCTION, {"type": "local_shell"}, {"type": "namespace", "name": "f", "tools": []}]},
    {"input": "hi", "tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
    {"input": "hi", "text": {"format": {"type": "text"}, "verbosity": "low"}, "reasoning": {"effort": None}},
    {"input": "hi", "metadata": {"k" * 64: "v" * 512}, "guardrails": ["a", {"type": "b"}], "unknown": {"is": "kept"}},
    {"input": "hi", "stream_options": {"include_obfuscation": False}, "context_management": None, "background": False},
]


@pytest.mark.parametrize("body", GOOD)
def test_what_openais_clients_send_passes(body: JsonObject) -> None:
    ResponseRequest.model_validate({"model": "m", **body}).check_body()


def one(item: JsonObject) -> JsonObject:
    return {"input": [item]}


def part(content: str | JsonObject) -> JsonObject:
    return one({"role": "user", "content": [content]})


BAD: list[tuple[JsonObject, str]] = [
    ({}, "input"),
    ({"input": []}, "input"),
    ({"input": "hi", "previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
    ({"input": "hi", "conversation": {}}, "conversation.id"),
    ({"input": "hi", "background": True, "store": False}, "background"),
    ({"input": "hi", "prompt": {"version": "1"}}, "prompt.id"),
    ({"input": "hi", "max_tokens": 10}, "max_tokens"),
    ({"messages": [{"role": "user", "content": "hi"}]}, "messages"),
    ({"input": "hi", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
    ({"input": "hi", "metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ({"input": "hi", "metadata": {"k" * 65: ""}}, "metadata"),
    ({"input": "hi", "metadata": {"k": "v" * 513}}, "metadata.k"),
    ({"input": "hi", "metadata": {"k": 1}}, "metadata.k"),
    ({"input": "hi", "include": ["file_search_call.results", "all"]}, "include[1]"),
    ({"input": "hi", "temperature": -1}, "temperature"),
    ({"input": "hi", "temperature": float("nan")}, "temperature"),
    ({"input": "hi", "top_p": float("inf")}, "top_p"),
    ({"input": "hi", "presence_penalty": float("nan")}, "presence_penalty"),
    ({"input": "hi", "top_p": 2}, "top_p"),
    ({"input": "hi", "presence_penalty": 3}, "presence_penalty"),
    ({"input": "hi", "service_tier": 1}, "service_tier"),
    ({"input": "hi", "stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation"),
    ({"input": "hi", "guardrails": [1]}, "guardrails[0]"),
    ({"input": "hi", "reasoning": {"summary": "long"}}, "reasoning.summary"),
    ({"input": "hi", "text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"input": "hi", "text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"input": "hi", "text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "text.format.name"),
    ({"input": "hi", "text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
    ({"input": "hi", "text": {"verbosity": "loud"}}, "text.verbosity"),
    ({"input": "hi", "tools": [{}]}, "tools[0].type"),
    ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
    ({"input": "hi", "tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
    ({"input": "hi", "tool_choice": "any"}, "tool_choice"),
    ({"input": "hi", "tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"input": "hi", "tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
    (one({"content": "hi"}), "input[0].type"),
    (one({"type": "song"}), "input[0].type"),
    (one({"role": "tool", "content": "hi"}), "input[0].role"),
    (one({"role": "user"}), "input[0].content"),
    (one({"role": "user", "content": "hi", "id": 1}), "input[0].id"),
    (one(CALL | {"call_id": None}), "input[0].call_id"),
    (one(CALL | {"arguments": {}}), "input[0].arguments"),
    (one({"type": "function_call_output", "output": ""}), "input[0].call_id"),
    (one({"type": "function_call_output", "call_id": "c"}), "input[0].output"),
    (one({"type": "mcp_approval_response", "approval_request_id": "a"}), "input[0].approve"),
    (one({"type": "reasoning", "summary": [{}]}), "input[0].summary[0].text"),
    (one({"type": "compaction"}), "input[0].encrypted_content"),
    (one({"type": "mcp_list_tools", "server_label": "s", "tools": [1]}), "input[0].tools[0]"),
    (part("hi"), "input[0].content[0]"),
    (part({"type": "video"}), "input[0].content[0].type"),
    (part({"type": "input_text"}), "input[0].content[0].text"),
    (part({"type": "input_image", "detail": "auto"}), "input[0].content[0]"),
    (part({"type": "input_image", "image_url": {"url": "a"}}), "input[0].content[0].image_url"),
    (part({"type": "input_image", "file_id": "f", "detail": "much"}), "input[0].content[0].detail"),
    (part({"type": "input_file", "filename": "a.pdf"}), "input[0].content[0]"),
]


@pytest.mark.parametrize(("body", "path"), BAD)
def test_what_is_wrong_is_named_by_its_path(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ResponseRequest.model_validate({"model": "m", **body}).check_body()
    assert refused.value.param == path
    assert refused.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"tools": [{"type": 5}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"conversation": {"id": 1}}, "conversation.id"),
        (one({"type": "song"}), "input[0].type"),
    ],
)
def test_what_is_only_counted_is_held_to_the_same(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        InputTokensRequest.model_validate(body).check_body()
    assert refused.value.param == path
    with pytest.raises(ValueError, match="at most 128 items"):
        InputTokensRequest.model_validate({"tools": [FUNCTION] * 129})
    InputTokensRequest.model_validate({"model": "m" * 600, "input": "hi", "tools": [FUNCTION]}).check_body()


def test_what_may_be_included_is_named_where_something_else_is_asked_for() -> None:
    with pytest.raises(InvalidRequest, match=r"file_search_call.results, .*reasoning.encrypted_content.* not `all`"):
        check_include(["all"])


def test_more_items_than_a_request_takes_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(InvalidRequest, match="at most 10000"):
        ResponseRequest.model_validate({"model": "m", "input": [{}] * 10_001}).check_body()
