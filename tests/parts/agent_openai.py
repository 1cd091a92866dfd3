"""The script of agents over an OpenAI-compatible upstream, which fails as vLLM does."""

import asyncio
from base64 import b64decode, b64encode
import json
import struct
from typing import Any, Final

from aiohttp import web

from tests.parts import scripted
from tests.parts.agent_script import Conversation, Memory, answer, ordered, results_in, vector
from tests.parts.scripted import Said
from tests.parts.upstream import FakeUpstream, Reply, status, stream

PIECES: Final = 3  # of a stream that is broken off


def upstream(names: tuple[str, ...] = ("m",)) -> FakeUpstream:
    memory = Memory()

    async def chat(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        reply = _misbehave_openai(memory, body) or _say_openai(body)
        return await reply(request)

    models = [{"id": name, "object": "model", "created": 7} for name in names]
    return FakeUpstream(models=models, replies={"/v1/chat/completions": chat, "/v1/embeddings": _embed})


def _say_openai(body: dict[str, Any]) -> Reply:
    first = _text(body["messages"][0])
    if first.startswith("Task: Check if there is unsafe content"):
        said = Said("unsafe\nS9" if "bomb" in first else "safe")
    else:
        said = answer(_hear_openai(body))
    return stream(scripted.chunks(said)) if body.get("stream") else scripted.openai_reply(said)


def _hear_openai(body: dict[str, Any]) -> Conversation:
    messages = body["messages"]
    last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
    choice = body.get("tool_choice", "auto")
    format_ = body.get("response_format", {})
    parts = [part for message in messages for part in _parts(message)]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return Conversation(
        text=_text(messages[last]),
        prompt="|".join(_text(message) for message in messages if message["role"] in {"system", "user", "developer"}),
        rounds=sum(bool(message.get("tool_calls")) for message in messages[last:]),
        results=results_in(messages),
        tools={tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools", ())},
        choice=choice["function"]["name"] if isinstance(choice, dict) else choice.replace("required", "any"),
        single=body.get("parallel_tool_calls") is False,
        image=b64decode(urls[0].partition(",")[2]) if urls else None,
        schema=format_["json_schema"]["schema"] if format_.get("type") == "json_schema" else None,
    )


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or ""
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in _parts(message) if part["type"] == "text")


def _misbehave_openai(memory: Memory, body: dict[str, Any]) -> Reply | None:
    text = _text(body["messages"][-1])
    if text == "too long":
        message = "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."
        return _refuse(400, "BadRequestError", message)
    if body["model"] == "gone":
        return _refuse(404, "NotFoundError", "The model `gone` does not exist.")
    if text == "break":
        return _broken(scripted.chunks(Said("Hello there"))[:PIECES])
    head = scripted.chunks(Said("a"))[1]
    return ordered(
        memory,
        text,
        refuse=_refuse(429, "RateLimitError", "Too many requests.", {"retry-after": "1"}),
        begin=b"",
        piece=f"data: {json.dumps(head)}\n\n".encode(),
        say=lambda said: stream(scripted.chunks(said)) if body.get("stream") else scripted.openai_reply(said),
    )


def _refuse(code: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    """As vLLM says it."""
    return status(code, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)


def _broken(events: list[dict[str, Any]]) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = await stream(events, done=False)(request)
        await asyncio.sleep(0.05)
        if request.transport is not None:
            request.transport.abort()
        return response

    return reply


async def _embed(request: web.Request) -> web.StreamResponse:
    """A vector of the input's length and sum, so that the order and the kind of input show."""
    body = json.loads(await request.read())
    inputs = body["input"] if isinstance(body["input"], list) and not _are_tokens(body["input"]) else [body["input"]]
    vectors = [vector(value) for value in inputs]
    base64 = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": b64encode(struct.pack("<2f", *vector)).decode() if base64 else vector,
        }
        for at, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _are_tokens(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], int)
