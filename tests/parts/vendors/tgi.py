"""Text Generation Inference, 3.x, and 2.x before `[DONE]`.

`id` is empty, every delta has its `role`, a tool call ends with `stop`; unknown fields are ignored. What validation
refuses in a stream comes, since 2.4, as an event after a 200. Before 2.2 there was no `[DONE]`, the finish reason was
`eos_token`, `tool_calls` of a delta was one object, and a call's arguments were an object.
Not shown: the buffering of text where tools are given, `/generate`, guidance grammars.

Sources: https://github.com/huggingface/text-generation-inference, router/src (chat.rs, server.rs), issues 1896, 2221, 2749.
"""

from collections.abc import Iterator
import json
from typing import Any, override

from tests.parts.scripted import USAGE, Said, calls_of
from tests.parts.vendors.double import MODEL, Refusal, Vendor, call_deltas, event

HEAD = {"id": "", "created": 1764000000, "model": MODEL, "system_fingerprint": "3.3.6-sha-5d3cbf5"}
TOO_LONG = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
    "Given: 5000 `inputs` tokens and 100 `max_new_tokens`"
)
OUT_OF_MEMORY = "Request failed during generation: Server error: CUDA out of memory."


class Tgi(Vendor):
    provider_type = "remote::tgi"
    root = "/v1"
    listing = "/v1/models"
    listed = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}]}  # noqa: RUF012 - never changed
    errors = {  # noqa: RUF012 - never changed
        "too_long": (422, {"error": TOO_LONG, "error_type": "validation"}),
        "busy": (429, {"error": "Model is overloaded", "error_type": "overloaded"}),
        "field": (422, "Failed to deserialize the JSON body into the target type: missing field `role` at line 1"),
    }
    broken = event({"error": {"message": OUT_OF_MEMORY, "http_status_code": 424}})

    @override
    def refused_event(self, refusal: Refusal) -> bytes:
        status, body = refusal
        return (
            b"" if isinstance(body, str) else event({"error": {"message": body["error"], "http_status_code": status}})
        )

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.calls:
            message = {"role": "assistant", "tool_calls": [_call(call) for call in calls_of(said)]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
        return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        for letter in "" if said.calls else said.text:
            yield _chunk({"role": "assistant", "content": letter})
        for calls in call_deltas(said):
            yield _chunk({"role": "assistant", "tool_calls": calls})
        yield _chunk({"role": "assistant", "content": ""}, _finish(said))
        if usage:
            yield event({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})


class OldTgi(Tgi):
    """2.0."""

    broken = event({"error": OUT_OF_MEMORY, "error_type": "generation"})

    @override
    def refused_event(self, refusal: Refusal) -> bytes:
        return b""

    @override
    def end(self) -> bytes:
        return b""

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        reply = super().whole(said)
        for call in reply["choices"][0]["message"].get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        return reply

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        for letter in "" if said.calls else said.text:
            yield _chunk({"role": "assistant", "content": letter})
        for [call] in call_deltas(said):
            yield _chunk({"role": "assistant", "tool_calls": call})
        yield _chunk({"role": "assistant", "content": ""}, "length" if said.finish == "length" else "eos_token")


def _finish(said: Said) -> str:
    return "length" if said.finish == "length" else "stop"


def _call(call: dict[str, Any]) -> dict[str, Any]:
    return call | {"function": {"description": None, **call["function"]}}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({**HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None})
