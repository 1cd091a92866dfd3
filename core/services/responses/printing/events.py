"""The events of a response's stream: the one place that counts them, and that says what begins and what ends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import ApiError
from core.frame.types import JsonObject, NamedEvent
from core.services.responses.contract import (
    AnnotationAdded,
    ArgumentsDelta,
    Event,
    ItemAdded,
    ItemDone,
    PhaseChanged,
    ReasoningDelta,
    RefusalDelta,
    RunEnded,
    RunQueued,
    Slot,
    SummaryDelta,
    TextDelta,
)
from core.services.responses.engine.failures import error_of
from core.services.responses.printing.forms import ARGUMENTS, FORMS, PHASES, PrintedItem, PrintedPart
from core.services.responses.printing.objects import show_response
from core.services.responses.printing.shown import LOGPROBS, show_item

DELTA: Final = "response.output_text.delta"
CONTINUE: Final = "continue with GET /v1/responses/{id}?stream=true&starting_after={number}"
OF_RESPONSE: Final = frozenset(
    f"response.{thing}.{word}" for thing in ("output_item", "content_part") for word in ("added", "done")
)
"""Those that name their response too: `ogx-client` 1.5 reads none without, and OpenAI's own clients pass it over."""


@dataclass(frozen=True, slots=True)
class PrintedEvent(NamedEvent):
    """With who printed it, for the event that follows where the stream breaks."""

    printer: "EventPrinter | None" = field(default=None, repr=False, compare=False)


