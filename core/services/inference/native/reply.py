"""OpenAI's answers as native ones. Pure; an answer that is not of OpenAI's shape raises UpstreamFailed.

Stop reasons are those of 0.2's remotes: an answer that ends in tool calls is `end_of_message`, "a partial
response, usually a tool call".
"""

from typing import Any, Final, cast

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_reader import read_object
from core.platform.json_values import to_object

STOP_REASONS: Final = {"length": "out_of_tokens", "tool_calls": "end_of_message", "function_call": "end_of_message"}
METRICS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


def from_openai_chat(reply: JsonObject) -> JsonObject:
    """A `chat.completion` as 0.2's ChatCompletionResponse: its first choice."""
    choice = first_choice(reply)
    if choice.get("message") is None:
        raise build_shape_error("a choice without a message")
    message = object_at(choice, "message")
    completion_message: JsonObject = {
        "role": "assistant",
        "content": text_at(message, "content") or text_at(message, "refusal"),
        "stop_reason": stop_reason_of(choice.get("finish_reason")),
        "tool_calls": [_tool_call(call) for call in objects_at(message, "tool_calls")],
    }
    return {
        "metrics": metrics_of(reply.get("usage")),
        "completion_message": completion_message,
        "logprobs": logprobs_of(choice),
    }


def from_openai_completion(reply: JsonObject) -> JsonObject:
    """A `text_completion` as 0.2's CompletionResponse: its first choice."""
    choice = first_choice(reply)
    return {
        "metrics": metrics_of(reply.get("usage")),
        "content": text_at(choice, "text"),
        "stop_reason": stop_reason_of(choice.get("finish_reason")),
        "logprobs": logprobs_of(choice),
    }


def from_openai_embeddings(reply: JsonObject) -> JsonObject:
    """A `list` of `embedding` objects as 0.2's EmbeddingsResponse, in the order of their indexes."""
    vectors = [_vector(entry, position) for position, entry in enumerate(objects_at(reply, "data"))]
    return {"embeddings": [vector for _, vector in sorted(vectors, key=lambda pair: pair[0])]}


def first_choice(reply: JsonObject) -> JsonObject:
    """The first of `choices`: 0.2's shapes have room for one."""
    match reply:
        case {"choices": [{}, *_]}:
            return cast("JsonObject", reply["choices"][0])
        case _:
            raise build_shape_error("no choice")


def stop_reason_of(finish_reason: object) -> str:
    """0.2's stop reason for OpenAI's `finish_reason`; an unknown one ended the turn."""
    return STOP_REASONS.get(str(finish_reason), "end_of_turn")


def metrics_of(usage: object) -> list[JsonObject] | None:
    """Token counts as 0.2's metrics, or None where the provider reported none."""
    if not isinstance(usage, dict):
        return None
    counts = cast("JsonObject", usage)
    metrics: list[JsonObject] = [
        {"metric": name, "value": counts[name], "unit": "tokens"}
        for name in METRICS
        if isinstance(counts.get(name), int)
    ]
    return metrics or None


def native_tool_call(call_id: str, name: str, raw: str) -> JsonObject:
    """A ToolCall of 0.2: `arguments` parsed, with their JSON in `arguments_json`.

    Models write invalid JSON at times: then `arguments` is the text as it came, and `arguments_json` null.
    """
    raw = raw or "{}"
    try:
        arguments = read_object(raw)
    except ValueError:
        arguments = None
    valid = arguments is not None
    return {
        "call_id": call_id,
        "tool_name": name,
        "arguments": arguments if valid else raw,
        "arguments_json": raw if valid else None,
    }


def logprobs_of(choice: JsonObject) -> list[JsonObject] | None:
    """One `{logprobs_by_token}` per token, the token itself first; chat's form and the older one of completions."""
    match choice.get("logprobs"):
        case {"content": [*_]}:
            return [_token_logprobs(token) for token in objects_at(choice["logprobs"], "content")]
        case {"tokens": [*tokens], "token_logprobs": [*chosen]}:
            others: Any = choice["logprobs"].get("top_logprobs") or [None] * len(tokens)
            if not isinstance(others, list):
                raise build_shape_error("`top_logprobs` that are not a list")
            rows = zip(cast("list[object]", tokens), chosen, cast("list[object]", others), strict=False)
            return [_logprobs_entry({str(token): value} | to_object(other)) for token, value, other in rows]
        case _:
            return None


def object_at(holder: JsonObject, name: str) -> JsonObject:
    """The object under `name`; null or nothing is an empty one."""
    match holder.get(name):
        case None:
            return {}
        case {}:
            return cast("JsonObject", holder[name])
        case _:
            raise build_shape_error(f"a `{name}` that is not an object")


def text_at(holder: JsonObject, name: str) -> str:
    """The string under `name`; null or nothing is an empty one."""
    match holder.get(name):
        case None:
            return ""
        case str(text):
            return text
        case _:
            raise build_shape_error(f"a `{name}` that is not a string")


def objects_at(holder: JsonObject, name: str) -> list[JsonObject]:
    """The list of objects under `name`; null or nothing is an empty one."""
    match holder.get(name):
        case None:
            return []
        case [*items] if all(isinstance(item, dict) for item in items):
            return cast("list[JsonObject]", items)
        case _:
            raise build_shape_error(f"a `{name}` that is not a list of objects")


def build_shape_error(fault: str) -> UpstreamFailed:
    """The failure of a provider that does not keep to OpenAI's shapes."""
    return UpstreamFailed(f"The provider's answer is not of OpenAI's shape: it has {fault}.")


def _token_logprobs(token: JsonObject) -> JsonObject:
    tokens = [token, *objects_at(token, "top_logprobs")]
    return _logprobs_entry({text_at(alternative, "token"): alternative.get("logprob") for alternative in tokens})


def _logprobs_entry(values: dict[str, float | None]) -> JsonObject:
    return {"logprobs_by_token": {token: value for token, value in values.items() if value is not None}}


def _tool_call(call: JsonObject) -> JsonObject:
    function = object_at(call, "function")
    return native_tool_call(text_at(call, "id"), text_at(function, "name"), text_at(function, "arguments"))


def _vector(entry: JsonObject, position: int) -> tuple[int, list[float]]:
    index, vector = entry.get("index"), entry.get("embedding")
    if not isinstance(vector, list):
        raise build_shape_error("an embedding that is not a list of numbers")
    return (index if isinstance(index, int) else position), cast("list[float]", vector)
