"""The inference router: sends a request to one of its model's targets, and answers under the caller's model id."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

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
from core.frame.types import JsonObject, JsonStream, Wire
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.failover import Ask, Failover
from core.routing.guard import GuardedRegistry
from core.routing.targets import Target, targets_of
from core.services.inference.envelope import Envelope

if TYPE_CHECKING:
    from core.apis.prices import Price
    from core.apis.rerank import RerankRequest

type ModelRequest = ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest

type FindPrice = Callable[[GuardedRegistry, Resource, Target], Price | None]
"""Of a model as the caller sees it, where one of its targets answers; None where nobody knows it."""

USUAL_TIERS: Final = (None, "auto", "default", "standard_only")
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


class Route(NamedTuple):
    """A model, and the places that may answer for it."""

    resource: Resource
    targets: list[Target]


class InferenceRouter:
    """The `Inference` that one caller gets: federated over every configured provider."""

    def __init__(
        self,
        models: GuardedRegistry,
        providers: Mapping[str, InferenceProvider],
        call: Call | None = None,
        circuits: CircuitBreaker | None = None,
        find_price: "FindPrice | None" = None,
    ) -> None:
        """`providers` are by provider id; the tokens that they report are counted on `call`, and what `find_price` says of them."""
        self._models = models
        self._caller = call
        self._call = call or Call(ANONYMOUS)
        self._attempts = Failover(providers, circuits, call)
        self._find_price = find_price

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        route = await self._route(request, "llm", "chat completions")
        return await self._answer(request, route, lambda at, to: at.chat_completion(_rename_model(request, to)))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        route = await self._route(request, "llm", "chat completions")
        return await self._stream(
            request, route, lambda at, to: at.stream_chat_completion(ask_usage(request, to.model))
        )

    async def completion(self, request: CompletionRequest) -> JsonObject:
        route = await self._route(request, "llm", "completions")
        return await self._answer(request, route, lambda at, to: at.completion(_rename_model(request, to)))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        route = await self._route(request, "llm", "completions")
        return await self._stream(request, route, lambda at, to: at.stream_completion(ask_usage(request, to.model)))

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        route = await self._route(request, "embedding", "embeddings")
        return await self._answer(request, route, lambda at, to: at.embeddings(_rename_model(request, to)))

    async def rerank(self, request: "RerankRequest") -> JsonObject:
        from core.apis.rerank import rerank_at  # late: few functions are asked for it

        route = await self._route(request, "rerank", "reranking")
        return await self._answer(request, route, lambda at, to: rerank_at(at, _rename_model(request, to)))

    async def _route(self, request: ModelRequest, model_type: ModelType, operation: str) -> Route:
        resource = await find_model(self._models, request.model, model_type, operation)
        self._call.observed.model = request.model
        if (refused := find_refused_url(request, "operator")) is not None:  # whoever serves it: some fetch it
            raise InvalidRequest(f"{refused[0]}: {refused[1]}", param=refused[0])
        return Route(resource, targets_of(resource))

    async def _answer(self, request: ModelRequest, route: Route, ask: Ask[JsonObject]) -> JsonObject:
        meter = Meter(request)
        try:
            reply = await self._attempts.answer(route.targets, self._noting(request, meter, route, ask))
        except asyncio.CancelledError:
            self._charge_left(meter)
            raise
        meter.feed(reply)
        meter.charge(self._call, "whole")
        if isinstance(request, ChatRequest | CompletionRequest):
            return Envelope(request, streams=False).fill(reply)
        reply["model"] = request.model
        return reply

    async def _stream(self, request: ChatRequest | CompletionRequest, route: Route, ask: Ask[JsonStream]) -> JsonStream:
        meter = Meter(request)
        try:
            chunks = await self._attempts.stream(route.targets, self._noting(request, meter, route, ask))
        except asyncio.CancelledError:
            self._charge_left(meter)
            raise
        return self._relabel_stream(request, chunks, meter)

    def _noting[R](self, request: ModelRequest, meter: Meter, route: Route, ask: Ask[R]) -> Ask[R]:
        find = None if has_tier(request) else self._find_price
        return note_provider(meter, ask, None if find is None else partial(find, self._models, route.resource))

    def _charge_left(self, meter: Meter) -> None:
        """Where somebody leaves, or time is up: what the provider made until then it will never say."""
        meter.charge(self._call, "left")

    async def _relabel_stream(
        self, request: ChatRequest | CompletionRequest, chunks: JsonStream, meter: Meter
    ) -> JsonStream:
        """The provider's chunks under the caller's model id; usage only if the caller asked for it, and at the end."""
        envelope = Envelope(request, streams=True)
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


def _rename_model[R: (ChatRequest, CompletionRequest, EmbeddingsRequest, RerankRequest)](request: R, to: Target) -> R:
    """The request itself where its provider knows the model by the same name."""
    return request if request.model == to.model else request.model_copy(update={"model": to.model})


def note_provider[R](meter: Meter, ask: Ask[R], price_at: Callable[[Target], "Price | None"] | None) -> Ask[R]:
    """Each provider that is asked is, until the next is, the one whose answer is measured, and for what it asks for it."""

    def ask_there(at: InferenceProvider, to: Target) -> Awaitable[R]:
        meter.provider = to.provider_id
        meter.price = None if price_at is None else partial(price_at, to)
        return ask(at, to)

    return ask_there


def has_tier(request: Wire) -> bool:
    """Whether it asks to be answered faster or slower than usual, which has a price of its own that nobody says."""
    return (request.model_extra or {}).get("service_tier") not in USUAL_TIERS


def ask_usage[R: (ChatRequest, CompletionRequest)](request: R, name: str) -> R:
    """Whether the caller wants the usage or not: quotas are charged by it."""
    options = request.stream_options or {}
    asking = request.model_copy(update={"model": name, "stream": True, "stream_options": {**options, **ASK_USAGE}})
    return asking if options.get("include_usage") else asking.note_additions(usage_addition(request.stream_options))
