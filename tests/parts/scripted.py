"""One model with a script, on two wires: an OpenAI-compatible upstream and Bedrock answer the same to the same conversation.

What it says is made from what it was sent, as each wire tells it, so that a loss on the way shows in the answer.
"""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
import json
from typing import Any, Final

from aiohttp import web

from tests.parts import bedrock
from tests.parts.bedrock import FakeBedrock, frames
from tests.parts.upstream import FakeUpstream, Reply, status, stream

USAGE: Final = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CONVERSE_USAGE: Final = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
CONVERSE_FINISH: Final = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "guardrail_intervened",
}


@dataclass(frozen=True)
class Heard:
    """A conversation, whichever wire told it: the last message's text, image and tool results, and what the rest asks for."""

    text: str
    system: str
    image: tuple[str, bytes] | None
    results: tuple[tuple[str, str], ...]
    tools: tuple[str, ...]
    schema: dict[str, Any] | None
    limit: int | None


@dataclass(frozen=True)
class Said:
    text: str = ""
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    finish: str = "stop"


def answer(heard: Heard) -> Said:
    """The script."""
    if heard.text in CONVERSE_FINISH:
        return Said('{"ci', finish=heard.text)
    if heard.results:
        return Said("; ".join(f"{call}: {result}" for call, result in heard.results))
    if heard.tools:
        cities = heard.text.split(" and ")
        calls = tuple((f"call_{n}", heard.tools[0], {"city": city, "unit": None}) for n, city in enumerate(cities))
        return Said("I will look.", calls, "tool_calls")
    if heard.image is not None:
        kind, content = heard.image
        return Said(f"{heard.text}: {kind}, {len(content)} bytes")
    if heard.schema is not None:
        return Said(json.dumps({name: name.upper() for name in heard.schema["properties"]}))
    return Said(f"{heard.system}|{heard.text}|{heard.limit}")


def upstream() -> FakeUpstream:
    return FakeUpstream(replies={"/v1/chat/completions": _over_openai})


def converse() -> FakeBedrock:
    return FakeBedrock(replies={"converse": _over(converse_reply), "converse-stream": _over(converse_stream)})


def throttled(fake: FakeUpstream) -> None:
    """From now on every call is one too many."""
    refused = bedrock.refusal(429, "ThrottlingException", headers={"retry-after": "1"})
    for name in ("/v1/chat/completions", "converse", "converse-stream"):
        fake.replies[name] = refused


async def _over_openai(request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    said = answer(heard_openai(body))
    if not body.get("stream"):
        message = {"role": "assistant", "content": said.text, **({"tool_calls": calls_of(said)} if said.calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": said.finish}
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return await status(200, {**reply, "usage": USAGE})(request)
    return await stream(_chunks(said))(request)


def heard_openai(body: dict[str, Any]) -> Heard:
    messages = body["messages"]
    last = messages[-1]["content"]
    parts: list[Any] = [{"type": "text", "text": last}] if isinstance(last, str) else last
    url = next((part["image_url"]["url"] for part in parts if part["type"] == "image_url"), None)
    image = None if url is None else (url[5:].partition(";")[0], b64decode(url.partition(",")[2]))
    return Heard(
        text="".join(part["text"] for part in parts if part["type"] == "text"),
        system="".join(each["content"] for each in messages if each["role"] == "system"),
        image=image,
        results=tuple((each["tool_call_id"], each["content"]) for each in messages if each["role"] == "tool"),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools", ())),
        schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
        limit=body.get("max_tokens") or body.get("max_completion_tokens"),
    )


def calls_of(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": name, "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
        for name, tool, arguments in said.calls
    ]


def _chunks(said: Said) -> list[dict[str, Any]]:
    """Text by letters; a call's arguments in two pieces."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": letter} for letter in said.text]
    for index, call in enumerate(calls_of(said)):
        function: dict[str, Any] = call["function"]
        first, second = halves(function["arguments"])
        deltas.append({"tool_calls": [{"index": index, **call, "function": function | {"arguments": first}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": second}}]})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    made = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    made.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": said.finish}]})
    return [*made, {**head, "choices": [], "usage": USAGE}]


def _over(reply_of: Callable[[Said], Reply]) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        return await reply_of(answer(_heard_converse(body)))(request)

    return reply


def _heard_converse(body: dict[str, Any]) -> Heard:
    blocks = body["messages"][-1]["content"]
    image = next((block["image"] for block in blocks if "image" in block), None)
    every = [block for message in body["messages"] for block in message["content"]]
    results = [block["toolResult"] for block in every if "toolResult" in block]
    wanted = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    return Heard(
        text="".join(block.get("text", "") for block in blocks),
        system="".join(block.get("text", "") for block in body.get("system", ())),
        image=None if image is None else (f"image/{image['format']}", b64decode(image["source"]["bytes"])),
        results=tuple((result["toolUseId"], result["content"][0]["text"]) for result in results),
        tools=tuple(tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ())),
        schema=None if wanted is None else json.loads(wanted["schema"]),
        limit=body.get("inferenceConfig", {}).get("maxTokens"),
    )


def converse_reply(said: Said) -> Reply:
    content: list[dict[str, Any]] = [{"text": said.text}]
    content += [
        {"toolUse": {"toolUseId": name, "name": tool, "input": arguments}} for name, tool, arguments in said.calls
    ]
    output = {"message": {"role": "assistant", "content": content}}
    return status(200, {"output": output, "stopReason": CONVERSE_FINISH[said.finish], "usage": CONVERSE_USAGE})


def converse_stream(said: Said) -> Reply:
    return frames(_events(said))


def _events(said: Said) -> list[bytes]:
    made: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    made += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": letter}}) for letter in said.text]
    made.append(("contentBlockStop", {"contentBlockIndex": 0}))
    for block, (name, tool, arguments) in enumerate(said.calls, 1):
        start = {"toolUse": {"toolUseId": name, "name": tool}}
        made.append(("contentBlockStart", {"contentBlockIndex": block, "start": start}))
        made += [
            ("contentBlockDelta", {"contentBlockIndex": block, "delta": {"toolUse": {"input": piece}}})
            for piece in (halves(json.dumps(arguments)) if arguments else ())
        ]
        made.append(("contentBlockStop", {"contentBlockIndex": block}))
    made.append(("messageStop", {"stopReason": CONVERSE_FINISH[said.finish]}))
    return bedrock.events([*made, ("metadata", {"usage": CONVERSE_USAGE})])


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]
