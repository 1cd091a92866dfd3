"""Other APIs as a package for the reference asks them: its methods, and answers that have attributes."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from inspect import markcoroutinefunction
from typing import Any, Final, cast

from pydantic import BaseModel

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.safety import RunShieldRequest
from core.frame.types import JsonObject, JsonStream
from core.resolution.external.reference.records import Record, plain, record

STRATEGY: Final = ("temperature", "top_p")
NATIVE: Final = frozenset({"model_id", "messages", "sampling_params"})


class Asked:
    """`surface` is bound to the call under way; all that it has is here too."""

    def __init__(self, surface: Any) -> None:  # noqa: ANN401 - keeps some Protocol
        self._surface = surface

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the surface's
        return getattr(self._surface, name)


class AskedInference(Asked):
    """Each asks at once, as whoever calls it, and not as whoever awaits it."""

    @markcoroutinefunction
    def openai_chat_completion(self, params: Any = None, **fields: Any) -> Awaitable[Any]:  # noqa: ANN401 - of a record, or a stream of them
        request = ChatRequest(**_fields(params, fields))
        if request.stream:
            return _stream("OpenAIChatCompletionChunk", self._surface.stream_chat_completion(request))
        return _reply("OpenAIChatCompletion", self._surface.chat_completion(request))

    @markcoroutinefunction
    def openai_completion(self, params: Any = None, **fields: Any) -> Awaitable[Any]:  # noqa: ANN401 - of a record, or a stream of them
        request = CompletionRequest(**_fields(params, fields))
        if request.stream:
            return _stream("OpenAICompletion", self._surface.stream_completion(request))
        return _reply("OpenAICompletion", self._surface.completion(request))

    @markcoroutinefunction
    def openai_embeddings(self, params: Any = None, **fields: Any) -> Awaitable[Record]:  # noqa: ANN401 - a record
        request = EmbeddingsRequest(**_fields(params, fields))
        return _reply("OpenAIEmbeddingsResponse", self._surface.embeddings(request))

    @markcoroutinefunction
    def chat_completion(self, request: ChatRequest | None = None, **fields: Any) -> Any:  # noqa: ANN401 - gives JSON, or 0.2's record
        """This stack's, or that of 0.2 with a `model_id`, of which tools and streams are not taken."""
        if request is not None:
            return self._surface.chat_completion(request)
        further = [name for name, value in fields.items() if value and name not in NATIVE]
        if further:
            raise NotImplementedError(f"chat_completion with {', '.join(further)}; openai_chat_completion takes it")
        sampling: JsonObject = plain(fields.get("sampling_params")) or {}
        strategy: JsonObject = sampling.get("strategy") or {}
        bounds = {name: strategy[name] for name in STRATEGY if strategy.get(name) is not None}
        bounds |= {"max_tokens": sampling["max_tokens"]} if sampling.get("max_tokens") else {}
        return _native_reply(
            self.openai_chat_completion(model=fields["model_id"], messages=fields["messages"], **bounds)
        )


class AskedSafety(Asked):
    """As AskedInference."""

    @markcoroutinefunction
    def run_shield(self, request: Any = None, **fields: Any) -> Any:  # noqa: ANN401 - gives JSON, or the reference's record
        if isinstance(request, RunShieldRequest):
            return self._surface.run_shield(request)
        return _reply("RunShieldResponse", self._surface.run_shield(RunShieldRequest(**_fields(request, fields))))


async def _reply(name: str, answer: Awaitable[JsonObject]) -> Record:
    reply: Record = record(name, **await answer)
    return reply


async def _stream(name: str, chunks: Awaitable[JsonStream]) -> AsyncIterator[Record]:
    return _records(name, await chunks)


async def _native_reply(answer: Awaitable[Any]) -> Record:
    message: JsonObject = {"stop_reason": "end_of_turn", **plain((await answer).choices[0].message)}
    reply: Record = record("ChatCompletionResponse", completion_message=message)
    return reply


def _fields(params: Any, fields: JsonObject) -> JsonObject:  # noqa: ANN401 - a record, or none
    every: JsonObject = {**(_request(params) or {}), **fields}
    return {name: _request(value) for name, value in every.items() if value is not None}


def _request(value: Any) -> Any:  # noqa: ANN401 - a field of a request, or all of it
    """As JSON: the records of an installed reference have a null for each field that was not given, which goes."""
    if isinstance(value, BaseModel) and not isinstance(value, Record):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, list):
        return [_request(item) for item in cast("list[object]", value)]
    return plain(value)


async def _records(name: str, chunks: JsonStream) -> AsyncIterator[Record]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield record(name, **chunk)
