"""The scripted model keeps to its script, on the wire, and refuses what chat servers refuse."""

import json
from typing import Any

import aiohttp
import pytest

from tests.parts.chat_rules import fault
from tests.parts.model_script import Call, Round, write_script
from tests.parts.scripted_model import CHAT, ScriptedModel
from tests.parts.upstream import running

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "docs__weather", "parameters": CITY}}
CALL = {"id": "c1", "type": "function", "function": {"name": "docs__weather", "arguments": "{}"}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


def tool(text: str, call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls or (CALL,))}


async def ask(model: ScriptedModel, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream, or the whole answer alone."""
    async with aiohttp.ClientSession() as http, http.post(model.url + CHAT, json=asked) as answer:
        text = await answer.text()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines or [text]]


async def say(asked: dict[str, Any], *queue: Round) -> list[dict[str, Any]]:
    model = ScriptedModel()
    model.queue.extend(queue)
    async with running(model):
        return await ask(model, asked)


async def test_a_script_is_gone_through_round_by_round_with_tools_whole_names_and_answers() -> None:
    script = user(write_script(Round(calls=(Call("weather", {"city": "Oslo"}),)), Round("It says {quote} {mark}")))
    [first] = await say(body(script, tools=[TOOL]))
    [call] = first["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "docs__weather", "arguments": '{"city": "Oslo"}'}
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    [second] = await say(body(script, calling(), tool("rain <|file-1|>"), tools=[TOOL]))
    assert second["choices"][0]["message"]["content"] == "It says rain <|file-1|> <|file-1|>"


async def test_a_stream_joins_to_the_whole_in_the_order_that_is_asked() -> None:
    said = Round("Look.", (Call("weather", {"city": "Oslo"}), Call("other", "{no json")), "I think", interleaved=True)
    asked = body(user("x"), tools=[TOOL], stream=True, stream_options={"include_usage": True}, logprobs=True)
    *chunks, usage = await say(asked, said)
    assert usage["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == "Look."
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls[:4]] == [0, 1, 0, 1]
    arguments = ["".join(call["function"]["arguments"] for call in calls if call["index"] == at) for at in (0, 1)]
    assert arguments == ['{"city": "Oslo"}', "{no json"]


async def test_without_a_script_it_calls_what_is_spoken_of_and_keeps_to_schemas_and_bounds() -> None:
    [called] = await say(body(user("What is the weather?"), tools=[TOOL]))
    assert called["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "CITY"}'
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    [filled] = await say(body(user("Which?"), response_format=wanted))
    assert filled["choices"][0]["message"]["content"] == '{"city": "CITY"}'
    [bounded] = await say(body(user("x"), max_tokens=1), Round("too long", reasoning="hm"))
    assert (bounded["choices"][0]["message"]["content"], bounded["choices"][0]["finish_reason"]) == (None, "length")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (body(user("x"), calling(), user("y")), "did not have response messages: c1"),
        (body(user("x"), calling()), "did not have response messages: c1"),
        (body(user("x"), tool("rain")), "must be a response to a preceding message"),
        (body(user("x"), {"role": "assistant", "content": "a"}, calling(), tool("b")), "one message of the assistant"),
        (body(user("x"), tool_choice="auto"), "only allowed when 'tools' are specified"),
        (body(user("x"), tools=[]), "empty array"),
        (body(user("x"), tools=[TOOL, TOOL]), "unique"),
        (body(user("x"), instructions="y"), "Unrecognized request argument supplied: instructions"),
        (body(), "empty array"),
    ],
)
def test_what_chat_servers_refuse_is_a_fault(asked: dict[str, Any], words: str) -> None:
    assert words in fault(asked)


async def test_a_fault_is_a_400() -> None:
    [refused] = await say(body(user("x"), instructions="y"))
    assert refused["error"]["type"] == "invalid_request_error"
