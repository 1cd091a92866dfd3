"""llama.cpp's server, builds of 2025 and later, and an older one.

Keys of a chunk are in another order, `timings` stand in the last one, `code` of an error is a number, every model's name is
taken, unknown fields are ignored. The first delta's content is null. An older build sent the usage unasked in the last
chunk, and said what broke a stream in an `error:` field, which is none of server-sent events' own.
Not shown: router mode, slots, grammars, the templates that refuse roles or tools.

Sources: https://github.com/ggml-org/llama.cpp, tools/server/README.md, pull requests 15780 and 16486.
"""

from collections.abc import Iterator
from typing import Any, override

from tests.parts.scripted import USAGE, Said, calls_of
from tests.parts.vendors.double import MODEL, Vendor, call_deltas, event

TAIL = {"created": 1764000000, "id": "chatcmpl-qC6laQHbZ2", "model": MODEL, "system_fingerprint": "b6123-3db4da56"}
TIMINGS = {"cache_n": 0, "prompt_n": 11, "prompt_ms": 25.1, "predicted_n": 7, "predicted_ms": 40.7}
META = {"vocab_type": 2, "n_vocab": 49152, "n_ctx": 4096, "n_ctx_train": 8192, "n_embd": 576, "n_params": 1, "size": 1}


def error(code: int, message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


class LlamaCpp(Vendor):
    provider_type = "remote::llama-cpp-server"
    root = "/v1"
    listing = "/v1/models"
    listed = {  # noqa: RUF012 - never changed
        "models": [{"name": MODEL, "model": MODEL, "type": "model", "capabilities": ["completion"]}],
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": 7, "owned_by": "llamacpp", "meta": META}],
    }
    errors = {  # noqa: RUF012 - never changed
        "key": (401, error(401, "Invalid API Key", "authentication_error")),
        "too_long": (
            400,
            error(
                400,
                "the request exceeds the available context size, try increasing it",
                "exceed_context_size_error",
                n_prompt_tokens=14429,
                n_ctx=4096,
            ),
        ),
        "busy": (503, error(503, "Loading model", "unavailable_error")),
        "field": (400, error(400, "tools param requires --jinja flag", "invalid_request_error")),
    }
    broken = event(error(500, "Compute error: CUDA out of memory", "server_error"))

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.calls:
            message |= {"tool_calls": calls_of(said)}
        choice = {"finish_reason": said.finish, "index": 0, "message": message}
        return {"choices": [choice], **TAIL, "object": "chat.completion", "usage": USAGE, "timings": TIMINGS}

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        yield _chunk({"role": "assistant", "content": None})
        for letter in said.text:
            yield _chunk({"content": letter})
        for calls in call_deltas(said):
            yield _chunk({"tool_calls": calls})
        yield self._last(said, usage=usage)
        if usage:
            yield event({"choices": [], **TAIL, "object": "chat.completion.chunk", "usage": USAGE, "timings": TIMINGS})

    def _last(self, said: Said, *, usage: bool) -> bytes:
        return _chunk({}, said.finish, **({} if usage else {"timings": TIMINGS}))


class OldLlamaCpp(LlamaCpp):
    """As of early 2025."""

    broken = b'error: {"code":500,"message":"context shift is disabled","type":"server_error"}\n\n'

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        return super().chunks(said, usage=False)

    @override
    def _last(self, said: Said, *, usage: bool) -> bytes:
        return _chunk({}, said.finish, usage=USAGE, timings=TIMINGS)


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"finish_reason": finish, "index": 0, "delta": delta}
    return event({"choices": [choice], **TAIL, "object": "chat.completion.chunk", **more})
