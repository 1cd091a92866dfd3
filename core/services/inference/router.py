"""The inference router: sends a request to one of its model's targets, and answers under the caller's model id."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from core.apis.additions import ASK_USAGE, usage_addition
from core.apis.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingsRequest,
    InferenceProvider,
    ModelType,
)
from core.apis.usage import Ending, Meter
from core.config.media_urls import find_refused_url
from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject, JsonStream
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.failover import Ask, Failover
from core.routing.guard import GuardedRegistry
from core.routing.targets import Target, targets_of
from core.services.inference.envelope import Envelope

if TYPE_CHECKING:
    from core.apis.rerank import RerankRequest

type ModelRequest = ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest

NOUNS: Final[dict[ModelType, str]] = {"llm": "an llm", "embedding": "an embedding model", "rerank": "a rerank model"}


async def find_model(models: GuardedRegistry, model: str, model_type: ModelType, operation: str) -> Resource:
    """Raises NotFound for one that the caller may not use, and InvalidRequest for one of another type."""
    try:
        resource = await models.get(model)
    except NotFound as unknown:
        raise NotFound(unknown.message, param="model") from None
    kind: ModelType = resource.attributes["model_type"]
    if kind != model_type:
        raise InvalidRequest(f"Model `{model}` is {NOUNS[kind]} and does not support {operation}.", param="model")
    return resource


class InferenceRouter:
    """The `Inference` that one caller gets: federated over every configured provider."""

    def __init__(
        self,
        models: GuardedRegistry,
        providers: Mapping[str, InferenceProvider],
        call: Call | None = None,
        circuits: CircuitBreaker | None = None,
    ) -> None:
        """`providers` are by provider id; the tokens that they report are counted on `call`."""
        self._models = models
        self._caller = call
        self._call = call or Call(ANONYMOUS)
        self._attempts = Failover(providers, circuits, call)

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        targets = await self._route(request, "llm", "chat completions")
        return await self._answer(request, targets, lambda at, name: at.chat_completion(_rename_model(request, name)))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        targets = await self._route(request, "llm", "chat completions")
        return await self._stream(
            request, targets, lambda at, name: at.stream_chat_completion(ask_usage(request, name))
        )

    async def completion(self, request: CompletionRequest) -> JsonObject:
        targets = await self._route(request, "llm", "completions")
        return await self._answer(request, targets, lambda at, name: at.completion(_rename_model(request, name)))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        targets = await self._route(request, "llm", "completions")
        return await self._stream(request, targets, lambda at, name: at.stream_completion(ask_usage(request, name)))

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        targets = await self._route(request, "embedding", "embeddings")
        return await self._answer(request, targets, lambda at, name: at.embeddings(_rename_model(request, name)))

    async def rerank(self, request: "RerankRequest") -> JsonObject:
        from core.apis.rerank import rerank_at  # late: few functions are asked for it

        targets = await self._route(request, "rerank", "reranking")
        return await self._answer(request, targets, lambda at, name: rerank_at(at, _rename_model(request, name)))

    async def _route(self, request: ModelRequest, model_type: ModelType, operation: str) -> list[Target]:
        resource = await find_model(self._models, request.model, model_type, operation)
        self._call.observed.model = request.model
        if (refused := find_refused_url(request, "operator")) is not None:  # whoever serves it: some fetch it
            raise InvalidRequest(f"{refused[0]}: {refused[1]}", param=refused[0])
        return targets_of(resource)

    async def _answer(self, request: ModelRequest, targets: list[Target], ask: Ask[JsonObject]) -> JsonObject:
        meter = Meter(request)
        try:
            reply = await self._attempts.answer(targets, ask)
        except asyncio.CancelledError:
            self._charge_left(meter)
            raise
        meter.feed(reply)
        meter.charge(self._call, "whole")
        if isinstance(request, ChatRequest | CompletionRequest):
            return Envelope(request, streams=False).fill(reply)
        reply["model"] = request.model
        return reply

    async def _stream(
        self, request: ChatRequest | CompletionRequest, targets: list[Target], ask: Ask[JsonStream]
    ) -> JsonStream:
        try:
            chunks = await self._attempts.stream(targets, ask)
        except asyncio.CancelledError:
            self._charge_left(Meter(request))
            raise
        return self._relabel_stream(request, chunks)

    def _charge_left(self, meter: Meter) -> None:
        """Where somebody leaves, or time is up: what the provider made until then it will never say."""
        meter.charge(self._call, "left")

    async def _relabel_stream(self, request: ChatRequest | CompletionRequest, chunks: JsonStream) -> JsonStream:
        """The provider's chunks under the caller's model id; usage only if the caller asked for it, and at the end."""
        envelope = Envelope(request, streams=True)
        meter = Meter(request)
        ending: Ending = "left"
        waiting, acting = self._call.observed.upstream, ActingFor(self._caller)
        try:
            while True:
                with waiting, acting:
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                meter.feed(chunk)
                if (piece := envelope.fill_chunk(chunk)) is not None:
                    yield piece
            if envelope.report is not None:
                yield envelope.report
            ending = "whole"
        except ApiError:
            ending = "broken"
            raise
        finally:
            meter.charge(self._call, ending)
            with acting:
                await chunks.aclose()


def _rename_model[R: (ChatRequest, CompletionRequest, EmbeddingsRequest, RerankRequest)](request: R, name: str) -> R:
    """The request itself where its provider knows the model by the same name."""
    return request if request.model == name else request.model_copy(update={"model": name})


def ask_usage[R: (ChatRequest, CompletionRequest)](request: R, name: str) -> R:
    """Whether the caller wants the usage or not: quotas are charged by it."""
    options = request.stream_options or {}
    asking = request.model_copy(update={"model": name, "stream": True, "stream_options": {**options, **ASK_USAGE}})
    return asking if options.get("include_usage") else asking.note_additions(usage_addition(request.stream_options))
