"""The items that a model's answer becomes, while it is written: what was said of each so far, and how it ends. Pure.

Each gives the events of what it is fed; `end` gives those of its end, after which it is fed nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnnotationAdded,
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    ReasoningDelta,
    RefusalDelta,
    RunTool,
    Slot,
    SummaryDelta,
    TextDelta,
    ToolCall,
)
from core.services.responses.engine.citing import Citing
from core.services.responses.output import Output


def state_of(*, whole: bool) -> str:
    return "completed" if whole else "incomplete"


class Message:
    """What the model says: a text, a refusal, or one after the other."""

    __slots__ = ("_annotations", "_citations", "_logprobs", "_refusals", "_waiting", "item", "slot", "texts")

    def __init__(self, output: Output, citations: Citing | None) -> None:
        self.item: Item = {"type": "message", "id": "", "status": "in_progress", "role": "assistant", "content": []}
        self.slot: Slot = output.add(self.item)
        self.texts: list[str] = []
        self._citations = citations
        self._refusals: list[str] = []
        self._annotations: list[JsonObject] = []
        self._logprobs: list[JsonObject] = []
        self._waiting: list[JsonObject] = []  # logprobs of text that may become a citation

    @property
    def beginning(self) -> ItemAdded:
        return ItemAdded(self.slot, {**self.item, "content": []})

    @property
    def plain(self) -> bool:
        """Whether its texts are given out as they come."""
        return self._citations is None and not self._refusals

    @property
    def refuses(self) -> bool:
        """Whether it has a refusal: no text may follow."""
        return bool(self._refusals)

    def say(self, text: str, logprobs: Sequence[JsonObject] = ()) -> Iterator[Event]:
        if self._citations is None:
            yield from self._give(text, logprobs)
            return
        self._waiting += logprobs
        yield from self._give(self._citations.read(text), ())

    def refuse(self, text: str) -> Iterator[Event]:
        self._refusals.append(text)
        yield RefusalDelta(self.slot, text)

    def _give(self, text: str, logprobs: Sequence[JsonObject]) -> Iterator[Event]:
        if text:
            self.texts.append(text)
            logprobs, self._waiting = [*self._waiting, *logprobs], []
            self._logprobs += logprobs
            yield TextDelta(self.slot, text, logprobs)
        if self._citations is not None:
            for annotation in self._citations.cite(text):
                self._annotations.append(annotation)
                yield AnnotationAdded(self.slot, annotation)

    def end(self, *, whole: bool) -> Iterator[Event]:
        if self._citations is not None:
            yield from self._give(self._citations.close(), ())
        content: list[JsonObject] = []
        if self.texts or not self._refusals:
            content.append(
                {
                    "type": "output_text",
                    "text": "".join(self.texts),
                    "annotations": self._annotations,
                    "logprobs": self._logprobs,
                }
            )
        if self._refusals:
            content.append({"type": "refusal", "refusal": "".join(self._refusals)})
        self.item |= {"status": state_of(whole=whole), "content": content}
        yield ItemDone(self.slot, self.item)


class Reasoning:
    """What the model thinks, as far as its provider shows it, or summaries of that."""

    __slots__ = ("_parts", "_texts", "item", "slot")

    def __init__(self, output: Output) -> None:
        self.item: Item = {"type": "reasoning", "id": "", "status": "in_progress", "summary": [], "content": []}
        self.slot: Slot = output.add(self.item)
        self._texts: list[str] = []
        self._parts: list[list[str]] = []

    @property
    def beginning(self) -> ItemAdded:
        return ItemAdded(self.slot, {**self.item, "summary": [], "content": []})

    @property
    def sums_up(self) -> bool:
        """Whether it has a summary: no thought may follow."""
        return bool(self._parts)

    def think(self, text: str) -> Iterator[Event]:
        self._texts.append(text)
        yield ReasoningDelta(self.slot, text)

    def sum_up(self, index: int, text: str) -> Iterator[Event]:
        """`index` is of the summary's part: it goes on the last one, or begins the next."""
        if index >= len(self._parts):
            self._parts.append([])
        self._parts[-1].append(text)
        yield SummaryDelta(self.slot, len(self._parts) - 1, text)

    def end(self, *, whole: bool) -> Iterator[Event]:
        text = "".join(self._texts)
        self.item |= {
            "status": state_of(whole=whole),
            "summary": [{"type": "summary_text", "text": "".join(part)} for part in self._parts],
            "content": [{"type": "reasoning_text", "text": text}] if text else [],
        }
        yield ItemDone(self.slot, self.item)


class WrittenCall:
    """A call that the model has written: `tool` is to be asked what becomes of it. `item` was added in `slot`, if any was."""

    __slots__ = ("call", "item", "slot", "tool")

    def __init__(self, tool: RunTool, call: ToolCall, slot: Slot | None, item: Item | None) -> None:
        self.tool = tool
        self.call = call
        self.slot = slot
        self.item = item


class Call:
    """A call while it is written; `read` is how many of its texts somebody has looked at as JSON."""

    __slots__ = ("call_id", "item", "name", "read", "slot", "texts", "tool")

    def __init__(self, tool: RunTool, call_id: str, name: str) -> None:
        self.tool = tool
        self.call_id = call_id
        self.name = name
        self.slot: Slot | None = None
        self.item: Item | None = None
        self.texts: list[str] = []
        self.read = 0

    def begin(self, output: Output) -> Iterator[Event]:
        self.item = self.tool.begin(self.call_id)
        if self.item is not None:
            self.slot = output.add(self.item)
            yield ItemAdded(self.slot, dict(self.item))

    def write(self, text: str) -> Iterator[Event]:
        self.texts.append(text)
        if self.slot is not None and self.tool.streams_arguments:
            yield ArgumentsDelta(self.slot, text)

    def end(self) -> WrittenCall:
        return WrittenCall(self.tool, ToolCall(self.call_id, self.name, "".join(self.texts)), self.slot, self.item)


def broken_item(item: Item, arguments: str = "") -> Item:
    """`item`, of which no more comes."""
    broken: dict[str, Any] = dict(item)
    if "status" in broken:
        broken["status"] = "failed" if broken["type"] == "web_search_call" else "incomplete"  # it knows no incomplete
    if "arguments" in broken and arguments:
        broken["arguments"] = arguments
    return broken
