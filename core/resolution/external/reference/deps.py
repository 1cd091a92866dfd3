"""Other APIs as a package for the reference asks them: its methods, and answers that have attributes."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import markcoroutinefunction
from typing import Any, Final, cast

from pydantic import BaseModel

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.safety import RunShieldRequest
from core.frame.types import JsonObject, JsonStream
from core.resolution.external.reference.helpers import interleaved_content_as_str
from core.resolution.external.reference.records import Record, plain, record

STRATEGY: Final = ("temperature", "top_p")
NATIVE: Final = frozenset({"model_id", "messages", "sampling_params"})


@dataclass(slots=True)
class Queried:
    """The query of a search of vector stores: who asks for the vector of its text gets the one that is there."""

    text: str
    vector: list[float] | None
    is_asked: bool = False

    def take(self, texts: object) -> list[float] | None:
        """The vector, where it is that of these texts."""
        if self.vector is None or texts not in (self.text, [self.text]):
            return None
        self.is_asked = True
        return self.vector


QUERIED: Final = ContextVar[Queried | None]("QUERIED", default=None)
"""That of the search under way, which a package is asked for."""


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
        if (vector := _vector_of(request.input)) is not None:
            rows = [{"embedding": vector, "index": 0}]
            return _ready("OpenAIEmbeddingsResponse", model=request.model, data=rows)
        return _reply("OpenAIEmbeddingsResponse", self._surface.embeddings(request))

    @markcoroutinefunction
    def embeddings(self, request: Any = None, contents: Any = None, **fields: Any) -> Awaitable[Any]:  # noqa: ANN401 - gives JSON, or 0.2's record
        """This stack's, or that of 0.2 with a `model_id` and a list of `contents`."""
        if isinstance(request, EmbeddingsRequest):
            reply: Awaitable[Any] = self._surface.embeddings(request)
            return reply
        texts = [interleaved_content_as_str(content) for content in contents]
        if (vector := _vector_of(texts)) is not None:
            return _ready("EmbeddingsResponse", embeddings=[vector])
        return _native_embeddings(self.openai_embeddings(model=request or fields["model_id"], input=texts))

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


async def _ready(name: str, **fields: Any) -> Record:  # noqa: ANN401 - of the record
    reply: Record = record(name, **fields)
    return reply


async def _native_embeddings(answer: Awaitable[Any]) -> Record:
    reply: Record = record("EmbeddingsResponse", embeddings=[row.embedding for row in (await answer).data])
    return reply


def _vector_of(texts: object) -> list[float] | None:
    queried = QUERIED.get()
    return None if queried is None else queried.take(texts)


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
