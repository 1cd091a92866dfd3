"""What goes wrong with a response, on the wire: the status, and the message that a person reads.

Rows of shapes are held to their rules in tests/unit; here is what takes a model, a tool's server, a database or another caller to go wrong.
"""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any, Final

import pytest

from core.services.responses.state.records import CONVERSATION, RESPONSE
from tests.parts.expiring import expire
from tests.parts.model_script import Call, Round
from tests.parts.response_calls import ADA, BOB, CONVERSATIONS, MISSING, answer, ask, box, kinds, refusal, text_of
from tests.parts.response_stack import RESPONSES, ResponseWorld, response_world

WEATHER: Final[dict[str, Any]] = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


def told(world: ResponseWorld) -> list[str]:
    """What tools' messages said in the last request to the model."""
    return [message["content"] for message in world.model.chats[-1]["messages"] if message["role"] == "tool"]


async def test_what_is_anothers_is_not_there(world: ResponseWorld) -> None:
    client = await world.client(auth=True)
    made = await answer(client, input="Hi")
    conversation = (await client.post(CONVERSATIONS, json={}, headers=ADA)).json()["id"]
    for method, path, absent in (
        ("GET", f"{RESPONSES}/{made['id']}", f"{RESPONSES}/{MISSING}"),
        ("DELETE", f"{RESPONSES}/{made['id']}", f"{RESPONSES}/{MISSING}"),
        ("GET", f"{RESPONSES}/{made['id']}/input_items", f"{RESPONSES}/{MISSING}/input_items"),
        ("POST", f"{RESPONSES}/{made['id']}/cancel", f"{RESPONSES}/{MISSING}/cancel"),
        ("GET", f"{CONVERSATIONS}/{conversation}", f"{CONVERSATIONS}/conv_{'0' * 48}"),
        ("DELETE", f"{CONVERSATIONS}/{conversation}", f"{CONVERSATIONS}/conv_{'0' * 48}"),
        ("GET", f"{CONVERSATIONS}/{conversation}/items", f"{CONVERSATIONS}/conv_{'0' * 48}/items"),
    ):
        theirs, nobodys = [refusal(await client.request(method, each, headers=BOB)) for each in (path, absent)]
        assert theirs[0] == nobodys[0] == 404, (method, path, theirs)
        own = {made["id"]: MISSING, conversation: f"conv_{'0' * 48}"}
        named = next(name for name in own if name in path)
        assert theirs[1].replace(named, own[named]) == nobodys[1]
    for more in ({"previous_response_id": made["id"]}, {"conversation": conversation}):
        assert refusal(await ask(client, input="Hi", who=BOB, **more))[0] == 404
    assert len(world.model.chats) == 1
    assert (await client.get(f"{RESPONSES}/{made['id']}", headers=ADA)).status_code == 200


async def test_what_has_expired_is_not_there(world: ResponseWorld) -> None:
    client = await world.client(auth=True)
    made = await answer(client, input="Hi")
    conversation = (await client.post(CONVERSATIONS, json={}, headers=ADA)).json()["id"]
    await expire(world.document(auth=True), (RESPONSE, made["id"]), (CONVERSATION, conversation))
    for more in ({"previous_response_id": made["id"]}, {"conversation": conversation}):
        for background in (False, True):
            assert refusal(await ask(client, input="Hi", background=background, **more))[0] == 404
    paths = (RESPONSES, made["id"]), (CONVERSATIONS, conversation)
    for method, path in (
        *((method, f"{place}/{name}") for place, name in paths for method in ("GET", "DELETE")),
        ("GET", f"{RESPONSES}/{made['id']}?stream=true"),
        ("GET", f"{RESPONSES}/{made['id']}/input_items"),
        ("POST", f"{RESPONSES}/{made['id']}/cancel"),
        ("GET", f"{CONVERSATIONS}/{conversation}/items"),
    ):
        assert (await client.request(method, path, headers=ADA)).status_code == 404, (method, path)
    assert (await client.get(RESPONSES, headers=ADA)).json()["data"] == []
    assert len(world.model.chats) == 1


