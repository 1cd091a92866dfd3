"""Responses by a model's own provider: routed, failed over and charged as its chat completions are."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from core.apis.inference import ChatRequest, InferenceProvider
from core.apis.native_responses import LAST, METADATA, NATIVE
from core.apis.responses import AnswersResponses
from core.apis.shapes import MOST_TOKENS
from core.apis.usage import Ending, Meter
from core.config.media_urls import find_refused_url
from core.errors import ApiError, InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject, JsonStream
from core.platform.json_values import to_object
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.failover import Failover
from core.routing.guard import GuardedRegistry
from core.routing.shields import ShieldPolicy
from core.routing.targets import targets_of
from core.services.inference.router import FindPrice, find_model, has_tier, note_provider

if TYPE_CHECKING:
    from core.apis.native_bodies import NativeBody

NO_RESPONSES: Final = "The model's metadata says `responses: native`, but its provider has no Responses of its own: take that out of the metadata."
COUNTS: Final = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
DETAILS: Final = {"prompt_tokens_details": "input_tokens_details", "completion_tokens_details": "output_tokens_details"}


class NativeRouter:
    """Answers `core.apis.native_responses.NativeResponses`."""

    def __init__(
        self,
        models: GuardedRegistry,
        providers: Mapping[str, InferenceProvider],
        call: Call | None,
        circuits: CircuitBreaker | None,
        policy: ShieldPolicy,
        find_price: FindPrice | None = None,
    ) -> None:
        self._find_price = find_price
        self._models = models
        self._caller = call
        self._call = call or Call(ANONYMOUS)
        self._attempts = Failover(providers, circuits, call)
        self._policy = policy

    async def require(self, model: str) -> None:
        await find_model(self._models, model, "llm", "chat completions")

    async def takes(self, model: str) -> bool:
        try:
            return await self._takes(await self._models.get(model))
        except NotFound:
            return False  # which chat completions say better

    async def _takes(self, resource: Resource) -> bool:
        if resource.attributes.get("metadata", {}).get(METADATA) != NATIVE:
            return False
        return not any(await self._policy.shields_of(self._call, resource, self._models))

    async def stream(self, body: JsonObject) -> JsonStream:
        from core.apis.native_bodies import NativeBody  # late: few models have it

        request = NativeBody.model_validate(body)
        resource = await self._models.get(request.model)
        if not await self._takes(resource):  # it is for those who have asked
            raise InvalidRequest(f"Model `{request.model}` is not answered by its provider's Responses.", param="model")
        self._call.observed.model = request.model
        if (refused := find_refused_url(request, "operator")) is not None:
            raise InvalidRequest(f"{refused[0]}: {refused[1]}", param=refused[0])
        meter = _measure(request)
        find = None if has_tier(request) else self._find_price
        ask = note_provider(
            meter,
            lambda at, to: _responses_of(at).stream_response({**body, "model": to.model}),
            None if find is None else partial(find, self._models, resource),
        )
        return self._charge_stream(meter, await self._attempts.stream(targets_of(resource), ask))

    async def _charge_stream(self, meter: Meter, events: JsonStream) -> JsonStream:
        ending: Ending = "left"
        waiting, acting = self._call.observed.upstream, ActingFor(self._caller)
        try:
            while True:
                with waiting, acting:
                    event = await anext(events, None)
                if event is None:
                    break
                _feed(meter, event)
                yield event
            ending = "whole"
        except ApiError:
            ending = "broken"
            raise
        finally:
            meter.charge(self._call, ending)
            with acting:
                await events.aclose()


def _responses_of(provider: InferenceProvider) -> AnswersResponses:
    if not isinstance(provider, AnswersResponses):
        raise ProviderUnavailable(NO_RESPONSES)
    return provider


def _measure(request: "NativeBody") -> Meter:
    """By the chat that would say the same: what counts are the texts in it."""
    tools: list[Any] = (request.model_extra or {}).get("tools") or []
    return Meter(ChatRequest.model_construct(model=request.model, messages=[*request.input, *tools]))


def _feed(meter: Meter, event: JsonObject) -> None:
    delta: Any = event.get("delta")
    if delta.__class__ is str:
        meter.feed({"choices": [{"delta": {"content": delta}}]})
    elif event.get("type") in LAST:
        usage = to_object(to_object(event.get("response")).get("usage"))
        if usage:
            counts = {name: usage.get(theirs) for name, theirs in COUNTS.items()}
            parts = {name: usage.get(theirs) for name, theirs in DETAILS.items()}
            meter.feed({"usage": {name: count for name, count in counts.items() if _is_count(count)} | parts})


def _is_count(value: object) -> bool:
    """Of what a quota can be charged with, as the counts of chat completions are."""
    return type(value) is int and 0 <= value <= MOST_TOKENS
