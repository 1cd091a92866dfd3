"""Responses of a remote itself: a request as it is sent, and a stream whose failure is a failure. Pure.

Source: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from contextlib import aclosing
from typing import Final

from core.apis.native_bodies import NativeBody
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonStream
from core.platform.json_values import to_object

PATH: Final = "/responses"
BOUND: Final = "max_output_tokens"
FAILURES: Final[dict[str, tuple[type[ApiError], str]]] = {
    "rate_limit_exceeded": (UpstreamThrottled, "is throttling. Try again later."),
    "invalid_prompt": (InvalidRequest, "refused the request as invalid."),
}
"""By the code of a response that failed; what its message quotes is the provider's own, and stays here."""
OTHER: Final = (UpstreamFailed, "failed in its answer.")


def cap_tokens(body: NativeBody, most: int | None) -> NativeBody:
    """With the bound of the run config, where the request sets none."""
    if most is None or (body.model_extra or {}).get(BOUND) is not None:
        return body
    return body.model_copy(update={BOUND: most})


async def raise_failures(provider_id: str, events: JsonStream) -> JsonStream:
    """The events; `response.failed` is raised."""
    async with aclosing(events):
        async for event in events:
            if event.get("type") == "response.failed":
                error = to_object(to_object(event.get("response")).get("error"))
                kind, words = FAILURES.get(str(error.get("code")), OTHER)
                raise kind(f"Provider `{provider_id}` {words}")
            yield event
