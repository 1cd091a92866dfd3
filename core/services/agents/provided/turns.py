"""Turns as their provider tells them, with the ids of the stack: translated, and read for the conversation. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic_core import to_json

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.responses.contract import Usage
from core.services.responses.native.members import number_in

IDS: Final = ("turn_id", "session_id")
MESSAGES: Final = ("output_message", "model_response")
METRICS: Final = ("prompt_tokens", "completion_tokens")
PLACES: Final = ("turn", "step_details")
"""Where a payload has objects with ids."""


def translate(chunk: object, ids: JsonObject, provider_id: str) -> JsonObject:
    """An event with these `ids` in the place of the provider's; raises UpstreamFailed for what is none."""
    payload = to_object(to_object(to_object(chunk).get("event")).get("payload"))
    if not isinstance(payload.get("event_type"), str):
        raise UpstreamFailed(f"Provider `{provider_id}` sent something else than an event of a turn.")
    own = _with_ids(payload, ids)
    own |= {name: _with_ids(payload[name], ids) for name in PLACES if is_object(payload.get(name))}
    return {"event": {"payload": own}}


def usage_in(chunk: JsonObject) -> Usage | None:
    """What its `metrics` say, which answers of models have in 0.2: `prompt_tokens` and `completion_tokens`. None where they say nothing."""
    rows = [to_object(row) for row in metrics] if is_list(metrics := chunk.get("metrics")) else []
    counts = {name: [number_in(row.get("value")) for row in rows if row.get("metric") == name] for name in METRICS}
    if not any(counts.values()):
        return None
    prompt, completion = (sum(counts[name]) for name in METRICS)
    return Usage(input_tokens=prompt, output_tokens=completion)


def _with_ids(value: JsonObject, ids: JsonObject) -> JsonObject:
    """A turn, a step or a payload, with these ids and whole messages and calls."""
    own = value | {name: ids[name] for name in IDS if name in value}
    own |= {name: _whole_message(own[name]) for name in MESSAGES if is_object(own.get(name))}
    if is_list(steps := value.get("steps")):
        own["steps"] = [_with_ids(step, ids) for step in steps if is_object(step)]
    if is_list(calls := value.get("tool_calls")):
        own["tool_calls"] = [_whole_call(to_object(call)) for call in calls]
    return own


def _whole_message(message: JsonObject) -> JsonObject:
    calls: list[object] = message.get("tool_calls") or []
    whole: JsonObject = {"role": "assistant", "content": "", "stop_reason": "end_of_turn"}
    return whole | message | {"tool_calls": [_whole_call(to_object(call)) for call in calls]}


def _whole_call(call: JsonObject) -> JsonObject:
    arguments = call.get("arguments")
    written = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
    own: JsonObject = {"call_id": str(call.get("call_id") or ""), "tool_name": str(call.get("tool_name") or "")}
    whole: JsonObject = {"arguments": {}, "arguments_json": written}
    return whole | call | own


def check_turn(turn: JsonObject, provider_id: str) -> JsonObject:
    """The turn with all that is read of it; raises UpstreamFailed where it lacks what nothing stands for."""
    if not is_object(turn.get("output_message")) or not is_list(turn.get("steps")):
        raise UpstreamFailed(f"Provider `{provider_id}` ended without a turn.")
    whole: JsonObject = {"input_messages": [], "output_attachments": [], "completed_at": None}
    return whole | turn


def output_of(turn: JsonObject) -> Iterator[JsonObject]:
    """What the conversation keeps of its answer: a message, and the calls of client tools, without ids."""
    message = turn["output_message"]
    text = text_of(message.get("content"))
    if text:
        part: JsonObject = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        yield {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
    for call in message["tool_calls"]:
        names = {"call_id": call["call_id"], "name": call["tool_name"], "arguments": call["arguments_json"]}
        yield {"type": "function_call", **names, "status": "completed"}


def input_of(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """Messages of a turn as input items."""
    return [
        {"type": "function_call_output", "call_id": message["call_id"], "output": text_of(message["content"])}
        if message.get("call_id")
        else {"role": "user", "content": text_of(message["content"])}
        for message in messages
    ]


def text_of(content: Any) -> str:  # noqa: ANN401 - interleaved content
    """Its texts; of an image, that there was one."""
    if isinstance(content, str):
        return content
    if is_list(content):
        return "\n".join(text for item in content if (text := text_of(item)))
    item = to_object(content)
    return "[Image]" if item.get("type") == "image" else str(item.get("text") or "")
