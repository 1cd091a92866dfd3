"""A fake of the Inference API, and builders of OpenAI's answers."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.frame.types import JsonObject, JsonStream, Wire

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
METRICS = [
    {"metric": "prompt_tokens", "value": 3, "unit": "tokens"},
    {"metric": "completion_tokens", "value": 4, "unit": "tokens"},
    {"metric": "total_tokens", "value": 7, "unit": "tokens"},
]


@dataclass
class FakeInference:
    """Answers `reply`, or by the request's text from `replies`; an exception there is raised.

    A text in `slow` waits until it is cancelled; `waiting` is set when all of them do. `most` is the most calls that were under way at once.
    """

    reply: JsonObject = field(default_factory=dict[str, Any])
    replies: dict[str, JsonObject | Exception] = field(default_factory=dict[str, JsonObject | Exception])
    chunks: list[JsonObject | Exception] = field(default_factory=list[JsonObject | Exception])
    failure: Exception | None = None
    slow: frozenset[str] = frozenset()
    asked: list[Wire] = field(default_factory=list[Wire])
    cancelled: list[str] = field(default_factory=list[str])
    closed: bool = False
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    most: int = 0
    _now: int = 0

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await self._answer(request, request.messages[-1]["content"])

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        await self._answer(request, request.messages[-1]["content"])
        return self._stream()

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return await self._answer(request, str(request.prompt))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        await self._answer(request, str(request.prompt))
        return self._stream()

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return await self._answer(request, "")

    async def _answer(self, request: Wire, text: str) -> JsonObject:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        self._now += 1
        self.most = max(self.most, self._now)
        if self._now == len(self.slow):
            self.waiting.set()
        try:
            await asyncio.sleep(3600 if text in self.slow else 0)
        except asyncio.CancelledError:
            self.cancelled.append(text)
            raise
        finally:
            self._now -= 1
        reply = self.replies.get(text, self.reply)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _stream(self) -> JsonStream:
        try:
            for chunk in self.chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self.closed = True


def chat_reply(
    content: str | None = "Hello", calls: list[JsonObject] | None = None, finish: str | None = "stop", **choice: Any
) -> JsonObject:
    message = {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls is not None else {})
    return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish} | choice]}


def chunk(delta: JsonObject, finish: str | None = None, **choice: Any) -> JsonObject:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish} | choice]}


def tool_call(call_id: str, name: str, arguments: str) -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
