"""Databricks' model serving, a pay-per-token endpoint of a workspace.

Its body is read by a strict decoder: `stream_options` is an unknown field. Every chunk of a stream has the usage so far.
Errors are flat, with a word as `error_code`. Models are the workspace's serving endpoints, listed beside the API.
Not shown: endpoints in front of another vendor's model, which hand on that vendor's errors; AI Gateway's own limits. How
too long a prompt is refused is that of the engine behind an endpoint; the words here are one report's.

Sources: https://docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference,
https://github.com/continuedev/continue/issues/12936, https://github.com/anomalyco/opencode/issues/31156,
https://github.com/databricks/databricks-ai-bridge/pull/176 (the usage in every chunk).
"""

from collections.abc import Iterator
from typing import Any, override

from tests.parts.scripted import USAGE, Said, calls_of
from tests.parts.vendors.double import MODEL, Refusal, Vendor, call_deltas, event

HEAD = {"id": "chatcmpl_5d3cbf5b", "created": 1764000000, "model": "small-121024"}


def error(code: str, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}


class Databricks(Vendor):
    provider_type = "remote::databricks"
    root = "/serving-endpoints"
    listing = "/api/2.0/serving-endpoints"
    listed = {"endpoints": [{"name": MODEL, "id": "0123", "state": {"ready": "READY"}, "task": "llm/v1/chat"}]}  # noqa: RUF012 - never changed
    errors = {  # noqa: RUF012 - never changed
        "key": (403, error("403", "Invalid access token. [ReqId: 6314719e]")),
        "model": (404, error("RESOURCE_DOES_NOT_EXIST", "The given endpoint does not exist, please retry.")),
        "too_long": (
            400,
            error("BAD_REQUEST", "This model's maximum context length is 8192 tokens. You asked for 9000."),
        ),
        "busy": (429, error("REQUEST_LIMIT_EXCEEDED", "Exceeded workspace input tokens per minute rate limit.")),
    }
    broken = event({"error": "INTERNAL_ERROR", "message": "The endpoint is out of memory."})
    fields = frozenset(
        {
            "model",
            "messages",
            "max_tokens",
            "n",
            "stream",
            "temperature",
            "top_p",
            "top_k",
            "stop",
            "tools",
            "tool_choice",
            "response_format",
            "logprobs",
            "top_logprobs",
            "reasoning_effort",
        }
    )

    @override
    def whole(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.calls:
            message |= {"tool_calls": calls_of(said)}
        choice = {"index": 0, "message": message, "finish_reason": said.finish, "logprobs": None}
        return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}

    @override
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        prompt, most = USAGE["prompt_tokens"], USAGE["completion_tokens"]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": letter} for letter in said.text]
        deltas += [{"tool_calls": calls} for calls in call_deltas(said)]
        for count, delta in enumerate(deltas, 1):
            made = min(count, most)
            yield _chunk(
                delta, None, {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
            )
        yield _chunk({"role": "assistant", "content": ""}, said.finish, USAGE)

    @override
    def unknown_field(self, name: str) -> Refusal:
        return 400, error("BAD_REQUEST", f'Bad request: json: unknown field "{name}"\n')


def _chunk(delta: dict[str, Any], finish: str | None, usage: dict[str, int]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({**HEAD, "choices": [choice], "usage": usage, "object": "chat.completion.chunk"})
