"""The script of agents over servers and vendors that speak OpenAI's API, each in its own way (tests/parts/vendors)."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
import json
import struct
from typing import Any, Final, override

from aiohttp import web

from tests.parts.agent_script import Conversation, Memory, answer, endless, hanging, results_in, vector
from tests.parts.scripted import Said
from tests.parts.upstream import Reply, status
from tests.parts.vendors.double import Refusal, VendorDouble

PIECES: Final = 5  # of a stream that is broken off
PATIENCE: Final = {"retry-after": "1"}


@dataclass
class AgentVendor(VendorDouble):
    """`busy` is how it refuses one call too many, with a time to wait, if not as its vendor does."""

    busy: Refusal | None = None
    memory: Memory = field(default_factory=Memory)

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        body = self.seen[-1].body
        if request.path == f"{self.vendor.root}/embeddings":
            return await _embed(request)
        if request.path != f"{self.vendor.root}/chat/completions":
            return await super().reply(request)
        return await (self._refuse(body) or self._misbehave(body) or self._say(body))(request)

    def _refuse(self, body: dict[str, Any]) -> Reply | None:
        """As the vendor does, whatever is said: the model, a field."""
        if body["model"] == "gone":
            return _refusal(self.vendor.errors["model"])
        refusal = self.vendor.refusal(body)
        return None if refusal is None else _refusal(refusal)

    def _misbehave(self, body: dict[str, Any]) -> Reply | None:
        kind, number = self.memory.order_in(_text(body["messages"][-1]))
        hello = list(self.vendor.chunks(Said("Hello there"), usage=False))
        busy = (self.vendor.errors["busy"], None) if self.busy is None else (self.busy, PATIENCE)
        replies: dict[str, Callable[[], Reply]] = {
            "too long": lambda: _refusal(self.vendor.errors["too_long"]),
            "busy": lambda: _refusal(*busy),
            "break": lambda: _stream([*hello[:PIECES], self.vendor.broken]),
            "cut": lambda: _stream(hello[:PIECES], cut=True),
            "hang": lambda: hanging(self.memory, number),
            "endless": lambda: endless(self.memory, number, (hello[0], hello[PIECES]), "text/event-stream"),
        }
        return replies[kind]() if kind else None

    def _say(self, body: dict[str, Any]) -> Reply:
        first = _text(body["messages"][0])
        if first.startswith("Task: Check if there is unsafe content"):
            said = Said("unsafe\nS9" if "bomb" in first else "safe")
        else:
            said = self.memory.report_on(_text(body["messages"][-1])) or answer(_hear(body))
        if not body.get("stream"):
            return status(200, self.vendor.whole(said))
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return _stream([*self.vendor.chunks(said, usage=usage), self.vendor.end()])


def _refusal(refusal: Refusal, headers: dict[str, str] | None = None) -> Reply:
    code, body = refusal
    return status(code, body, headers)


def _stream(pieces: list[bytes], *, cut: bool = False) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if cut and request.transport is not None:
            await asyncio.sleep(0.05)  # what came before is there
            request.transport.abort()
        return response

    return reply


def _hear(body: dict[str, Any]) -> Conversation:
    messages = body["messages"]
    last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
    choice = body.get("tool_choice", "auto")
    format_ = body.get("response_format", {})
    media = [part.get("image_url") or part.get("file") for message in messages for part in _parts(message)]
    urls = [medium.get("url") or medium["file_data"] for medium in media if medium]
    return Conversation(
        text=_text(messages[last]),
        prompt="|".join(_text(message) for message in messages if message["role"] in {"system", "user", "developer"}),
        rounds=sum(bool(message.get("tool_calls")) for message in messages[last:]),
        called=any(message.get("tool_calls") for message in messages),
        results=results_in(messages),
        tools={tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools", ())},
        choice=choice["function"]["name"] if isinstance(choice, dict) else choice.replace("required", "any"),
        single=body.get("parallel_tool_calls") is False,
        media=tuple(b64decode(url.partition(",")[2]) for url in urls),
        schema=format_["json_schema"]["schema"] if format_.get("type") == "json_schema" else None,
    )


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or ""
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in _parts(message) if part["type"] == "text")


async def _embed(request: web.Request) -> web.StreamResponse:
    """As vLLM does: texts or lists of tokens."""
    body = json.loads(await request.read())
    batch = (
        body["input"] if isinstance(body["input"], list) and not isinstance(body["input"][0], int) else [body["input"]]
    )
    base64 = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": b64encode(struct.pack("<2f", *vector(value))).decode() if base64 else vector(value),
        }
        for at, value in enumerate(batch)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})
