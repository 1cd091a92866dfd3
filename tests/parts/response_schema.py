"""The strictest reader of a stream of Responses: every event by its shape, and all of them by what must follow what.

`check_stream` takes the events in their order, and gives the response that the last one has; what is wrong is an AssertionError.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
import json
from typing import Any, Final

from core.frame.types import JsonObject
from tests.parts.response_shapes import ARGUMENTS, EVENTS, PARTS, PHASES, check_item, check_part, check_response
from tests.parts.response_shapes import check_shape as check_members

LAST: Final = ("response.completed", "response.incomplete", "response.failed")
TEXTS: Final = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "reasoning_summary_text": "summary_text",
}
"""Events of texts, and the type of their part."""
CALLS: Final = {
    "function_call_arguments": "function_call",
    "mcp_call_arguments": "mcp_call",
    "custom_tool_call_input": "custom_tool_call",
    "code_interpreter_call_code": "code_interpreter_call",
}
HOLDERS: Final = {"content_part": "content", "reasoning_summary_part": "summary"}


@dataclass
class _Part:
    kind: str
    place: int
    holder: str
    text: str = ""
    is_text_done: bool = False
    annotations: list[JsonObject] = field(default_factory=list[JsonObject])
    logprobs: list[JsonObject] = field(default_factory=list[JsonObject])


@dataclass
class _Item:
    added: JsonObject
    part: _Part | None = None
    parts: dict[str, list[JsonObject]] = field(default_factory=lambda: {"content": [], "summary": []})
    arguments: str | None = None
    is_called: bool = False
    phases: list[str] = field(default_factory=list[str])
    done: JsonObject | None = None


class StreamChecker:
    """Of one stream, event by event; `response` is there once it has ended."""

    def __init__(self) -> None:
        self.response: JsonObject | None = None
        self._count = 0
        self._id = ""
        self._items: list[_Item] = []

    def add(self, event: JsonObject) -> None:
        kind: str = event.get("type", "")
        assert self.response is None, f"{kind} follows the end"
        assert kind in EVENTS, f"unknown event {event}"
        assert event.get("sequence_number") == self._count, f"{event} should be number {self._count}"
        members = {member: value for member, value in event.items() if member != "sequence_number"}
        check_members(members, EVENTS[kind], kind)
        expected = ("response.created", "response.in_progress")[self._count : self._count + 1]
        assert not expected or kind in (*expected, "response.queued"), f"{kind} is number {self._count}"
        self._count += 1
        if "response" in event:
            self._check_life(kind, event["response"])
        elif "item" in event:
            self._check_item(kind.rpartition(".")[2], event)
        else:
            self._check_within(kind.removeprefix("response."), event)

    def _check_life(self, kind: str, response: JsonObject) -> None:
        self._id = self._id or response["id"]
        assert response["id"] == self._id, f"{kind} is of another response"
        check_response(response)
        if kind not in LAST:
            assert self._count <= 3, f"{kind} in the middle"
            assert response["status"] in ("queued", "in_progress")
            assert response["output"] == []
            return
        assert kind == f"response.{response['status']}"
        open_items = [item.added for item in self._items if item.done is None]
        assert kind == "response.failed" or not open_items, f"never done: {open_items}"
        assert response["output"] == [item.done for item in self._items if item.done is not None]
        self.response = response

    def _check_item(self, word: str, event: JsonObject) -> None:
        place, item = event["output_index"], event["item"]
        check_item(item, f"output_item.{word}")
        if word == "added":
            assert place == len(self._items), f"output_index {place} of the item {len(self._items)}"
            assert item["id"] not in [other.added["id"] for other in self._items], f"{item['id']} again"
            assert not item.get("content"), item
            assert not item.get("summary"), item
            assert item.get("status") in (None, "in_progress"), item
            self._items.append(_Item(item))
            return
        state = self._open(place, item["id"])
        assert state.part is None, f"a part of {item} is not done"
        assert {name: item.get(name) for name in ("type", "id", "call_id")} == {
            name: state.added.get(name) for name in ("type", "id", "call_id")
        }
        assert item.get("status") != "in_progress", item
        for holder, parts in state.parts.items():
            assert (item.get(holder) or []) == parts, f"{item} is not what was streamed: {parts}"
        self._check_called(item, state)
        state.done = item

    def _check_called(self, item: JsonObject, state: _Item) -> None:
        for word, kind in CALLS.items():
            member = ARGUMENTS[word]
            if kind == item["type"]:
                whole = state.added.get(member)
                assert state.is_called or whole, f"{item}: its {member} were not done"
                assert item[member] == (state.arguments if state.is_called else whole)
        if item["type"] in PHASES and item.get("status") == "completed":
            assert state.phases[-1:] == ["completed"], f"{item} went through {state.phases}"

    def _open(self, place: int, item_id: str) -> _Item:
        assert place < len(self._items), f"nothing was added at {place}"
        state = self._items[place]
        assert state.added["id"] == item_id, f"{item_id} is not the item at {place}"
        assert state.done is None, f"{item_id} is done"
        return state

    def _check_within(self, kind: str, event: JsonObject) -> None:
        if kind == "error":
            assert self._count == 1, "an event `error` in the middle"
            return
        state = self._open(event["output_index"], event["item_id"])
        subject, _, word = kind.rpartition(".")
        if subject in HOLDERS:
            self._check_part(state, HOLDERS[subject], word, event)
        elif subject in TEXTS:
            self._check_text(state, TEXTS[subject], word, event)
        elif subject in CALLS:
            self._check_arguments(state, subject, word, event)
        elif kind == "output_text.annotation.added":
            part = _part_at(state, "output_text", event)
            assert event["annotation_index"] == len(part.annotations)
            part.annotations.append(event["annotation"])
            check_part(
                {"type": "output_text", "text": part.text, "annotations": part.annotations, "logprobs": []}, kind
            )
        else:
            self._check_phase(state, subject, word)

    def _check_part(self, state: _Item, holder: str, word: str, event: JsonObject) -> None:
        place, part = event["content_index" if holder == "content" else "summary_index"], event["part"]
        check_part(part, f"{holder}_part.{word}")
        if word == "added":
            assert state.part is None, f"{part} begins within another"
            assert place == len(state.parts[holder]), f"{part} at {place}"
            assert not any(value for member, value in part.items() if member != "type"), part
            assert (part["type"] == "summary_text") == (holder == "summary"), part
            state.part = _Part(part["type"], place, holder)
            return
        begun = state.part
        assert begun is not None, f"{part} has not begun"
        assert (place, holder, part["type"]) == (begun.place, begun.holder, begun.kind), part
        assert begun.is_text_done, f"the text of {part} was not done"
        assert part[_member(begun.kind)] == begun.text, part
        assert part.get("annotations", []) == begun.annotations, part
        assert part.get("logprobs", []) == begun.logprobs, part
        state.parts[holder].append(part)
        state.part = None

    def _check_text(self, state: _Item, kind: str, word: str, event: JsonObject) -> None:
        part = _part_at(state, kind, event)
        assert not part.is_text_done, f"{event} follows the end of the text"
        if word == "delta":
            part.text += event["delta"]
            part.logprobs += event.get("logprobs", [])
            return
        assert event[_member(kind)] == part.text, event
        assert event.get("logprobs", []) == part.logprobs, event
        part.is_text_done = True

    def _check_arguments(self, state: _Item, subject: str, word: str, event: JsonObject) -> None:
        assert state.added["type"] == CALLS[subject], f"{event} of {state.added}"
        assert not state.is_called, f"{event} follows their end"
        assert not state.added.get(ARGUMENTS[subject]), f"{event} of arguments that were whole"
        has_run = {"completed", "failed"} & set(state.phases)
        assert not has_run or state.arguments is None, f"{event} follows the call"
        if word == "delta":
            state.arguments = (state.arguments or "") + event["delta"]
            return
        assert event[ARGUMENTS[subject]] == (state.arguments or ""), event
        state.arguments, state.is_called = state.arguments or "", True

    def _check_phase(self, state: _Item, subject: str, word: str) -> None:
        assert subject == state.added["type"], f"{subject}.{word} of {state.added}"
        order, before = PHASES[subject], state.phases
        assert all(order.index(word) > order.index(phase) for phase in before), f"{word} follows {before}"
        assert not {"completed", "failed"} & set(before), f"{word} follows {before}"
        before.append(word)


def _part_at(state: _Item, kind: str, event: JsonObject) -> _Part:
    part = state.part
    assert part is not None, f"{event} is of no part"
    assert part.kind == kind, event
    assert part.place == event.get("content_index", event.get("summary_index")), event
    return part


def _member(kind: str) -> str:
    return next(member for member in PARTS[kind])


def check_stream(events: Iterable[JsonObject]) -> JsonObject:
    """The response at the end of a stream that is as it must be; a lone event `error` fails too."""
    checker = StreamChecker()
    for event in events:
        checker.add(event)
    assert checker.response is not None, "the stream has no end"
    return checker.response


def read_events(body: str) -> list[JsonObject]:
    """The events of a body `text/event-stream`; fails where a name is not its event's type, or `[DONE]` follows."""
    events = list[Any]()
    for block in body.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            data = json.loads(fields["data"])
            assert fields["event"] == data["type"], block
            events.append(data)
    return events
