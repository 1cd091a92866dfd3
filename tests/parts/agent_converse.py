"""The script of agents over Converse, with the rules of the service and of three families of models."""

from base64 import b64decode
from collections.abc import Callable
import json
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from tests.parts import scripted
from tests.parts.agent_script import Conversation, Memory, answer, endless, hanging, results_in, vector
from tests.parts.bedrock import COHERE, TITAN, FakeBedrock, embedded, event, exception, frames, model, refusal
from tests.parts.converse_rules import refusal_of
from tests.parts.upstream import Reply

CLAUDE: Final = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA: Final = "amazon.nova-pro-v1:0"
LLAMA: Final = "meta.llama3-3-70b-instruct-v1:0"
START: Final = event("messageStart", {"role": "assistant"})


def converse() -> FakeBedrock:
    memory = Memory()

    def chat(*, streams: bool) -> Reply:
        async def reply(request: web.Request) -> web.StreamResponse:
            body = json.loads(await request.read())
            name = unquote(request.path).split("/")[2]
            message = refusal_of(name, body, streams=streams)
            if message is not None:
                return await refusal(400, "ValidationException", message)(request)
            heard = _hear(body)
            if misbehaviour := _misbehaviour(memory, name, heard.text):
                return await misbehaviour(request)
            say = scripted.converse_stream if streams else scripted.converse_reply
            return await say(memory.report_on(heard.text) or answer(heard))(request)

        return reply

    async def invoke(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if "inputText" in body:
            return await embedded({"embedding": vector(body["inputText"]), "inputTextTokenCount": 3}, 3)(request)
        return await embedded({"embeddings": {"float": [vector(text) for text in body["texts"]]}}, 3)(request)

    models = [model(CLAUDE, "Anthropic"), model(NOVA, "Amazon"), model(LLAMA, "Meta")]
    models += [model(TITAN, "Amazon", "EMBEDDING"), model(COHERE, "Cohere", "EMBEDDING")]
    replies = {"converse": chat(streams=False), "converse-stream": chat(streams=True), "invoke": invoke}
    return FakeBedrock(models=models, profiles=[], replies=replies)


def _hear(body: dict[str, Any]) -> Conversation:
    turns = body["messages"]
    users = [turn for turn in turns if turn["role"] == "user" and any("text" in block for block in turn["content"])]
    last = turns.index(users[-1]) if users else 0
    texts = [block["text"] for block in body.get("system", ()) if "text" in block]
    texts += [block["text"] for turn in users for block in turn["content"] if "text" in block]
    config = body.get("toolConfig", {})
    specs = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    kind, choice = next(iter(config.get("toolChoice", {"auto": {}}).items()))
    media = [block.get("image") or block.get("document") for turn in turns for block in turn["content"]]
    format_ = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    return Conversation(
        text="".join(block.get("text", "") for block in turns[last]["content"]),
        prompt="|".join(texts),
        rounds=sum(any("toolUse" in block for block in turn["content"]) for turn in turns[last:]),
        called=any("toolUse" in block for turn in turns for block in turn["content"]),
        results=results_in(turns),
        tools={spec["name"]: spec["inputSchema"]["json"] for spec in specs},
        choice=choice.get("name", kind),
        single=body.get("additionalModelRequestFields", {})
        .get("tool_choice", {})
        .get("disable_parallel_tool_use", False),
        media=tuple(b64decode(medium["source"]["bytes"]) for medium in media if medium),
        schema=None if format_ is None else json.loads(format_["schema"]),
    )


def _misbehaviour(memory: Memory, name: str, text: str) -> Reply | None:
    kind, number = memory.order_in(text)
    pieces = [START, _delta("Hel"), _delta("lo")]
    failure = exception("modelStreamErrorException", "The model failed.")
    replies: dict[str, Callable[[], Reply]] = {
        "too long": lambda: refusal(400, "ValidationException", _too_long(name)),
        "busy": lambda: refusal(429, "ThrottlingException", "Too many requests, please wait before trying again."),
        "break": lambda: frames([*pieces, failure], pause=0.02),
        "cut": lambda: frames(pieces, pause=0.02, reset=True),
        "hang": lambda: hanging(memory, number),
        "endless": lambda: endless(memory, number, (START, _delta("a")), "application/vnd.amazon.eventstream"),
    }
    return replies[kind]() if kind else None


def _too_long(name: str) -> str:
    """As each family says it."""
    if "claude" in name:
        return "The model returned the following errors: prompt is too long: 210000 tokens > 200000 maximum"
    if "nova" in name:
        return "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again."
    return "This model's maximum context length is 131072 tokens. Please reduce the length of the prompt"


def _delta(text: str) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})
