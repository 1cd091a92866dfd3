"""Who answers a response in the place of the stack's engine: a provider of the API `responses`, or the provider of a native model."""

from typing import cast

from core.apis.responses import AnswersResponses, ResponseRequest
from core.frame.callers import ActingFor, Call
from core.frame.types import JsonObject, JsonStream
from core.services.parts import Parts, surface_for
from core.services.responses.contract import Engine
from core.services.responses.native.writing import has_own_tools_alone


async def find_native(parts: Parts, call: Call | None, request: ResponseRequest) -> Engine | None:
    """None for the stack's own engine."""
    provider = next(iter(parts.providers("responses").values()), None)
    if hasattr(provider, "stream_response"):  # not by the type: one of another package hands on what it is asked for
        return _engine(request, call, cast("AnswersResponses", provider))
    if not has_own_tools_alone(request):
        return None
    native = surface_for(parts, "native_responses", call)
    if native is None or not await native.takes(request.model):
        return None
    from core.services.responses.native.engine import NativeEngine  # late: few models have it

    return NativeEngine(request, native.stream, call)


def _engine(request: ResponseRequest, call: Call | None, provider: AnswersResponses) -> Engine:
    from core.services.responses.native.engine import NativeEngine

    async def ask(body: JsonObject) -> JsonStream:
        with ActingFor(call):
            return _acting(await provider.stream_response(body), call)

    return NativeEngine(request, ask, call)


async def _acting(events: JsonStream, call: Call | None) -> JsonStream:
    """Each step of the provider's code runs for the call."""
    acting = ActingFor(call)
    try:
        while True:
            with acting:
                event = await anext(events, None)
            if event is None:
                return
            yield event
    finally:
        with acting:
            await events.aclose()
