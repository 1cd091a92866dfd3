"""The inference router: finds a request's model, hands it to the model's provider, puts the names right."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final, cast

from core.apis.callers import Call
from core.apis.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingsRequest,
    InferenceProvider,
    ModelType,
    TakesProviderData,
)
from core.apis.types import JsonObject, JsonStream
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.routing.guarded import GuardedRegistry

type ModelRequest = ChatRequest | CompletionRequest | EmbeddingsRequest

NOUNS: Final[dict[ModelType, str]] = {"llm": "an llm", "embedding": "an embedding model", "rerank": "a rerank model"}


class InferenceRouter:
    """The `Inference` that one caller gets: federated over every configured provider."""

    def __init__(
        self, models: GuardedRegistry, providers: Mapping[str, InferenceProvider], call: Call | None = None
    ) -> None:
        """Route by `models` to `providers`, by provider id; `call` is told what they report as used."""
        self._models = models
        self._providers = providers
        self._call = call

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        provider, name = await self._route(request.model, "llm", "chat completions")
        reply = await provider.chat_completion(request.model_copy(update={"model": name}))
        return self._answered(request, reply)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        provider, name = await self._route(request.model, "llm", "chat completions")
        return self._named(request, await provider.stream_chat_completion(_with_usage(request, name)))

    async def completion(self, request: CompletionRequest) -> JsonObject:
        provider, name = await self._route(request.model, "llm", "completions")
        reply = await provider.completion(request.model_copy(update={"model": name}))
        return self._answered(request, reply)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        provider, name = await self._route(request.model, "llm", "completions")
        return self._named(request, await provider.stream_completion(_with_usage(request, name)))

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        provider, name = await self._route(request.model, "embedding", "embeddings")
        reply = await provider.embeddings(request.model_copy(update={"model": name}))
        return self._answered(request, reply)

    async def _route(self, model: str, wanted: ModelType, operation: str) -> tuple[InferenceProvider, str]:
        try:
            resource = await self._models.get(model)
        except NotFound as unknown:
            raise NotFound(unknown.message, param="model") from None
        kind: ModelType = resource.attributes["model_type"]
        if kind != wanted:
            raise InvalidRequest(f"Model `{model}` is {NOUNS[kind]} and does not support {operation}.", param="model")
        provider = self._providers.get(resource.provider_id)
        if provider is None:
            raise ProviderUnavailable(
                f"Model `{model}` belongs to provider `{resource.provider_id}`, which this stack does not configure."
            )
        data = self._call.provider_data if self._call is not None else None
        if data and isinstance(provider, TakesProviderData):
            provider = provider.with_provider_data(data)
        return provider, resource.provider_resource_id

    def _answered(self, request: ModelRequest, reply: JsonObject) -> JsonObject:
        self._count(reply.get("usage"))
        reply["model"] = request.model
        return reply

    async def _named(self, request: ChatRequest | CompletionRequest, chunks: JsonStream) -> JsonStream:
        """The provider's chunks under the caller's model id; usage only if the caller asked for it."""
        asked = bool((request.stream_options or {}).get("include_usage"))
        usage: object = None
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    usage = chunk.get("usage") or usage
                    if not asked and _drop_usage(chunk):
                        continue
                    chunk["model"] = request.model
                    yield chunk
        finally:  # the last one counts: some providers report the sum so far with every chunk
            self._count(usage)

    def _count(self, usage: object) -> None:
        total = cast("JsonObject", usage).get("total_tokens") if isinstance(usage, dict) else None
        if self._call is not None and isinstance(total, int) and total >= 0:
            self._call.used(total)


def _with_usage[R: (ChatRequest, CompletionRequest)](request: R, name: str) -> R:
    options = {**(request.stream_options or {}), "include_usage": True}
    return request.model_copy(update={"model": name, "stream_options": options})


def _drop_usage(chunk: dict[str, Any]) -> bool:
    """Take the usage out; True if the chunk carried nothing else."""
    return chunk.pop("usage", None) is not None and not chunk.get("choices")