class EventPrinter:
    """Of one response, whose object `response` is as it is when an event about it is printed."""

    __slots__ = ("_done", "_include", "_items", "_printed", "_response", "_sequence", "failure")

    def __init__(self, response: JsonObject, include: Collection[str]) -> None:
        self._response = response
        self._include = include
        self._items: dict[int, PrintedItem] = {}
        self._done: dict[int, JsonObject] = {}
        self._printed: list[NamedEvent] = []
        self._sequence = 0
        self.failure: ApiError | None = None
        """What the stream broke by."""

    def begin(self) -> Sequence[NamedEvent]:
        """The first events, in which the response has no output yet; of one that is queued the next is that of `start`."""
        self._printed = []
        self._put_begun("created")
        self._put_begun("queued" if self._response["status"] == "queued" else "in_progress")
        return self._printed

    def start(self) -> Sequence[NamedEvent]:
        """What was queued is in progress now."""
        self._printed = []
        self._put_begun("in_progress")
        return self._printed

    def print(self, event: Event) -> Sequence[NamedEvent]:
        """What the stream tells of it, which may be nothing. With RunEnded, `response` has ended too."""
        self._printed = []
        handle = HANDLERS.get(event.__class__)
        if handle is not None:
            handle(self, event)
        return self._printed

    def pass_by(self, place: int, texts: Sequence[str]) -> bool:
        """Count these pieces of the text of an item, and tell nothing; False where they begin a part: that is to be told."""
        part = self._items[place].part
        if part is None or part.kind != "output_text":
            return False
        part.texts += texts
        self._sequence += len(texts)
        return True

    def fail(self, failure: ApiError) -> NamedEvent:
        """The last event of a stream that broke: the response that failed, with what was whole by then."""
        self.failure = failure
        output = [self._done[place] for place in sorted(self._done)]
        response = {**self._response, "status": "failed", "error": error_of(failure), "output": output}
        self._put("response.failed", {"response": response})
        return self._printed[-1]

    def add_text(self, event: TextDelta) -> None:
        logprobs = list(event.logprobs) if LOGPROBS in self._include else []
        self._add_text(event.slot, self._items[event.slot.place], event.text, logprobs)

    def add_reasoning(self, event: ReasoningDelta) -> None:
        self._add(event.slot, self._items[event.slot.place], "reasoning_text", event.text)

    def add_refusal(self, event: RefusalDelta) -> None:
        self._add(event.slot, self._items[event.slot.place], "refusal", event.text)

    def add_summary(self, event: SummaryDelta) -> None:
        item = self._items[event.slot.place]
        if item.part is not None and item.part.number != event.part:
            self._end_part(event.slot, item)
        self._add(event.slot, item, "summary_text", event.text)

    def annotate(self, event: AnnotationAdded) -> None:
        item = self._items[event.slot.place]
        self._annotate(event.slot, self._part(event.slot, item, "output_text"), event.annotation)

    def add_arguments(self, event: ArgumentsDelta) -> None:
        self._add_arguments(event.slot, self._items[event.slot.place], event.text)

    def add_item(self, event: ItemAdded) -> None:
        kind: str = event.item["type"]
        # A call that was approved has its arguments from the beginning.
        is_called = kind not in ARGUMENTS or bool(event.item.get(ARGUMENTS[kind][0]))
        self._items[event.slot.place] = PrintedItem(kind, is_called)
        view = show_item(event.item, self._include)
        self._put("response.output_item.added", {"output_index": event.slot.place, "item": view})

    def change_phase(self, event: PhaseChanged) -> None:
        item = self._items[event.slot.place]
        if item.arguments and not item.is_called:  # a tool runs once they are whole
            self._end_arguments(event.slot, item)
        if event.phase in PHASES.get(item.kind, ()):
            self._say(f"response.{item.kind}.{event.phase}", event.slot, {})

    def end_item(self, event: ItemDone) -> None:
        slot, item = event.slot, self._items.pop(event.slot.place)
        self._end_part(slot, item)
        for part in item.rest_of(event.item):
            self._print_part(slot, item, part)
        if not item.is_called:
            arguments = event.item.get(ARGUMENTS[item.kind][0])
            if arguments and not item.arguments:
                self._add_arguments(slot, item, arguments)
            self._end_arguments(slot, item)
        view = self._done[slot.place] = show_item(event.item, self._include)
        self._put("response.output_item.done", {"output_index": slot.place, "item": view})

    def queue(self, _: RunQueued) -> None:
        """From here on it is in the background."""
        self._response["status"], self._response["background"] = "queued", True
        output = [self._done[place] for place in sorted(self._done)]
        comment = CONTINUE.format(id=self._response["id"], number=self._sequence)
        self._put("response.queued", {"response": {**self._response, "output": output}}, comment)

    def end(self, event: RunEnded) -> None:
        name = event.status if event.status in ("completed", "failed") else "incomplete"
        self._put(f"response.{name}", {"response": show_response(self._response, self._include)})

    def _put_begun(self, word: str) -> None:
        self._put(f"response.{word}", {"response": {**self._response, "output": []}})

    def _put(self, name: str, members: Mapping[str, Any], comment: str = "") -> None:
        data = {"type": name, "sequence_number": self._sequence, **members}
        if name in OF_RESPONSE:
            data["response_id"] = self._response["id"]
        self._sequence += 1
        self._printed.append(PrintedEvent(name, data, "", comment, self))

    def _say(self, name: str, slot: Slot, members: Mapping[str, Any]) -> None:
        self._put(name, {"item_id": slot.id, "output_index": slot.place, **members})

    def _part(self, slot: Slot, item: PrintedItem, kind: str) -> PrintedPart:
        """The part under way, which begins where it is another's turn; then that one ends."""
        part = item.part
        if part is None or part.kind != kind:
            self._end_part(slot, item)
            form = FORMS[kind]
            number = item.counts.get(form.holder, 0)
            item.counts[form.holder] = number + 1
            part = item.part = PrintedPart(kind, form, number)
            self._say(f"{form.part}.added", slot, {form.place: number, "part": part.show()})
        return part

    def _add_text(self, slot: Slot, item: PrintedItem, text: str, logprobs: Sequence[JsonObject]) -> None:
        part = self._part(slot, item, "output_text")
        part.texts.append(text)
        if logprobs:
            part.logprobs += logprobs
        data = {  # written out: there is one for each token
            "type": DELTA,
            "sequence_number": self._sequence,
            "item_id": slot.id,
            "output_index": slot.place,
            "content_index": part.number,
            "delta": text,
            "logprobs": logprobs,
        }
        self._sequence += 1
        self._printed.append(PrintedEvent(DELTA, data, "", "", self))

    def _add(self, slot: Slot, item: PrintedItem, kind: str, text: str) -> None:
        """A piece of any other part."""
        part = self._part(slot, item, kind)
        part.texts.append(text)
        self._say(f"{part.form.events}.delta", slot, {part.form.place: part.number, "delta": text})

    def _annotate(self, slot: Slot, part: PrintedPart, annotation: JsonObject) -> None:
        place = {"content_index": part.number, "annotation_index": len(part.annotations)}
        part.annotations.append(annotation)
        self._say("response.output_text.annotation.added", slot, place | {"annotation": annotation})

    def _end_part(self, slot: Slot, item: PrintedItem) -> None:
        part, item.part = item.part, None
        if part is None:
            return
        view, form = part.show(), part.form
        whole = {form.place: part.number, form.member: view[form.member]}
        if part.kind == "output_text":
            whole["logprobs"] = view["logprobs"]
        self._say(f"{form.events}.done", slot, whole)
        self._say(f"{form.part}.done", slot, {form.place: part.number, "part": view})

    def _print_part(self, slot: Slot, item: PrintedItem, part: JsonObject) -> None:
        """One of which nothing was told before."""
        kind: str = part["type"]
        text = part[FORMS[kind].member]
        printed = self._part(slot, item, kind)
        if text and kind == "output_text":
            self._add_text(slot, item, text, part.get("logprobs", []) if LOGPROBS in self._include else [])
        elif text:
            self._add(slot, item, kind, text)
        for annotation in part.get("annotations", ()):
            self._annotate(slot, printed, annotation)
        self._end_part(slot, item)

    def _add_arguments(self, slot: Slot, item: PrintedItem, text: str) -> None:
        item.arguments.append(text)
        self._say(f"{ARGUMENTS[item.kind][1]}.delta", slot, {"delta": text})

    def _end_arguments(self, slot: Slot, item: PrintedItem) -> None:
        member, events = ARGUMENTS[item.kind]
        item.is_called = True
        self._say(f"{events}.done", slot, {member: "".join(item.arguments)})


HANDLERS: Final[dict[type, Callable[[EventPrinter, Any], None]]] = {
    AnnotationAdded: EventPrinter.annotate,
    ArgumentsDelta: EventPrinter.add_arguments,
    ItemAdded: EventPrinter.add_item,
    ItemDone: EventPrinter.end_item,
    PhaseChanged: EventPrinter.change_phase,
    ReasoningDelta: EventPrinter.add_reasoning,
    RefusalDelta: EventPrinter.add_refusal,
    RunEnded: EventPrinter.end,
    RunQueued: EventPrinter.queue,
    SummaryDelta: EventPrinter.add_summary,
    TextDelta: EventPrinter.add_text,
}


def failure_event(failure: ApiError, last: NamedEvent | None) -> NamedEvent:
    """The event of a stream that broke after the event `last`."""
    if isinstance(last, PrintedEvent) and last.printer is not None:
        return last.printer.fail(failure)
    error = {"code": failure.code, "message": failure.message, "param": failure.param}
    number = 0 if last is None else last.data["sequence_number"] + 1  # of one that is followed, which goes on
    return NamedEvent("error", {"type": "error", "sequence_number": number, **error})
