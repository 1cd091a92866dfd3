"""OpenAI's chunks as native events: state machines, fed a chunk at a time. Pure.

A stream is `begin()`, `feed()` for each chunk, `end()`; each gives the events to send next.
"""

from dataclasses import dataclass
from typing import Protocol

from core.frame.types import JsonObject
from core.services.inference.native.reply import (
    first_choice,
    logprobs_of,
    metrics_of,
    native_tool_call,
    object_at,
    objects_at,
    stop_reason_of,
    text_at,
)


class Events(Protocol):
    """The translation of one stream: `begin`, then `feed` for each chunk, then `end`."""

    def begin(self) -> list[JsonObject]:
        """The events before the first chunk."""
        ...

    def feed(self, chunk: JsonObject) -> list[JsonObject]:
        """The events that this chunk makes, in order; raises UpstreamFailed if it is not of OpenAI's shape."""
        ...

    def end(self) -> list[JsonObject]:
        """The events after the last chunk."""
        ...


@dataclass(slots=True)
class _Call:
    """A tool call as far as it is known."""

    call_id: str = ""
    name: str = ""
    arguments: str = ""


class ChatEvents:
    """One start, then progress, then one complete, which has the stop reason and the metrics.

    A tool call is `started` with an empty text, `in_progress` with parts of its arguments as they come,
    and, once the stream is over, `succeeded` (or `failed`: its arguments are no JSON object) with the
    whole ToolCall, in the calls' order. Where a provider mixes several calls, only the parts of the one
    begun last are sent as they come: 0.2's events cannot say whose part they are.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._last_begun = -1
        self._finish_reason: object = None
        self._usage: object = None

    def begin(self) -> list[JsonObject]:
        return [_event("start", _text(""))]

    def feed(self, chunk: JsonObject) -> list[JsonObject]:
        self._usage = chunk.get("usage") or self._usage
        if not chunk.get("choices"):
            return []
        choice = first_choice(chunk)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = object_at(choice, "delta")
        text = text_at(delta, "content") + text_at(delta, "refusal")
        deltas = [_text(text)] if text else []
        for part in objects_at(delta, "tool_calls"):
            deltas += self._tool_deltas(part)
        logprobs = logprobs_of(choice)
        if logprobs and not deltas:
            deltas = [_text("")]
        return [
            _event("progress", part_delta, logprobs=logprobs if position == 0 else None)
            for position, part_delta in enumerate(deltas)
        ]

    def end(self) -> list[JsonObject]:
        calls = [native_tool_call(c.call_id, c.name, c.arguments) for _, c in sorted(self._calls.items())]
        done = [_tool(call, "failed" if call["arguments_json"] is None else "succeeded") for call in calls]
        complete = _event("complete", _text(""), stop_reason=stop_reason_of(self._finish_reason))
        complete["metrics"] = metrics_of(self._usage)
        return [*(_event("progress", delta) for delta in done), complete]

    def _tool_deltas(self, part: JsonObject) -> list[JsonObject]:
        index = self._index(part.get("index"), begins=bool(part.get("id")))
        function = object_at(part, "function")
        deltas: list[JsonObject] = []
        if index not in self._calls:
            self._calls[index] = _Call()
            self._last_begun = index
            deltas.append(_tool("", "started"))
        call, text = self._calls[index], text_at(function, "arguments")
        call.call_id = call.call_id or text_at(part, "id")
        call.name = call.name or text_at(function, "name")
        call.arguments += text
        if text and index == self._last_begun:
            deltas.append(_tool(text, "in_progress"))
        return deltas

    def _index(self, reported: object, *, begins: bool) -> int:
        """The call's index; some providers leave it out, then an id begins the next call."""
        if isinstance(reported, int):
            return reported
        return self._last_begun + 1 if begins else max(self._last_begun, 0)


class CompletionEvents:
    """Texts as they come, then one without text, which has the stop reason and the metrics."""

    def __init__(self) -> None:
        self._finish_reason: object = None
        self._usage: object = None

    def begin(self) -> list[JsonObject]:
        return []

    def feed(self, chunk: JsonObject) -> list[JsonObject]:
        self._usage = chunk.get("usage") or self._usage
        if not chunk.get("choices"):
            return []
        choice = first_choice(chunk)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        text, logprobs = text_at(choice, "text"), logprobs_of(choice)
        if not text and not logprobs:
            return []
        return [{"metrics": None, "delta": text, "stop_reason": None, "logprobs": logprobs}]

    def end(self) -> list[JsonObject]:
        stop_reason = stop_reason_of(self._finish_reason)
        return [{"metrics": metrics_of(self._usage), "delta": "", "stop_reason": stop_reason, "logprobs": None}]


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _tool(call: str | JsonObject, status: str) -> JsonObject:
    return {"type": "tool_call", "tool_call": call, "parse_status": status}


def _event(
    kind: str, delta: JsonObject, *, logprobs: list[JsonObject] | None = None, stop_reason: str | None = None
) -> JsonObject:
    event = {"event_type": kind, "delta": delta, "logprobs": logprobs, "stop_reason": stop_reason}
    return {"metrics": None, "event": event}
