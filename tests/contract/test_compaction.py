"""Compaction over HTTP: what it answers and what a model is told of it later; whose it is; and contexts that are made shorter by themselves."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.config.load import interpret
from tests.parts.file_stack import FileWorld, by, file_world
from tests.parts.live_stack import client_over
from tests.parts.response_schema import check_stream, read_events
from tests.parts.upstream import CHAT, Reply, stream

ADA, BOB = by("ada"), by("bob")
SUMMARY = "The user likes tea and asked about Rome."
ASKED = "Write the summary now."
PATH = "/v1/responses"


def say(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
DIALOGUE = [say("user", "I like tea."), say("assistant", "So do I."), say("user", "Rome?"), CALL, OUTPUT]


def _is_summary(body: Any) -> bool:
    return str(body["messages"][-1]["content"]).endswith(ASKED)


async def _chat(request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    if _is_summary(body):
        message = {"role": "assistant", "content": SUMMARY}
        usage = {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59}
        return web.json_response(
            {**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        )
    text = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    reply: Reply = stream([{**head, "choices": [text]}, {**head, "choices": [], "usage": CHAT["usage"]}])
    return await reply(request)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        world.upstream.replies |= {"/v1/chat/completions": _chat, "/chat/completions": _chat}
        yield world


def document_of(world: FileWorld, **compaction: Any) -> dict[str, Any]:
    document = world.document()
    config = {"compaction_config": compaction} if compaction else {}
    builtin = {"provider_id": "builtin", "provider_type": "inline::builtin", "config": config}
    local = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": world.upstream.url}}
    model = {"model_id": "m", "provider_id": "local", "provider_model_id": "m", "model_type": "llm"}
    providers = {"responses": [builtin], "inference": [local]}
    return document | {"apis": ["responses", "inference"], "providers": providers, "models": [model]}


@pytest.fixture
async def client(world: FileWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with client_over(interpret(document_of(world), {})) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str = PATH, who: dict[str, str] = ADA, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json={"model": "m", **body}, headers=who)
    assert answer.status_code == 200, answer.text
    response: dict[str, Any] = answer.json()
    return response


def told(world: FileWorld) -> list[Any]:
    """The messages of the last request of a model."""
    messages: list[Any] = world.upstream.seen[-1].body["messages"]
    return messages


async def test_the_messages_of_the_user_stay_and_a_summary_stands_for_the_rest(
    world: FileWorld, client: httpx.AsyncClient
) -> None:
    compacted = await post(client, f"{PATH}/compact", input=DIALOGUE, instructions="Be kind.")
    first, second, item = compacted["output"]
    assert compacted["object"] == "response.compaction"
    assert (compacted["usage"]["input_tokens"], compacted["usage"]["output_tokens"]) == (50, 9)
    assert [message["content"][0]["text"] for message in (first, second)] == ["I like tea.", "Rome?"]
    assert item["type"] == "compaction"
    assert SUMMARY[:8] not in item["encrypted_content"]
    asked = told(world)
    assert "Be kind." in asked[0]["content"]
    assert "[user]\nI like tea.\n\n[assistant]\nSo do I." in asked[1]["content"]
    assert 'calls weather with {"city": "Rome"}\n\n[result of a tool]\nsunny' in asked[1]["content"]

    response = await post(client, input=[*compacted["output"], say("user", "And now?")])
    assert response["output"][0]["content"][0]["text"] == "Hi"
    texts = [message["content"] for message in told(world)]
    assert texts[:2] == ["I like tea.", "Rome?"]
    assert texts[2].endswith(f"\n\n{SUMMARY}")
    assert texts[3] == "And now?"

    follows = await post(client, previous_response_id=response["id"], input="Still?")
    assert [message["content"] for message in told(world)] == [*texts, "Hi", "Still?"]
    again = await post(client, f"{PATH}/compact", previous_response_id=follows["id"])
    assert [message.get("role") for message in again["output"]] == ["user", "user", "user", "user", None]
    assert SUMMARY in told(world)[1]["content"]


async def test_a_compaction_is_its_owners_and_as_it_was(client: httpx.AsyncClient) -> None:
    item = (await post(client, f"{PATH}/compact", input=DIALOGUE))["output"][-1]
    sealed = item["encrypted_content"]
    for who, content in ((BOB, sealed), (ADA, sealed[:-4] + "AAAA"), (ADA, SUMMARY), (ADA, sealed[:40])):
        for path in ("", "/compact", "/input_tokens"):
            body = {"model": "m", "input": [say("user", "Go on."), {**item, "encrypted_content": content}]}
            answer = await client.post(f"{PATH}{path}", json=body, headers=who)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, "input[1].encrypted_content")
            assert error["message"].startswith("input[1].encrypted_content: this compaction was not made here for you")


async def test_a_conversation_takes_no_compaction_that_nobody_can_open(
    world: FileWorld, client: httpx.AsyncClient
) -> None:
    item = (await post(client, f"{PATH}/compact", input=DIALOGUE))["output"][-1]
    made = await client.post("/v1/conversations", json={"items": [item]}, headers=ADA)
    conversation = made.json()["id"]
    await post(client, input="And now?", conversation=conversation)
    assert SUMMARY in told(world)[0]["content"]
    forged = {**item, "encrypted_content": SUMMARY}
    for path, who in (("", BOB), ("", ADA), (f"/{conversation}/items", ADA)):
        sent = item if who is BOB else forged
        answer = await client.post(f"/v1/conversations{path}", json={"items": [sent]}, headers=who)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "items[0].encrypted_content")


async def test_a_context_beyond_its_bound_is_made_shorter_before_the_model_is_asked(
    world: FileWorld, client: httpx.AsyncClient
) -> None:
    bound = [{"type": "compaction", "compact_threshold": 120}]
    before = await post(
        client, input=[say("user", "long " * 80), say("assistant", "yes " * 80)], context_management=None
    )
    answer = await client.post(
        PATH,
        json={
            "model": "m",
            "previous_response_id": before["id"],
            "input": "Now?",
            "stream": True,
            "context_management": bound,
        },
        headers=ADA,
    )
    events = read_events(answer.text)
    response = check_stream(events)
    assert [item["type"] for item in response["output"]] == ["compaction", "message"]
    kinds = [event["type"] for event in events if event.get("output_index") == 0]
    assert kinds == ["response.output_item.added", "response.compaction.compacting", "response.output_item.done"]
    assert [message["content"][-len(SUMMARY) :] for message in told(world)] == [SUMMARY, "Now?"]

    await post(client, previous_response_id=response["id"], input="And then?", context_management=bound)
    texts = [message["content"] for message in told(world)]
    assert texts[0].endswith(SUMMARY)
    assert texts[1:] == ["Now?", "Hi", "And then?"]
    tools: list[Any] = [{"type": "function", "name": "weather", "parameters": {}}]
    await post(
        client,
        input=[say("user", "long " * 90), CALL, {**OUTPUT, "output": "sunny " * 90}],
        tools=tools,
        context_management=bound,
    )
    assert [message["content"][-len(SUMMARY) :] for message in told(world)] == [
        ("long " * 90)[-len(SUMMARY) :],
        SUMMARY,
    ]


async def test_no_summary_stands_for_the_prompt(world: FileWorld, client: httpx.AsyncClient) -> None:
    prompt = (await client.post("/v1/prompts", json={"prompt": "Be {{ how }}."}, headers=ADA)).json()["prompt_id"]
    named = {"id": prompt, "variables": {"how": "kind"}}
    bound = [{"type": "compaction", "compact_threshold": 100}]
    long = [say("user", "long " * 90), say("assistant", "yes " * 90), say("user", "Now?")]
    await post(client, input=long, prompt=named, context_management=bound)
    assert [message["content"][-len(SUMMARY) :] for message in told(world)] == ["Be kind.", SUMMARY, "Now?"]


async def test_a_question_that_is_too_long_alone_is_asked_as_it_is(world: FileWorld, client: httpx.AsyncClient) -> None:
    bound = [{"type": "compaction", "compact_threshold": 100}]
    response = await post(client, input=[say("user", "Hi"), say("user", "long " * 200)], context_management=bound)
    assert [item["type"] for item in response["output"]] == ["message"]
    assert len(told(world)) == 2


@pytest.mark.parametrize(
    "management", [[{"type": "other"}], "compaction", [{"type": "compaction", "compact_threshold": 0}], [1]]
)
async def test_what_is_no_bound_is_said(client: httpx.AsyncClient, management: Any) -> None:
    for background in (False, True):
        body = {"model": "m", "input": "x", "context_management": management, "background": background}
        answer = await client.post(PATH, json=body, headers=ADA)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == "context_management"


async def test_a_compaction_is_opened_before_a_response_is_queued(world: FileWorld, client: httpx.AsyncClient) -> None:
    item = (await post(client, f"{PATH}/compact", input=DIALOGUE))["output"][-1]
    first = await post(client, input=[item, say("user", "And now?")])
    asked = sum(seen.path.endswith("/chat/completions") for seen in world.upstream.seen)
    alone = await post(client, input=[item], background=True)  # it is all that the model is told
    bounds = [{"type": "compaction", "compact_threshold": 100_000}]
    bounded = await post(client, input="Hi", background=True, context_management=bounds)
    assert (alone["status"], bounded["status"]) == ("queued", "queued")
    forged = [say("user", "Go on."), {**item, "encrypted_content": SUMMARY}]
    for more in ({}, {"previous_response_id": first["id"]}):
        body = {"model": "m", "input": forged, "background": True, **more}
        answer = await client.post(PATH, json=body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[1].encrypted_content")
    assert sum(seen.path.endswith("/chat/completions") for seen in world.upstream.seen) == asked


async def test_the_run_config_says_how(world: FileWorld) -> None:
    how = {"summarization_prompt": "In verse.", "summary_prefix": "Before:", "default_compact_threshold": 256}
    async with client_over(interpret(document_of(world, **how), {})) as client:
        await post(client, input=[say("user", "long " * 200), say("assistant", "yes " * 90), say("user", "Now?")])
        summary, last = told(world)
        assert summary["content"] == f"Before:\n\n{SUMMARY}"
        assert last["content"] == "Now?"
        assert world.upstream.seen[-2].body["messages"][0]["content"].startswith("In verse.")


async def test_thoughts_are_sealed_for_who_asks_to_keep_them(world: FileWorld, client: httpx.AsyncClient) -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"reasoning_content": "Tea or coffee?"}, {"content": "Tea."}]
    choices = [
        {"index": 0, "delta": delta, "finish_reason": "stop" if "content" in delta else None} for delta in deltas
    ]
    reply = stream([{**head, "choices": [choice]} for choice in choices])
    world.upstream.replies |= {"/v1/chat/completions": reply, "/chat/completions": reply}
    include = ["reasoning.encrypted_content"]
    thought, message = (await post(client, input="Tea?", include=include, store=False))["output"]
    assert thought["type"] == "reasoning"
    assert "Tea" not in thought["encrypted_content"]
    await post(client, input=[say("user", "Tea?"), thought, message, say("user", "Why?")], include=include, store=False)
    assert [told_to["content"] for told_to in told(world)] == ["Tea?", "Tea.", "Why?"]
    assert "encrypted_content" not in (await post(client, input="Tea?"))["output"][0]


async def test_there_must_be_something_to_compact_and_a_summary_of_it(
    world: FileWorld, client: httpx.AsyncClient
) -> None:
    empty = await client.post(f"{PATH}/compact", json={"model": "m"}, headers=ADA)
    assert (empty.status_code, empty.json()["error"]["param"]) == (400, "input")
    missing = await client.post(f"{PATH}/compact", json={"input": "x"}, headers=ADA)
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "model")

    async def refuse(request: web.Request) -> web.StreamResponse:
        del request
        message = {"role": "assistant", "content": None, "refusal": "No."}
        return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    world.upstream.replies |= {"/v1/chat/completions": refuse, "/chat/completions": refuse}
    refused = await client.post(f"{PATH}/compact", json={"model": "m", "input": "x"}, headers=ADA)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_filter")


async def test_tokens_of_an_input_are_those_that_a_model_would_be_told(client: httpx.AsyncClient) -> None:
    async def count(**body: Any) -> int:
        answer = await post(client, f"{PATH}/input_tokens", **body)
        assert answer["object"] == "response.input_tokens"
        number: int = answer["input_tokens"]
        return number

    plain = await count(input="Hello there, how are you?")
    assert 7 < plain < 20
    assert await count(input="Hello there, how are you?", instructions="Be kind to everybody.") > plain
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    assert await count(input="Hello there, how are you?", tools=[tool]) > plain + 5
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}
    assert await count(input=[image]) > 900
    response = await post(client, input="Hello there, how are you?")
    assert await count(input="x", previous_response_id=response["id"]) > plain