async def test_requests_that_nobody_could_answer_ask_nobody(world: ResponseWorld) -> None:
    client = await world.client()
    rows: list[tuple[dict[str, Any], str]] = [
        ({"background": True, "store": False}, "background"),
        ({"previous_response_id": MISSING, "conversation": "conv_" + "0" * 48}, "previous_response_id"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"include": ["all"]}, "file_search_call.results"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "file_search"}]}, "vector_store_ids"),
        ({"tools": [{"type": "file-search", "vector_store_ids": ["vs_1"]}]}, "did you mean `file_search`"),
        ({"tools": [{"type": "functoin", "name": "f"}]}, "did you mean `function`"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "server_url"),
        ({"tools": [{"type": "mcp", "server_label": "a", "server_url": "http://[::1"}]}, "server_url"),
        ({"tool_choice": {"type": "function", "name": "nothing"}}, "nothing"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"input": [{"type": "unheard_of"}]}, "input[0]"),
        ({"input": [{"type": "computer_call"}]}, "nothing in it, or before it, that a model is told"),
        ({"input": [{"role": "narrator", "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "c"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "msg_1"),
        ({"input": [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}]}, "mcpr_1"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "schema"),
    ]
    for more, words in rows:
        found = await ask(client, **{"input": "Hi", **more})
        status, message = (found.status_code, "") if found.status_code < 400 else refusal(found)
        assert (status, words in message) == (400, True), (more, status, message)
    assert not world.model.chats


async def test_parameters_that_no_chat_model_has_stay_here(world: ResponseWorld) -> None:
    """The scripted model refuses what it does not know."""
    client = await world.client()
    given: dict[str, Any] = {
        "truncation": "auto",
        "store": False,
        "background": False,
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "service_tier": "auto",
        "user": "u",
        "max_tool_calls": 3,
        "metadata": {"k": "v"},
        "include": ["reasoning.encrypted_content", "code_interpreter_call.outputs"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "text"}},
        "stream_options": {"include_obfuscation": False},
        "client_metadata": {"k": "v"},
        "tools": [{"type": "local_shell"}, {"type": "code_interpreter", "container": {"type": "auto"}}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    found = await answer(client, input="Hi", **given)
    assert found["status"] == "completed"
    for name in ("truncation", "store", "prompt_cache_key", "safety_identifier", "metadata", "max_tool_calls"):
        assert found[name] == given[name], name
    assert not {"tools", "truncation", "metadata", "store", "include"} & world.model.chats[-1].keys()


async def test_a_loop_of_tools_ends_by_its_bounds(world: ResponseWorld) -> None:
    client = await world.client()
    endless = Round(calls=(Call("greet", {"name": "Bo"}),))
    found = await answer(client, endless, tools=[box(world)], max_infer_iters=3)
    assert len(world.model.chats) == 3
    assert found["status"] in {"completed", "incomplete"}
    world.model.seen.clear()
    found = await answer(client, endless, tools=[box(world)])
    assert len(world.model.chats) == 10
    world.model.seen.clear()
    world.server.calls.clear()
    found = await answer(client, endless, Round("{quote}"), tools=[box(world)], max_tool_calls=1)
    assert found["status"] == "completed"
    found = await answer(client, endless, endless, endless, Round("done"), tools=[box(world)], max_tool_calls=2)
    assert world.server.count("tools/call") == 3
    assert kinds(found).count("mcp_call") >= 2
    assert found["status"] == "completed"


async def test_a_models_own_mistakes_are_told_to_the_model(world: ResponseWorld) -> None:
    client = await world.client()
    for call in (Call("greet", "{no json"), Call("greet", "[]"), Call("no_such_tool"), Call("add", {"a": "x"})):
        found = await answer(client, Round(calls=(call,)), Round("I see: {quote}"), tools=[box(world)])
        assert found["status"] == "completed", call
        assert len(told(world)) == 1, call
        assert told(world)[0], call
        assert text_of(found).startswith("I see: "), call
    assert world.server.count("tools/call") == 0


async def test_what_a_tools_server_does_wrong_is_an_item_and_told_to_the_model(world: ResponseWorld) -> None:
    client = await world.client()
    for name in ("vanish", "fail"):
        found = await answer(client, Round(calls=(Call(name),)), Round("I see: {quote}"), tools=[box(world)])
        [call] = [item for item in found["output"] if item["type"] == "mcp_call"]
        assert (found["status"], call["status"], call["output"]) == ("completed", "failed", None), found
        assert call["error"]
        assert told(world)[0]
    gone = await ask(client, input="Hi", tools=[box(world, server_url="http://127.0.0.1:9/mcp")])
    status, message = refusal(gone)
    assert (status, "box" in message) == (424, True), (status, message)


async def test_stores_and_connectors_that_are_not_there_are_refused_before_a_model_is_asked(
    world: ResponseWorld,
) -> None:
    client = await world.client(auth=True)
    store = (await client.post("/v1/vector_stores", json={"name": "own"}, headers=ADA)).json()["id"]
    for tool in (
        {"type": "file_search", "vector_store_ids": ["vs_none"]},
        {"type": "mcp", "server_label": "a", "connector_id": "none"},
    ):
        found = await ask(client, input="Hi", tools=[tool])
        assert found.status_code in {400, 404}, found.text
    theirs = await ask(client, input="Hi", tools=[{"type": "file_search", "vector_store_ids": [store]}], who=BOB)
    assert theirs.status_code == 404
    assert not world.model.chats


async def test_approval_is_of_what_was_asked_and_once(world: ResponseWorld) -> None:
    client = await world.client()
    tools = [box(world, require_approval="always")]
    asked = await answer(client, Round(calls=(Call("greet", {"name": "Bo"}),)), Round("{quote}"), tools=tools)
    request = asked["output"][-1]["id"]
    approved = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    here = {"previous_response_id": asked["id"], "tools": tools}
    first = await answer(client, input=[approved], **here)
    assert "mcp_call" in kinds(first)
    again = await answer(client, input=[approved], previous_response_id=first["id"], tools=tools)
    assert "mcp_call" not in kinds(again)
    assert world.server.count("tools/call") == 1
    without = refusal(await ask(client, input=[approved], tools=tools))
    assert (without[0], "previous_response_id" in without[1]) == (400, True)


@pytest.mark.parametrize("ends", ["unfinished", "error", "cut"])
async def test_a_model_that_ends_without_a_finish_fails_the_response(world: ResponseWorld, ends: Any) -> None:
    client = await world.client()
    said = Round("Hello there, how are you?", ends=ends)
    found = await answer(client, said)
    assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
    assert found["output"][0]["status"] == "incomplete"
    assert "127.0.0.1" not in json.dumps(found)
    kept = (await client.get(f"{RESPONSES}/{found['id']}")).json()
    assert kept["status"] == "failed"
    streamed = await ask(client, said, stream=True)
    names = [line.removeprefix("event: ") for line in streamed.text.splitlines() if line.startswith("event: ")]
    assert names[-1] == "response.failed"
    assert names.count("response.output_item.added") == names.count("response.output_item.done")


async def test_a_model_that_refuses_is_a_status(world: ResponseWorld) -> None:
    client = await world.client()
    for status, ours in ((400, 400), (401, 502), (429, 429), (500, 502)):
        for stream in (False, True):
            found = await ask(client, Round(status=status), stream=stream)
            assert found.status_code == ours, (status, found.text)
    assert (await ask(client, input="Hi", model="local/none")).status_code == 404


async def test_a_context_that_is_too_long_is_refused_or_cut(world: ResponseWorld) -> None:
    client = await world.client()
    world.model.window = 4
    last: dict[str, Any] = {"id": None}
    for number in range(4):
        asked = {"input": f"question {number}", "previous_response_id": last["id"], "truncation": "auto"}
        last = await answer(client, **asked)
    assert world.model.chats[-1]["messages"][-1]["content"] == "question 3"
    assert "question 0" not in json.dumps(world.model.chats[-1])
    asked = {"input": "question 4", "previous_response_id": last["id"]}
    status, message = refusal(await ask(client, **asked))
    assert (status, "context" in message) == (400, True), message


async def test_an_image_of_20_mb_is_refused_as_too_large(world: ResponseWorld) -> None:
    client = await world.client()
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * (28 * 1024 * 1024)}
    found = await ask(client, input=[{"role": "user", "content": [image]}])
    assert found.status_code in {400, 413}, found.text[:300]
    assert "image" in refusal(found)[1] or "body" in refusal(found)[1]
    assert not world.model.chats


async def test_a_run_ends_where_its_callers_tokens_are_used_up(world: ResponseWorld) -> None:
    client = await world.client(auth=True, quota={"authenticated_max_tokens": 300})
    endless = Round(calls=(Call("greet", {"name": "Bo"}),))
    found = await answer(client, endless, tools=[box(world)], max_infer_iters=100)
    assert (found["status"], found["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert "what was left of your tokens is used up" in found["error"]["message"]
    assert 300 <= found["usage"]["total_tokens"] < 450
    assert (await ask(client, input="Hi")).status_code == 429
    assert (await ask(client, input="Hi", who=BOB)).status_code == 200


async def test_a_call_that_comes_twice_is_told_as_two(world: ResponseWorld) -> None:
    client = await world.client()
    asked = await answer(client, Round(calls=(Call("weather"),)), Round("done"), tools=[WEATHER])
    result = {"type": "function_call_output", "call_id": asked["output"][0]["call_id"], "output": "sunny"}
    again = [*asked["output"], result]
    assert (await answer(client, input=again, previous_response_id=asked["id"]))["status"] == "completed"
    assert told(world) == ["There is no output of this call.", "sunny"]
