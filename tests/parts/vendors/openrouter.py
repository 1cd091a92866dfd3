"""OpenRouter: comments before the first chunk, errors after a 200, an error beside the choices in a stream.

The usage is sent unasked in the last chunk; unknown fields are ignored. Its errors have a number as `code`, in a stream a
word. Listed models have no `object`.
Not shown: routing and fallbacks, moderation, `usage: {include: true}`, an error in a choice of a whole answer.

Sources: https://openrouter.ai/docs/api/reference/streaming, https://openrouter.ai/docs/api/reference/errors-and-debugging,
https://github.com/tailcallhq/forgecode/issues/1143 (too long a prompt).
"""

from collections.abc import Iterator
from typing import Any, override

from tests.parts.scripted import USAGE, Said, calls_of
from tests.parts.vendors.double import MODEL, Vendor, call_deltas, event

HEAD = {"id": "gen-1764000000-5d3cbf5b", "provider": "DeepInfra", "model": MODEL, "created": 1764000000}
COMMENT = b": OPENROUTER PROCESSING\n\n"
TOO_LONG = (
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 264437 tokens (262437 of text "
    'input, 2000 in the output). Please reduce the length of either one, or use the "middle-out" transform.'
)
PRICED = USAGE | {"cost": 0.000093, "is_byok": False, "prompt_tokens_details": {"cached_tokens": 0}}


def error(code: int | str, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **({"metadata": metadata} if metadata else {})}}


class OpenRouter(Vendor):
    provider_type = "remote::openai-compatible"
    root = "/api/v1"
    listing = "/api/v1/models"
    listed = {"data": [{"id": MODEL, "canonical_slug": MODEL, "name": "Small", "created": 7, "context_length": 131072}]}  # noqa: RUF012 - never changed
    errors = {  # noqa: RUF012 - never changed
        "key": (401, error(401, "No auth credentials found")),
        "model": (400, error(400, "large is not a valid model ID")),
        "too_long": (400, error(400, TOO_LONG, provider_name=None)),
        "busy": (200, error(429, "Provider returned error", provider_name="DeepInfra", raw="small is rate-limited")),
    }
    broken = event(
        {
            **HEAD,
            "object": "chat.completion.chunk",
            **error("server_error", "Provider disconnected unexpectedly"),
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        }
    )

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None, "reasoning": None}
        if said.calls:
            message |= {"tool_calls": [{"index": index, **call} for index, call in enumerate(calls_of(said))]}
        choice = {"logprobs": None, **_ending(said.finish), "index": 0, "message": message}
        return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": PRICED}

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        yield COMMENT
        yield COMMENT
        for letter in said.text:
            yield _chunk({"role": "assistant", "content": letter})
        for calls in call_deltas(said):
            yield _chunk({"role": "assistant", "content": None, "tool_calls": calls})
        yield _chunk({"role": "assistant", "content": ""}, said.finish)
        yield _chunk({"role": "assistant", "content": ""}, usage=PRICED)


def _ending(finish: str | None) -> dict[str, Any]:
    return {"finish_reason": finish, "native_finish_reason": finish}


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, **_ending(finish), "logprobs": None}
    return event({**HEAD, "object": "chat.completion.chunk", "choices": [choice], **more})
