"""Other APIs as a package for the reference asks them: its methods, and answers that have attributes."""

from collections.abc import AsyncIterator
from contextlib import aclosing
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
    async def openai_chat_completion(self, params: Any = None, **fields: Any) -> Any:  # noqa: ANN401 - a record, or a stream of them
        request = ChatRequest(**_fields(params, fields))
        if request.stream:
            return _records("OpenAIChatCompletionChunk", await self._surface.stream_chat_completion(request))
        return record("OpenAIChatCompletion", **await self._surface.chat_completion(request))

    async def openai_completion(self, params: Any = None, **fields: Any) -> Any:  # noqa: ANN401 - a record, or a stream of them
        request = CompletionRequest(**_fields(params, fields))
        if request.stream:
            return _records("OpenAICompletion", await self._surface.stream_completion(request))
        return record("OpenAICompletion", **await self._surface.completion(request))

    async def openai_embeddings(self, params: Any = None, **fields: Any) -> Record:  # noqa: ANN401 - a record
        request = EmbeddingsRequest(**_fields(params, fields))
        answer: Record = record("OpenAIEmbeddingsResponse", **await self._surface.embeddings(request))
        return answer

    async def chat_completion(self, request: ChatRequest | None = None, **fields: Any) -> Any:  # noqa: ANN401 - JSON, or 0.2's record
        """This stack's, or that of 0.2 with a `model_id`, of which tools and streams are not taken."""
        if request is not None:
            return await self._surface.chat_completion(request)
        further = [name for name, value in fields.items() if value and name not in NATIVE]
        if further:
            raise NotImplementedError(f"chat_completion with {', '.join(further)}; openai_chat_completion takes it")
        sampling: JsonObject = plain(fields.get("sampling_params")) or {}
        strategy: JsonObject = sampling.get("strategy") or {}
        bounds = {name: strategy[name] for name in STRATEGY if strategy.get(name) is not None}
        bounds |= {"max_tokens": sampling["max_tokens"]} if sampling.get("max_tokens") else {}
        answer: Any = await self.openai_chat_completion(model=fields["model_id"], messages=fields["messages"], **bounds)
        message: JsonObject = {"stop_reason": "end_of_turn", **plain(answer.choices[0].message)}
        return record("ChatCompletionResponse", completion_message=message)


class AskedSafety(Asked):
    async def run_shield(self, request: Any = None, **fields: Any) -> Any:  # noqa: ANN401 - JSON, or the reference's record
        if isinstance(request, RunShieldRequest):
            return await self._surface.run_shield(request)
        answer = await self._surface.run_shield(RunShieldRequest(**_fields(request, fields)))
        return record("RunShieldResponse", **answer)


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
