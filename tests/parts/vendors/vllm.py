"""vLLM, 0.10 and later, and as it was before.

It names every field that it knows, those without a value too: `tool_calls: []`, `refusal: null`, `prompt_logprobs: null`.
Unknown fields are ignored; before 0.5.3 they were refused. Errors are flat before 0.10, under `error` since.
Not shown: guided decoding, pooling models, the tool parsers' own faults, `continuous_usage_stats`.

Sources: https://github.com/vllm-project/vllm, vllm/entrypoints/openai (protocol, serving_chat), issues 4667, 20409, 37397.
"""

from collections.abc import Iterator
from typing import Any, override

from tests.parts.scripted import USAGE, Said, calls_of
from tests.parts.vendors.double import DONE, MODEL, Refusal, Vendor, call_deltas, event

HEAD = {"id": "chatcmpl-5d3cbf5b", "created": 1764000000, "model": MODEL}
NO_EXTRAS = {"prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None}
TOO_LONG = (
    "This model's maximum context length is 8192 tokens. However, you requested 9192 tokens (8192 in the messages, 1000 in "
    "the completion). Please reduce the length of the messages or completion."
)
CARD = {"id": MODEL, "object": "model", "created": 7, "owned_by": "vllm", "root": "org/small", "parent": None}


def error(message: str, kind: str, code: int, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Vllm(Vendor):
    provider_type = "remote::vllm"
    root = "/v1"
    listing = "/v1/models"
    listed = {  # noqa: RUF012 - never changed
        "object": "list",
        "data": [{**CARD, "max_model_len": 8192, "permission": [{"id": "modelperm-1", "object": "model_permission"}]}],
    }
    errors = {  # noqa: RUF012 - never changed
        "key": (401, {"error": "Unauthorized"}),
        "model": (404, error("The model `large` does not exist.", "NotFoundError", 404, "model")),
        "too_long": (400, error(TOO_LONG, "BadRequestError", 400, "input_tokens")),
        "busy": (503, error("The engine is overloaded.", "ServiceUnavailableError", 503)),
    }
    broken = event(error("EngineCore encountered an issue: CUDA out of memory.", "InternalServerError", 500)) + DONE

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        message = {
            "role": "assistant",
            "content": said.text or None,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": calls_of(said),
            "reasoning_content": None,
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish, "stop_reason": None}
        reply = {**HEAD, "object": "chat.completion", "choices": [{**choice, "token_ids": None}]}
        usage = {**USAGE, "prompt_tokens_details": None}
        return {**reply, "service_tier": None, "system_fingerprint": None, "usage": usage, **NO_EXTRAS}

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        first: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": []}
        yield _chunk(first, **NO_EXTRAS)
        yield _chunk({"reasoning_content": "Hm."})
        for letter in said.text:
            yield _chunk({"content": letter})
        for calls in call_deltas(said):
            yield _chunk({"tool_calls": calls})
        yield _chunk({"content": "", "tool_calls": []}, said.finish)
        if usage:
            yield event({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}
    choices = [choice | ({"stop_reason": None} if finish else {})]
    return event({**HEAD, "object": "chat.completion.chunk", "choices": choices, **more})


class StrictVllm(Vllm):
    """Before 0.5.3: no `stream_options`, and an unknown field is refused with pydantic's errors as text."""

    fields = frozenset({"model", "messages", "max_tokens", "stream", "temperature", "tools", "tool_choice", "seed"})

    @override
    def unknown_field(self, name: str) -> Refusal:
        text = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}]"
        return 400, {"object": "error", "message": text, "type": "BadRequestError", "param": None, "code": 400}
