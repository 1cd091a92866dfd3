"""Who answers a response in the place of the stack's engine: a provider of the API `responses`, or the provider of a native model."""

from typing import TYPE_CHECKING, Final, cast

from core.apis.responses import ResponseRequest
from core.frame.callers import ActingFor, Call
from core.frame.types import JsonObject, JsonStream
from core.services.parts import Parts, surface_for
from core.services.responses.contract import Engine

if TYPE_CHECKING:
    from core.apis.responses import AnswersResponses

OWN_TOOLS: Final = frozenset({"function", "custom"})
"""Types of tools that callers run: a response with any other is the stack's own engine's."""


def has_own_tools_alone(request: ResponseRequest) -> bool:
    """Whether a provider may be requests for all of it."""
    return all(tool.get("type") in OWN_TOOLS for tool in request.tools or ())


def answers_itself(parts: Parts) -> bool:
    """Whether a provider of another package answers, with models of its own."""
    return _answering(parts) is not None


def _answering(parts: Parts) -> "tuple[str, AnswersResponses] | None":
    """With its id."""
    provider_id, provider = next(iter(parts.providers("responses").items()), ("", None))
    # not by the type: one of another package hands on what it is asked for
    return (provider_id, cast("AnswersResponses", provider)) if hasattr(provider, "stream_response") else None


async def find_native(parts: Parts, call: Call | None, request: ResponseRequest) -> Engine | None:
    """None for the stack's own engine."""
    if (answering := _answering(parts)) is not None:
        return _engine(request, call, *answering)
    if not has_own_tools_alone(request):
        return None
    native = surface_for(parts, "native_responses", call)
    if native is None or not await native.takes(request.model):
        return None
    from core.services.responses.native.engine import NativeEngine  # late: few models have it

    return NativeEngine(request, native.stream, call)


def _engine(request: ResponseRequest, call: Call | None, provider_id: str, provider: "AnswersResponses") -> Engine:
    from core.services.responses.native.charging import PackageMeter, acting, charging
    from core.services.responses.native.engine import NativeEngine

    async def ask(body: JsonObject) -> JsonStream:
        meter = PackageMeter.begin(call, request.model, provider_id)
        with ActingFor(call):
            events = await provider.stream_response(body)
        return charging(acting(events, call), meter)

    return NativeEngine(request, ask, call)
