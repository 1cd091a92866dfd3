"""The events of a provider's own Responses as the events of a run: places and ids are given anew, what is not known is left out. Pure.

Source: https://platform.openai.com/docs/api-reference/responses-streaming. What the deltas of an item said is what its end says: where a
provider ends it with more, that is given out too, and where it ends it with something else, that is passed over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.services.responses.contract import (
    AnnotationAdded,
    AnswerEnded,
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    PhaseChanged,
    ReasoningDelta,
    RefusalDelta,
    RoundEnded,
    RunEnded,
    Slot,
    Status,
    SummaryDelta,
    TextDelta,
)
from core.services.responses.engine.pieces import broken_item
from core.services.responses.native import hosted
from core.services.responses.native.members import (
    error_of,
    number_in,
    objects_in,
    place_of,
    read_annotation,
    text_in,
    usage_of,
)
from core.services.responses.output import Output, make_id

TEXT, REFUSAL, THOUGHT, ARGUMENTS = "text", "refusal", "thought", "arguments"
DELTAS: Final = {
    "response.output_text.delta": TEXT,
    "response.refusal.delta": REFUSAL,
    "response.reasoning_text.delta": THOUGHT,
    "response.reasoning.delta": THOUGHT,  # of older servers of gpt-oss
    "response.function_call_arguments.delta": ARGUMENTS,
    "response.custom_tool_call_input.delta": ARGUMENTS,
    "response.mcp_call_arguments.delta": ARGUMENTS,
}
TAKEN: Final = {
    "message": frozenset({TEXT, REFUSAL}),
    "reasoning": frozenset({THOUGHT}),
    "function_call": frozenset({ARGUMENTS}),
    "custom_tool_call": frozenset({ARGUMENTS}),
    **dict.fromkeys(hosted.MEMBERS, frozenset[str]()),
    "mcp_call": frozenset({ARGUMENTS}),
}
"""The deltas of each type of item that is known."""
ARGUMENT_FIELDS: Final = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
ENDS: Final[dict[str, Status]] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
REASONS: Final = frozenset({"max_output_tokens", "content_filter"})
MESSAGE_PHASES: Final = frozenset({"commentary", "final_answer"})


@dataclass(slots=True, eq=False)
class _Open:
    """An item that was added: what its deltas said so far, by their sort, or for a part of a summary by its number.

    Parts follow each other: one that another has followed is over.
    """

    slot: Slot
    item: Item
    texts: dict[str | int, list[str]] = field(default_factory=dict[str | int, list[str]])
    current: str | int = ""
    phase: int = -1
    outcome: str = ""
    """Of a tool that its provider ran, the last phase: see `hosted.ORDER`."""
    annotations: list[JsonObject] = field(default_factory=list[JsonObject])
    logprobs: list[JsonObject] = field(default_factory=list[JsonObject])

    def admits(self, sort: str | int) -> bool:
        """Whether it may go on with this: the part under way, or the next."""
        if sort == self.current:
            return True
        if isinstance(sort, int):
            return sort == sum(isinstance(name, int) for name in self.texts)
        return sort not in self.texts and not (sort == TEXT and REFUSAL in self.texts)

    def text(self, sort: str | int) -> str:
        return "".join(self.texts.get(sort, ()))


class NativeReader:
    """One stream. `ended` is its last event, None while there is none."""

    def __init__(self, output: Output) -> None:
        self.ended: RunEnded | None = None
        self._output = output
        self._open: dict[int, _Open] = {}
        self._seen: set[int] = set()
        self._items: list[Item] = []
        self._readers: dict[str, Callable[[JsonObject], Iterator[Event]]] = {
            "response.output_item.added": self._add,
            "response.output_item.done": self._end_item,
            "response.reasoning_summary_text.delta": self._sum_up,
            "response.output_text.annotation.added": self._annotate,
            **dict.fromkeys(ENDS, self._end),
        }

    def feed(self, event: JsonObject) -> Iterator[Event]:
        """What it says, in order; nothing of an event that is not known, or is of an item that is not."""
        kind = text_in(event, "type")
        if (sort := DELTAS.get(kind)) is not None:
            return self._read_delta(event, sort)
        read = self._readers.get(kind)
        return self._change_phase(event, kind) if read is None else read(event)

    def break_off(self) -> Iterator[Event]:
        """The ends of what was begun, where the stream failed."""
        for place in [*self._open]:
            yield from self._finish(place, {}, whole=False)

    def _add(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin(place_of(event), to_object(event.get("item")))

    def _begin(self, place: int, theirs: JsonObject) -> Iterator[Event]:
        kind = text_in(theirs, "type")
        if place in self._seen or kind not in TAKEN:
            return
        self._seen.add(place)
        item = _empty(theirs)
        slot = self._output.add(item)
        self._open[place] = open_item = _Open(slot, item)
        if item["type"] == "mcp_call" and item["arguments"]:  # of a call that was approved
            open_item.texts[ARGUMENTS] = [item["arguments"]]
        yield ItemAdded(slot, dict(item))

    def _read_delta(self, event: JsonObject, sort: str) -> Iterator[Event]:
        open_item, delta = self._open.get(place_of(event)), event.get("delta")
        if open_item is None or sort not in TAKEN[open_item.item["type"]] or not open_item.admits(sort):
            return
        if isinstance(delta, str) and delta:
            yield _say(open_item, sort, delta, objects_in(event.get("logprobs")))

    def _sum_up(self, event: JsonObject) -> Iterator[Event]:
        open_item, delta = self._open.get(place_of(event)), event.get("delta")
        part = number_in(event.get("summary_index"))
        if open_item is None or open_item.item["type"] != "reasoning" or not open_item.admits(part):
            return
        if isinstance(delta, str) and delta:
            yield _say(open_item, part, delta)

    def _annotate(self, event: JsonObject) -> Iterator[Event]:
        open_item = self._open.get(place_of(event))
        if open_item is None or open_item.current != TEXT:
            return
        annotation = read_annotation(to_object(event.get("annotation")), len(open_item.text(TEXT)))
        if annotation is not None:
            open_item.annotations.append(annotation)
            yield AnnotationAdded(open_item.slot, annotation)

    def _change_phase(self, event: JsonObject, kind: str) -> Iterator[Event]:
        subject, _, word = kind.removeprefix("response.").rpartition(".")
        open_item = self._open.get(place_of(event))
        if open_item is None or open_item.item["type"] != subject:
            return
        phase = hosted.next_phase(subject, word, open_item.phase)
        if phase is None:
            return
        open_item.current = ""  # arguments are whole when the tool runs
        if phase[0] == hosted.LAST:
            open_item.outcome = word  # which is told with the end of the item
        else:
            open_item.phase = phase[0]
            yield PhaseChanged(open_item.slot, phase[1])

    def _end_item(self, event: JsonObject) -> Iterator[Event]:
        place, theirs = place_of(event), to_object(event.get("item"))
        yield from self._begin(place, theirs)  # of a server that does not say when one begins
        yield from self._finish(place, theirs, whole=theirs.get("status") != "incomplete")

    def _finish(self, place: int, theirs: JsonObject, *, whole: bool) -> Iterator[Event]:
        open_item = self._open.pop(place, None)
        if open_item is None:
            return
        if theirs.get("type") != open_item.item["type"]:  # the end of something else
            theirs = {}
        for sort, text in _texts_of(theirs):
            before = open_item.text(sort)
            if text.startswith(before) and len(text) > len(before) and open_item.admits(sort):
                yield _say(open_item, sort, text[len(before) :])
        if open_item.item["type"] in hosted.MEMBERS:
            done = _whole_hosted(open_item, theirs)
            phase = hosted.next_phase(done["type"], hosted.outcome_of(done), open_item.phase)
            if phase is not None:
                yield PhaseChanged(open_item.slot, phase[1])
        else:
            done = _whole(open_item, theirs)
            done["status"] = "completed" if whole else "incomplete"
        self._items.append(done)
        yield ItemDone(open_item.slot, done)

    def _end(self, event: JsonObject) -> Iterator[Event]:
        response = to_object(event.get("response"))
        status = ENDS[event["type"]]
        for place, item in enumerate(objects_in(response.get("output"))):
            if place in self._open or place not in self._seen:
                yield from self._begin(place, item)
                yield from self._finish(place, item, whole=status == "completed")
        yield from self.break_off()
        usage = usage_of(response)
        reason = text_in(to_object(response.get("incomplete_details")), "reason")
        error = error_of(to_object(response.get("error"))) if status == "failed" else None
        yield AnswerEnded(1, usage)
        yield RoundEnded(1, tuple(self._items), usage)
        known_reason = reason if reason in REASONS else "max_output_tokens"
        self.ended = RunEnded(status, usage, known_reason if status == "incomplete" else "", error)
        yield self.ended


def _say(open_item: _Open, sort: str | int, text: str, logprobs: list[JsonObject] | None = None) -> Event:
    open_item.current = sort
    open_item.texts.setdefault(sort, []).append(text)
    slot = open_item.slot
    match sort:
        case int():
            return SummaryDelta(slot, sort, text)
        case "text":
            open_item.logprobs += logprobs or ()
            return TextDelta(slot, text, logprobs or ())
        case "refusal":
            return RefusalDelta(slot, text)
        case "thought":
            return ReasoningDelta(slot, text)
        case _:
            return ArgumentsDelta(slot, text)


def _empty(theirs: JsonObject) -> Item:
    """An item as it is added, of what its provider says of it at its begin."""
    match kind := theirs["type"]:
        case "message":
            item: Item = {"type": kind, "id": "", "status": "in_progress", "role": "assistant", "content": []}
            return {**item, "phase": phase} if (phase := text_in(theirs, "phase")) in MESSAGE_PHASES else item
        case "reasoning":
            return {"type": kind, "id": "", "status": "in_progress", "summary": [], "content": []}
        case _ if kind in hosted.MEMBERS:
            return hosted.read_hosted(theirs, begun=True)
        case _:
            names = {
                "call_id": str(theirs.get("call_id") or make_id("call_")),
                "name": text_in(theirs, "name") or "tool",
            }
            return {"type": kind, "id": "", "status": "in_progress", **names, ARGUMENT_FIELDS[kind]: ""}


def _texts_of(theirs: JsonObject) -> Iterator[tuple[str | int, str]]:
    """What a whole item says, by its sort."""
    match theirs.get("type"):
        case "message":
            content = objects_in(theirs.get("content"))
            yield TEXT, "".join(text_in(part, "text") for part in content if part.get("type") == "output_text")
            yield REFUSAL, "".join(text_in(part, "refusal") for part in content if part.get("type") == "refusal")
        case "reasoning":
            yield from enumerate(text_in(part, "text") for part in objects_in(theirs.get("summary")))
            yield THOUGHT, "".join(text_in(part, "text") for part in objects_in(theirs.get("content")))
        case "function_call" | "custom_tool_call" | "mcp_call" as kind:
            yield ARGUMENTS, text_in(theirs, ARGUMENT_FIELDS[kind])
        case _:
            pass


def _whole(open_item: _Open, theirs: JsonObject) -> Item:
    """The item with all that its deltas said."""
    item = dict(open_item.item)
    match item["type"]:
        case "message":
            item["content"] = _content(open_item)
        case "reasoning":
            parts = sorted(name for name in open_item.texts if isinstance(name, int))
            item["summary"] = [{"type": "summary_text", "text": open_item.text(part)} for part in parts]
            thinking = open_item.text(THOUGHT)
            item["content"] = [{"type": "reasoning_text", "text": thinking}] if thinking else []
            if isinstance(sealed := theirs.get("encrypted_content"), str):
                item["encrypted_content"] = sealed
        case kind:
            item[ARGUMENT_FIELDS[kind]] = open_item.text(ARGUMENTS)
    return item


def _whole_hosted(open_item: _Open, theirs: JsonObject) -> Item:
    """What became of it: as its provider says, but for what was told of it already."""
    if not theirs:
        return broken_item(open_item.item, open_item.text(ARGUMENTS))
    item = hosted.read_hosted(theirs) | {"id": open_item.slot.id}
    if ARGUMENTS in open_item.texts:
        item["arguments"] = open_item.text(ARGUMENTS)
    if open_item.outcome == "failed" and item.get("status") == "completed":
        item["status"] = "failed"
    return item


def _content(open_item: _Open) -> list[JsonObject]:
    text, refusal = open_item.text(TEXT), open_item.text(REFUSAL)
    content: list[JsonObject] = []
    if text or not refusal:
        annotations, logprobs = open_item.annotations, open_item.logprobs
        content.append({"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs})
    if refusal:
        content.append({"type": "refusal", "refusal": refusal})
    return content
