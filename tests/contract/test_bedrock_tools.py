"""Tools, calls and their history through Bedrock with the real SDK over its wire, as callers of OpenAI's API send them."""

from typing import Any

import pytest

from core.frame.types import JsonObject
from tests.parts.bedrock import EVENTS, HELLO, FakeBedrock, chat, collected, events, frames, serving, text_of
from tests.parts.upstream import status

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
FUNCTION: JsonObject = {"name": "files.read", "parameters": {"properties": {"path": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
LONG_ID = "call_pXBOyx6opJhG0BEGtOX9Kw3a|fc_0a7fa4c2d3b1486c0068f1c2a9d4b08193a2cbd1e6"
HISTORY: list[JsonObject] = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": LONG_ID, "type": "function", "function": {"name": "files.read", "arguments": '{"pa'}}],
    },
    {"role": "tool", "tool_call_id": LONG_ID, "content": "ok"},
]


def twice() -> FakeBedrock:
    """It calls the first of the tools that it is offered, two times at once: always, whatever it was asked."""

    async def whole(request: Any) -> Any:
        name = _offered(await request.json())
        uses = [{"toolUse": {"toolUseId": f"t{n}", "name": name, "input": {"path": str(n)}}} for n in (1, 2)]
        message = {"role": "assistant", "content": [{"text": "So."}, *uses]}
        return await status(200, HELLO | {"output": {"message": message}, "stopReason": "tool_use"})(request)

    async def streamed(request: Any) -> Any:
        name = _offered(await request.json())
        told: list[tuple[str, dict[str, Any]]] = [*EVENTS[:4]]
        for block in (1, 2):
            at = {"contentBlockIndex": block}
            told += [
                ("contentBlockStart", at | {"start": {"toolUse": {"toolUseId": f"t{block}", "name": name}}}),
                ("contentBlockDelta", at | {"delta": {"toolUse": {"input": f'{{"path": "{block}"}}'}}}),
                ("contentBlockStop", at),
            ]
        return await frames(events([*told, ("messageStop", {"stopReason": "tool_use"})]))(request)

    return FakeBedrock(replies={"converse": whole, "converse-stream": streamed})


def _offered(body: JsonObject) -> str:
    return str(body.get("toolConfig", {"tools": [{"toolSpec": {"name": "f"}}]})["tools"][0]["toolSpec"]["name"])


def calls_of(chunks: list[JsonObject]) -> list[JsonObject]:
    return [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]


async def test_one_call_at_most_comes_back_by_the_name_that_was_given() -> None:
    async with serving(twice()) as (fake, bedrock):
        asked = {"model": CLAUDE, "tools": TOOLS, "parallel_tool_calls": False}
        answer = await bedrock.chat_completion(chat(**asked))
        chunks = await collected(bedrock, **asked)
    one = {"type": "auto", "disable_parallel_tool_use": True}
    assert [seen.body["additionalModelRequestFields"] for seen in fake.seen] == [{"tool_choice": one}] * 2
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert (call["id"], call["function"]) == ("t1", {"name": "files.read", "arguments": '{"path": "1"}'})
    assert [call.get("id") for call in calls_of(chunks)] == ["t1", None]
    assert chunks[-1]["choices"][0]["finish_reason"] == answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_conversation_with_calls_needs_no_tools_and_no_call_comes_back() -> None:
    async with serving(twice()) as (fake, bedrock):
        for more in ({}, {"tools": TOOLS, "tool_choice": "none"}, {"tools": [], "parallel_tool_calls": False}):
            answer = await bedrock.chat_completion(chat(model=CLAUDE, messages=HISTORY, **more))
            chunks = await collected(bedrock, model=CLAUDE, messages=HISTORY, **more)
            assert answer["choices"][0]["message"] == {"role": "assistant", "content": "So."}
            assert (text_of(chunks), calls_of(chunks)) == ("Hello", [])
            assert chunks[-1]["choices"][0]["finish_reason"] == answer["choices"][0]["finish_reason"] == "stop"
    said = '[Called the tool files.read with {"unreadable_arguments": "{\\"pa"}]'
    assert all(seen.body["messages"][1]["content"] == [{"text": said}] for seen in fake.seen)


async def test_a_history_that_a_model_wrote_goes_back_to_it() -> None:
    async with serving(twice()) as (fake, bedrock):
        await bedrock.chat_completion(chat(model=CLAUDE, messages=HISTORY, tools=TOOLS))
    (use,), (result,) = (turn["content"] for turn in fake.seen[0].body["messages"][1:])
    assert use["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert len(use["toolUse"]["toolUseId"]) <= 64
    assert use["toolUse"]["input"] == {"unreadable_arguments": '{"pa'}
    assert use["toolUse"]["name"] == _offered(fake.seen[0].body) != "files.read"


async def test_the_older_form_is_answered_in_the_older_form() -> None:
    async with serving(twice()) as (_, bedrock):
        asked = {"model": CLAUDE, "functions": [FUNCTION], "function_call": {"name": "files.read"}}
        answer = await bedrock.chat_completion(chat(**asked))
        chunks = await collected(bedrock, **asked)
    called = {"name": "files.read", "arguments": '{"path": "1"}'}
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "So.", "function_call": called}
    pieces = [delta["function_call"] for chunk in chunks if "function_call" in (delta := chunk["choices"][0]["delta"])]
    assert pieces == [called | {"arguments": ""}, {"arguments": called["arguments"]}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("usage", [False, True])
async def test_a_model_that_streams_no_tools_is_asked_for_a_whole_answer(*, usage: bool) -> None:
    async with serving(twice()) as (fake, bedrock):
        options = {"stream_options": {"include_usage": usage}}
        guardrail = {"guardrailIdentifier": "gr1", "guardrailVersion": "1", "streamProcessingMode": "async"}
        chunks = await collected(bedrock, model=LLAMA, tools=TOOLS, guardrail_config=guardrail, **options)
        assert text_of(await collected(bedrock, model=LLAMA)) == "Hello"
    assert fake.operations() == ["converse", "converse-stream"]
    assert fake.seen[0].body["guardrailConfig"] == {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}
    assert text_of(chunks) == "So."
    assert [call["index"] for call in calls_of(chunks)] == [0, 0, 1, 1]
    ends = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert (ends, chunks[-1]["choices"] == []) == (["tool_calls"], usage)
