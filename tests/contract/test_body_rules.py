"""A body that nobody could answer is refused over a server that would answer it; what a server has beyond OpenAI reaches it."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.parsing import parse
from core.errors import InvalidRequest
from core.frame.types import Wire
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import FakeUpstream, running, status

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}],
}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    models = [
        {"model_id": "m", "provider_id": "local", "provider_model_id": "m"},
        {
            "model_id": "e",
            "provider_id": "local",
            "provider_model_id": "e",
            "model_type": "embedding",
            "metadata": {"embedding_dimension": 1},
        },
    ]
    store = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
    async with client_of(run_config(upstream.url, store, models=models)) as client:
        yield client


def said(*contents: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(contents)}]}


def history(*messages: Any) -> dict[str, Any]:
    return {"messages": [USER, *messages]}


CHAT_REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": "hi"}, "messages", ""),
    ({"messages": ["hi"]}, "messages[0]", ""),
    ({"messages": [{}]}, "messages[0].role", "is required, and must be system, developer, user"),
    ({"messages": [{"role": "potato", "content": "hi"}]}, "messages[0].role", "not `potato`"),
    ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role", "not a list"),
    ({"messages": [{"role": None, "content": "hi"}]}, "messages[0].role", "not null"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "is required, and must be a text, or a list of parts"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "not null"),
    ({"messages": [USER, {"role": "user", "content": 5}]}, "messages[1].content", "not 5"),
    ({"messages": [{"role": "system", "content": {}}]}, "messages[0].content", "not an object"),
    ({"messages": [{"role": "assistant", "content": True}]}, "messages[0].content", "not true"),
    ({"messages": [USER | {"name": 5}]}, "messages[0].name", "must be a text"),
    (said("hi"), "messages[0].content[0]", "must be an object with a type, not `hi`"),
    (said({"type": "text", "text": "a"}, {}), "messages[0].content[1].type", "is required"),
    (said({"type": "bogus"}), "messages[0].content[0].type", "text, image_url, input_audio, file or refusal"),
    (said({"type": "text"}), "messages[0].content[0].text", "is required"),
    (said({"type": "text", "text": 5}), "messages[0].content[0].text", "not 5"),
    (said({"type": "image_url"}), "messages[0].content[0].image_url", "is required, and must be an object with a url"),
    (said({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url", "is required"),
    (said({"type": "image_url", "image_url": {"url": 5}}), "messages[0].content[0].image_url.url", "not 5"),
    (said({"type": "file"}), "messages[0].content[0].file", "is required"),
    (said({"type": "input_audio", "input_audio": "x"}), "messages[0].content[0].input_audio", "must be an object"),
    (history(CALLS, {"role": "tool", "content": "ok"}), "messages[2].tool_call_id", "is required"),
    (history(CALLS, {"role": "tool", "content": "ok", "tool_call_id": 1}), "messages[2].tool_call_id", "not 1"),
    (history(CALLS, {"role": "tool", "tool_call_id": "c1"}), "messages[2].content", "is required"),
    (history({"role": "assistant", "tool_calls": {}}), "messages[1].tool_calls", "must be a list of objects"),
    (history({"role": "assistant", "tool_calls": ["f"]}), "messages[1].tool_calls[0]", "must be an object"),
    (history(CALLS | {"tool_calls": [CALL | {"type": "bogus"}]}), "messages[1].tool_calls[0].type", "or custom"),
    (history(CALLS | {"tool_calls": [CALL | {"id": 1}]}), "messages[1].tool_calls[0].id", "must be a text"),
    (history(CALLS | {"tool_calls": [CALL | {"function": {}}]}), "messages[1].tool_calls[0].function.name", "required"),
    ({"tools": {}}, "tools", "must be a list of objects, not an object"),
    ({"tools": [{}]}, "tools[0].type", "is required, and must be function or custom"),
    ({"tools": [TOOL, TOOL | {"type": "bogus"}]}, "tools[1].type", "must be function or custom, not `bogus`"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "is required"),
    ({"tools": [{"type": "function", "function": {"description": "x"}}]}, "tools[0].function.name", "is required"),
    ({"tools": ["f"]}, "tools[0]", "must be an object, not `f`"),
    ({"tools": [TOOL], "tool_choice": "bogus"}, "tool_choice", "must be none, auto or required, or an object"),
    ({"tools": [TOOL], "tool_choice": 5}, "tool_choice", "not 5"),
    ({"tools": [TOOL], "tool_choice": {"type": "bogus"}}, "tool_choice.type", "function, custom or allowed_tools"),
    ({"tools": [TOOL], "tool_choice": {}}, "tool_choice.type", "is required"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function", "is required"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name", "required"),
    (
        {"tools": [TOOL, {"function": {"name": "c"}}], "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
        "tool_choice.custom.name",
        "must be the name of one of the `tools`, not `c`",
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice.function.name",
        "must be the name of one of the `tools`, not `g`",
    ),
    ({"tool_choice": "auto"}, "tool_choice", "is only allowed where `tools` are given"),
    ({"tool_choice": "required", "tools": None}, "tool_choice", "is only allowed where `tools` are given"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "is only allowed where"),
    ({"tool_choice": "required", "tools": []}, "tool_choice", "is only allowed where `tools` are given"),
    ({"functions": [{}]}, "functions[0].name", "is required"),
    ({"function_call": 5}, "function_call", "must be an object"),
    ({"temperature": "hot"}, "temperature", "must be a number of at least 0, not `hot`"),
    ({"temperature": -1}, "temperature", "not -1"),
    ({"temperature": True}, "temperature", "not true"),
    ({"temperature": [1]}, "temperature", "not a list"),
    ({"top_p": 7}, "top_p", "must be a number from 0 to 1, not 7"),
    ({"top_p": "1e999"}, "top_p", "not `1e999`"),
    ({"frequency_penalty": -3}, "frequency_penalty", "from -2 to 2"),
    ({"presence_penalty": "x"}, "presence_penalty", "from -2 to 2"),
    ({"n": -1}, "n", "must be a whole number of at least 1, not -1"),
    ({"n": 0}, "n", "not 0"),
    ({"n": "x"}, "n", "must be a whole number"),
    ({"n": 1.5}, "n", "must be a whole number"),
    ({"max_tokens": -5}, "max_tokens", "of at least 1, not -5"),
    ({"max_tokens": 0}, "max_tokens", "of at least 1"),
    ({"max_completion_tokens": -1}, "max_completion_tokens", "of at least 1"),
    ({"seed": "x"}, "seed", "must be a whole number"),
    ({"top_logprobs": -1}, "top_logprobs", "of at least 0"),
    ({"logprobs": "yes"}, "logprobs", "must be true or false"),
    ({"logprobs": {}}, "logprobs", "must be true or false"),
    ({"logprobs": 5}, "logprobs", "must be true or false, not 5"),
    ({"stop": {}}, "stop", "must be a text, or a list of texts, not an object"),
    ({"stop": 5}, "stop", "not 5"),
    ({"stop": ["a", 5]}, "stop[1]", "not 5"),
    ({"stream": "yes"}, "stream", ""),
    ({"stream_options": "usage"}, "stream_options", ""),
    ({"response_format": "json"}, "response_format", "must be an object with a type, not `json`"),
    ({"response_format": {}}, "response_format.type", "text, json_object or json_schema"),
    ({"response_format": {"type": "bogus"}}, "response_format.type", "not `bogus`"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is required"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": 5}}},
        "response_format.json_schema.name",
        "must be a text, not 5",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}},
        "response_format.json_schema.schema",
        "must be an object",
    ),
    ({"metadata": "x"}, "metadata", "must be an object"),
    ({"metadata": []}, "metadata", "not an empty list"),
    ({"logit_bias": []}, "logit_bias", "must be an object"),
    ({"logit_bias": {"50256": "never"}}, "logit_bias.50256", "must be a number"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls", "must be true or false"),
    ({"store": "yes"}, "store", "must be true or false"),
    ({"user": 5}, "user", "must be a text"),
    ({"reasoning_effort": 5}, "reasoning_effort", "must be a text"),
    ({"model": 5}, "model", ""),
    ({"temperature": int("9" * 400), "top_p": int("9" * 400)}, "top_p", "not this"),
]


@pytest.mark.parametrize(
    ("more", "param", "words"), CHAT_REFUSED, ids=lambda value: None if value == "" else str(value)
)
async def test_a_chat_that_openai_refuses_is_refused_by_the_field_at_fault(
    upstream: FakeUpstream, client: httpx.AsyncClient, more: dict[str, Any], param: str, words: str
) -> None:
    answer = await client.post("/v1/chat/completions", json={"model": "m", "messages": [USER], **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", param), error
    assert words in error["message"]
    assert not [seen for seen in upstream.seen if seen.method == "POST"]


CHAT_TAKEN: list[dict[str, Any]] = [
    {"tool_choice": None, "tools": None, "temperature": None, "stop": None, "n": None, "metadata": None},
    {"tool_choice": "none"},
    {"tools": [], "tool_choice": "auto"},
    {"tools": [TOOL], "tool_choice": "any"},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": [TOOL], "tool_choice": {"function": {"name": "f"}}},
    {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
    {"tools": [{"function": {"name": "f"}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": "any", "strict": None}, "extra": 1}]},
    {"tools": [{"type": "custom", "custom": {"name": "f"}}, {"type": "builtin_function", "function": {"name": "$w"}}]},
    {"tools": [{"type": "browser_search"}]},
    {"temperature": 5.5, "top_p": 0, "top_k": -1, "min_p": 0.1, "frequency_penalty": 2, "seed": -1},
    {"temperature": "0.5", "max_tokens": "16", "n": 1.0},
    {"logprobs": 1, "top_logprobs": 0, "stop": "", "logit_bias": {"1": -100.0}, "response_format": {"type": "text"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    {"response_format": {"type": "json_schema", "schema": {}}},
    {"response_format": {"type": "grammar", "grammar": "root"}},
    {"metadata": {"tags": ["a"]}, "service_tier": "new", "reasoning_effort": "max", "unknown_field": {"role": "potato"}},
    {"continue_final_message": True, "add_generation_prompt": False, "guided_json": {}, "chat_template_kwargs": {}},
    history(CALLS, {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "ok"}], "name": None}),
    history({"role": "assistant"}, {"role": "assistant", "content": None, "reasoning_content": "hm", "refusal": None}),
    history(CALLS | {"tool_calls": [CALL | {"index": 0, "function": {"name": "f", "arguments": {"a": None}}}]}),
    history({"role": "assistant", "content": "", "tool_calls": []}),
    history({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}),
    history({"role": "function", "name": "f", "content": None}),
    {"messages": [{"role": "developer", "content": "x", "name": "ops"}, USER | {"cache_control": {"type": "ephemeral"}}]},
    said(),
    said({"text": "no type, as vLLM reads it"}, {"type": "image_url", "image_url": "data:image/png;base64,AA=="}),
    said({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}, {"type": "input_text", "text": "x"}),
]  # fmt: skip


@pytest.mark.parametrize("more", CHAT_TAKEN, ids=str)
async def test_what_servers_take_beyond_openai_reaches_them_as_it_came(
    upstream: FakeUpstream, client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    body = {"model": "m", "messages": [USER], **more}
    answer = await client.post("/v1/openai/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert upstream.seen[-1].body == json.loads(json.dumps(body).replace('"16"', "16"))


COMPLETION_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": []}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": {}}, "prompt"),
    ({"prompt": ["a", None]}, "prompt[1]"),
    ({"prompt": [[1, "a"]]}, "prompt[0]"),
    ({"prompt": [[]]}, "prompt[0]"),
    ({"prompt": [True]}, "prompt[0]"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"best_of": 0}, "best_of"),
    ({"logprobs": True}, "logprobs"),
    ({"echo": "yes"}, "echo"),
    ({"suffix": 5}, "suffix"),
    ({"temperature": "hot"}, "temperature"),
    ({"stop": {}}, "stop"),
]
EMBEDDINGS_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input"),
    ({"input": None}, "input"),
    ({"input": {"text": "a"}}, "input"),
    ({"input": ["a", {"text": "b"}]}, "input[1]"),
    ({"input": [1.5]}, "input[0]"),
    ({"dimensions": 0}, "dimensions"),
    ({"dimensions": "many"}, "dimensions"),
    ({"encoding_format": "bogus"}, "encoding_format"),
    ({"user": {}}, "user"),
]
COMPLETION_TAKEN: list[dict[str, Any]] = [
    {"prompt": ["a", [1, 2]], "logprobs": 20, "max_tokens": 0, "echo": True, "suffix": None, "best_of": 1},
    {"prompt": [1, 2], "use_beam_search": True},
    {"prompt": "", "guided_choice": ["a"]},
]
EMBEDDINGS_TAKEN: list[dict[str, Any]] = [
    {"input": [[1, 2], [3]], "dimensions": None, "encoding_format": None},
    {"input": [1, 2], "encoding_format": "bytes", "truncate_prompt_tokens": -1},
    {"input": "", "input_type": "query"},
]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        *(("/v1/completions", {"model": "m", "prompt": "a", **more}, param) for more, param in COMPLETION_REFUSED),
        *(("/v1/embeddings", {"model": "e", "input": "a", **more}, param) for more, param in EMBEDDINGS_REFUSED),
        *(("/v1/completions", {"model": "m", "prompt": "a", **more}, None) for more in COMPLETION_TAKEN),
        *(("/v1/embeddings", {"model": "e", "input": "a", **more}, None) for more in EMBEDDINGS_TAKEN),
    ],
    ids=str,
)
async def test_a_completion_and_an_embedding_are_held_to_the_same(
    upstream: FakeUpstream, client: httpx.AsyncClient, path: str, body: dict[str, Any], param: str | None
) -> None:
    upstream.replies["/v1/completions"] = status(200, COMPLETION)
    answer = await client.post(path, json=body)
    if param is None:
        assert answer.status_code == 200, answer.text
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


NAMES = sorted(
    {name for body, _, _ in CHAT_REFUSED for name in body}
    | {name for body, _ in (*COMPLETION_REFUSED, *EMBEDDINGS_REFUSED) for name in body}
)
KEYS = [
    "role",
    "content",
    "type",
    "text",
    "name",
    "function",
    "tool_calls",
    "tool_call_id",
    "image_url",
    "url",
    "json_schema",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES | st.sampled_from(["user", "assistant", "tool", "function", "text", "image_url", "json_schema", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_any_body_is_taken_or_refused_by_one_of_its_fields(more: dict[str, Any]) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [USER], "prompt": "a", "input": "a", **more}
    for kind in (ChatRequest, CompletionRequest, EmbeddingsRequest):
        param = refused_param(kind, json.dumps(body).encode())
        assert param is None or param.partition("[")[0].partition(".")[0] in body


def refused_param(kind: type[Wire], body: bytes) -> str | None:
    try:
        parse(kind, body)
    except InvalidRequest as refusal:
        return refusal.param or "none"
    return None
