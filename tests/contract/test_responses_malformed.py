"""Whatever is in the place of a member of a request, the wire answers with a status that is not the stack's own fault, and what it keeps can be read."""

from collections.abc import AsyncIterator
from copy import deepcopy
import json
from pathlib import Path
from typing import Any, Final

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.apis.response_items import UNTOLD
from core.frame.types import JsonObject
from tests.parts.response_calls import CONVERSATIONS
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world

SHARED: Final = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
HEADERS: Final = {"content-type": "application/json"}
STACKS_FAULT: Final = 500
TEXT: Final = {"type": "input_text", "text": "hi"}
PARTS: Final[list[JsonObject]] = [
    TEXT,
    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
    {"type": "input_image", "file_id": "file-1"},
    {"type": "input_file", "file_data": "aGk=", "filename": "a.txt", "file_url": None},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation"}], "logprobs": []},
    {"type": "refusal", "refusal": "no"},
]
RESULT: Final = {"file_id": "f", "filename": "a", "score": 0.5, "text": "t", "attributes": {"a": 1}}
ITEMS: Final[list[JsonObject]] = [
    {"role": "user", "content": PARTS},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": PARTS[-2:]},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
    {"type": "function_call_output", "call_id": "c", "output": PARTS[:4]},
    {"type": "custom_tool_call", "call_id": "d", "name": "f", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
    {"type": "reasoning", "summary": [{"text": "a"}], "content": [{"text": "a"}], "encrypted_content": "TDEA"},
    {"type": "mcp_list_tools", "server_label": "box", "tools": [{"name": "f", "input_schema": {}, "annotations": {}}]},
    {"type": "mcp_call", "server_label": "box", "name": "f", "arguments": "{}", "output": "x", "error": {"type": "x"}},
    {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "box", "name": "f", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "no"},
    {"type": "file_search_call", "queries": ["q"], "results": [RESULT]},
    {"type": "web_search_call", "action": {"query": "q", "sources": [{"url": "u"}]}, "results": [{"url": "u"}]},
    {"type": "compaction", "encrypted_content": "TDEA"},
    {"type": "item_reference", "id": "msg_1"},
    *({"type": kind, "call_id": "c", "output": PARTS, "content": PARTS, "action": {}} for kind in sorted(UNTOLD)),
]
BODY: Final[JsonObject] = {
    "model": MODEL,
    "instructions": "Be brief.",
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 20,
    "metadata": {"a": "b"},
    "parallel_tool_calls": True,
    "prompt": {"id": "pmpt_" + "0" * 48, "version": "1", "variables": {"a": "b"}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "description": "d", "strict": True},
        {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "a"}},
        {
            "type": "mcp",
            "server_label": "box",
            "connector_id": "box",
            "allowed_tools": ["greet"],
            "headers": {"a": "b"},
        },
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a"]},
            "user_location": {},
            "search_context_size": "low",
        },
        {"type": "file_search", "vector_store_ids": ["vs_1"], "filters": {}, "ranking_options": {}},
        {"type": "local_shell"},
    ],
    "context_management": [{"type": "compaction", "compact_threshold": 100}],
    "guardrails": ["a"],
    "stream_options": {"include_obfuscation": False},
    "previous_response_id": "resp_1",
    "conversation": {"id": "conv_1"},
}
DEEP: Final[Any] = json.loads("[" * 190 + "]" * 190)
VALUES: Final[list[Any]] = [
    None, True, 0, -1, 7, 10**400, 1.5, float("nan"), float("inf"), "", "x", "\ud800", "\0", "../..", "a" * 3000,
    [], [5], ["x"], [None], {}, {"type": 5}, {"id": []}, [{"type": []}], [[]], {"": ""}, "data:,", "http://[", DEEP,
]  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: ResponseWorld) -> httpx.AsyncClient:
    return await world.client()


@st.composite
def bent(draw: st.DrawFn, value: Any) -> Any:
    """The value with something else in the place of a member, at any depth."""
    whole = deepcopy(value)
    holder, places = whole, list(whole if isinstance(whole, dict) else range(len(whole)))
    while places:
        place = draw(st.sampled_from(places))
        inner = holder[place]
        places = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        if not places or draw(st.integers(0, 2)) == 0:
            if draw(st.integers(0, 5)) == 0 and isinstance(holder, dict):
                del holder[place]
            else:
                holder[place] = draw(st.sampled_from(VALUES))
            break
        holder = inner
    return whole


INPUTS: Final = st.lists(st.sampled_from(ITEMS).flatmap(lambda item: st.one_of(bent(item), st.just(item))), max_size=3)


@st.composite
def bodies(draw: st.DrawFn) -> JsonObject:
    """A request with some members, of which one is bent, or an item of its input is."""
    names = draw(st.lists(st.sampled_from(sorted(BODY)), max_size=3, unique=True))
    body: JsonObject = {"model": MODEL, **{name: BODY[name] for name in names}}
    if draw(st.booleans()) and names:
        body = draw(bent(body))
    return {**body, "input": [*draw(INPUTS), {"role": "user", "content": "hi"}]}


async def post(client: httpx.AsyncClient, path: str, body: object) -> httpx.Response:
    answer = await client.post(path, content=json.dumps(body), headers=HEADERS)
    assert answer.status_code != STACKS_FAULT, (path, body, answer.text)
    return answer


async def check(client: httpx.AsyncClient, body: JsonObject) -> None:
    made = await post(client, RESPONSES, body)
    for path in ("/input_tokens", "/compact"):
        await post(client, RESPONSES + path, body)
    paths = [RESPONSES]
    if made.status_code == httpx.codes.OK and made.json()["store"]:
        paths += [f"{RESPONSES}/{made.json()['id']}{more}" for more in ("", "/input_items")]
        await post(client, RESPONSES, {"model": MODEL, "input": "and?", "previous_response_id": made.json()["id"]})
    begun = await post(client, CONVERSATIONS, {"items": body["input"][:3]})
    if begun.status_code == httpx.codes.OK:
        await post(client, RESPONSES, {"model": MODEL, "input": "and?", "conversation": begun.json()["id"]})
        paths += [f"{CONVERSATIONS}/{begun.json()['id']}/items"]
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code == httpx.codes.OK, (path, body, answer.text)


@settings(max_examples=8, suppress_health_check=SHARED)
@given(body=bodies())
async def test_no_body_is_the_stacks_own_fault(client: httpx.AsyncClient, body: JsonObject) -> None:
    await check(client, body)


@pytest.mark.exact
@settings(max_examples=400, suppress_health_check=SHARED)
@given(body=bodies())
async def test_none_of_many_bodies_is_the_stacks_own_fault(client: httpx.AsyncClient, body: JsonObject) -> None:
    await check(client, body)
