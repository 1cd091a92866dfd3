"""A log as a state: what the run has done, what is open, who has it, and whether it goes on. Pure, but for `read_state`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnnotationAdded,
    AnswerEnded,
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    ReasoningDelta,
    RefusalDelta,
    RoundEnded,
    RunEnded,
    RunQueued,
    StepRecorded,
    SummaryDelta,
    TextDelta,
    Usage,
)
from core.services.responses.engine.pieces import broken_item
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import Beginning, Cancellation, Decoder, Ending, Entry, Takeover, Value
from core.services.responses.recording.log import SILENT_SECONDS, Batch, RunLog

KINDS: Final[dict[type, str]] = {TextDelta: "output_text", RefusalDelta: "refusal", ReasoningDelta: "reasoning_text"}


@dataclass(slots=True)
class RunState:
    """`at` is when the last batch was written, in Unix milliseconds, `next` the number of the next one; `holder` is "" until somebody takes the run.

    `takes` counts who has had it since the last step.

    One that `is_queued` waits for a worker, one that `is_background` is, or was, a worker's.

    `events` are all that were told, steps among them; `done` are whole items by their places.
    """

    beginning: Beginning | None = None
    events: list[Event] = field(default_factory=list[Event], repr=False)
    steps: list[JsonObject] = field(default_factory=list[JsonObject], repr=False)
    done: dict[int, Item] = field(default_factory=dict[int, Item], repr=False)
    opened: dict[int, list[Event]] = field(default_factory=dict[int, list[Event]], repr=False)
    """What was told of the items that are not done, by their places."""
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    holder: str = ""
    takes: int = 0
    is_queued: bool = False
    is_background: bool = False
    is_cancelled: bool = False
    ending: Ending | None = None
    at: int = 0
    next: int = 0
    _decoder: Decoder = field(default_factory=Decoder, repr=False)

    def add(self, batch: Batch) -> list[Entry]:
        """The entries of the next batch, which are in the state now."""
        self.at, self.next = batch.at, batch.number + 1
        return self.add_values(batch.values)

    def add_values(self, values: Sequence[Value]) -> list[Entry]:
        """The entries that these are, written or not, which are in the state now."""
        entries = self._decoder.decode(values)
        for entry in entries:
            self.note(entry)
        return entries

    def note(self, entry: Entry) -> None:
        """One more entry, written or not."""
        match entry:
            case Beginning(response):
                self.beginning = entry
                self.is_queued = self.is_background = response["status"] == "queued"
            case Takeover(holder):
                self.holder = holder
                self.takes += 1
                self.is_queued = False
            case Cancellation():
                self.is_cancelled = True
            case Ending():
                self.ending = entry
            case _:
                self._note_event(entry)

    def _note_event(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case ItemAdded(slot):
                self.opened[slot.place] = [event]
            case ItemDone(slot, item):
                self.done[slot.place] = item
                self.opened.pop(slot.place, None)
            case AnswerEnded():
                self.usage += event.usage
            case StepRecorded(step):
                self.steps.append(step)
                self.takes = 0
            case RunQueued():
                self.is_queued = self.is_background = True
            case RoundEnded() | RunEnded():
                pass
            case _:
                self.opened[event.slot.place].append(event)

    @property
    def output(self) -> list[Item]:
        """What is whole of it, in the order of the places."""
        return [self.done[place] for place in sorted(self.done)]

    def is_silent(self, now: float) -> bool:
        """Whether nobody has it any more; `now` is in Unix seconds."""
        return self.ending is None and now - self.at / 1000 >= SILENT_SECONDS

    def break_off(self) -> list[ItemDone]:
        """The ends of the items that were added and are not done, as far as they came."""
        return [break_off(events) for events in self.opened.values()]

    def show(self) -> JsonObject:
        """The response object as it is now. Raises ValueError for a log without a beginning."""
        if self.beginning is None:
            raise ValueError("a log without its beginning")
        response = {**self.beginning.response, "output": self.output}
        if self.ending is not None:
            end_response(response, self.ending.event, response["output"], completed_at=self.ending.completed_at)
        elif self.is_background:
            response["status"] = "queued" if self.is_queued else "in_progress"
        if self.is_background:
            response["background"] = True
        return response


async def read_state(log: RunLog) -> RunState:
    """All of the log, which is of no `next` where there is none; `log.next` is left alone."""
    state = RunState()
    while batches := await log.read(state.next - 1):
        for batch in batches:
            state.add(batch)
    return state


def break_off(events: Sequence[Event]) -> ItemDone:
    """The end of an item of which this was told, from ItemAdded on, and of which no more comes."""
    first = events[0]
    if not isinstance(first, ItemAdded):
        raise TypeError("an item that was never added")
    return ItemDone(first.slot, _break(first.item, events[1:]))


def _break(item: Item, pieces: Sequence[Event]) -> Item:
    """`item` as it was added, of which these pieces came and no more does."""
    broken = broken_item(item)
    if arguments := "".join(piece.text for piece in pieces if isinstance(piece, ArgumentsDelta)):
        broken["input" if "input" in broken else "arguments"] = arguments
    annotations = [piece.annotation for piece in pieces if isinstance(piece, AnnotationAdded)]
    logprobs = [logprob for piece in pieces if isinstance(piece, TextDelta) for logprob in piece.logprobs]
    texts: dict[tuple[str, int], list[str]] = {}
    for piece in pieces:
        if isinstance(piece, SummaryDelta):
            texts.setdefault(("summary_text", piece.part), []).append(piece.text)
        elif isinstance(piece, TextDelta | RefusalDelta | ReasoningDelta):
            texts.setdefault((KINDS[piece.__class__], 0), []).append(piece.text)
    parts = [_part(kind, "".join(words), annotations, logprobs) for (kind, _), words in texts.items()]
    for holder in ("content", "summary"):
        own = [part for part in parts if (part["type"] == "summary_text") == (holder == "summary")]
        if own or holder in broken:
            broken[holder] = own
    return broken


def _part(kind: str, text: str, annotations: Sequence[JsonObject], logprobs: Sequence[JsonObject]) -> JsonObject:
    part: dict[str, Any] = {"type": kind, "refusal" if kind == "refusal" else "text": text}
    if kind == "output_text":
        part |= {"annotations": [*annotations], "logprobs": [*logprobs]}
    return part
