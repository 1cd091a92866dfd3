"""How a log is written down: each entry a JSON array whose first element says what it is, few bytes for what comes often. Pure.

Pieces of one text that follow each other are one array, of which each is an element still: what is read is what was written, event by event.
Items have their id once, where they are added; a round names its items, which were told before. What a later version wrote is left out.
"""

from collections.abc import Callable, Iterable, Sequence
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
    PhaseChanged,
    ReasoningDelta,
    RefusalDelta,
    RoundEnded,
    RunEnded,
    RunQueued,
    Slot,
    StepRecorded,
    SummaryDelta,
    TextDelta,
    Usage,
)

type Value = list[Any]
"""An entry as JSON."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first entry: the `response` object as it began, and what its stream was asked to `include`.

    `streams` says that deltas follow, `durable` that steps do.
    """

    response: JsonObject = field(repr=False)
    include: Sequence[str] = ()
    streams: bool = True
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Takeover:
    """From here on the run is the holder's; whoever had it before writes nothing more."""

    holder: str


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Somebody asked for the end: who has the run ends it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The last entry. `completed_at` is the response's, in Unix seconds."""

    event: RunEnded
    completed_at: int | None = None


type Entry = Event | Beginning | Takeover | Cancellation | Ending

BEGIN: Final = "begin"
TAKE: Final = "take"
CANCEL: Final = "cancel"
END: Final = "end"
TEXT: Final = "t"


class EntryBuffer:
    """Entries on their way into a batch: written down as they come, since what is kept of a piece of text is the text."""

    __slots__ = ("_place", "_texts", "count", "values")

    def __init__(self) -> None:
        self.count = 0
        self.values = list[Value]()
        self._place = -1
        self._texts: Value = []

    def add(self, entry: Any) -> None:  # noqa: ANN401 - an Entry; a union costs a narrowing for each token
        self.count += 1
        if entry.__class__ is TextDelta and not entry.logprobs:
            place = entry.slot[0]
            if place == self._place:
                self._texts.append(entry.text)
                return
            self._place, self._texts = place, [TEXT, place, entry.text]
            self.values.append(self._texts)
        else:
            self._place = -1
            self.values.append(WRITERS[entry.__class__](entry))

    def drop(self, count: int) -> None:
        """The first `count` entries."""
        self.values = rest_of(self.values, count)
        self.count = count_entries(self.values)
        self._place = -1

    def put_back(self, values: Sequence[Value]) -> None:
        """Before all that is there."""
        self.values = [*values, *self.values]
        self.count += count_entries(values)


def encode(entries: Iterable[Entry]) -> list[Value]:
    buffer = EntryBuffer()
    for entry in entries:
        buffer.add(entry)
    return buffer.values


def count_entries(values: Iterable[Value]) -> int:
    """How many entries these are."""
    return sum(map(_count, values))


def _count(value: Value) -> int:
    return len(value) - 2 if value[0] == TEXT else 1


def rest_of(values: Sequence[Value], count: int) -> list[Value]:
    """What is behind the first `count` entries."""
    for number, value in enumerate(values):
        size = _count(value)
        if count < size:
            first = value if count == 0 else [*value[:2], *value[2 + count :]]
            return [first, *values[number + 1 :]]
        count -= size
    return []


class Decoder:
    """Reads the values of one log in their order."""

    __slots__ = ("_items", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._items: dict[str, Item] = {}

    def decode(self, values: Iterable[Value]) -> list[Entry]:
        entries = list[Entry]()
        for value in values:
            if value[0] == TEXT:
                slot = self._slots[value[1]]
                entries += [TextDelta(slot, text) for text in value[2:]]
            elif (read := READERS.get(value[0])) is not None:
                entries.append(read(self, value))
        return entries

    def slot(self, value: Value) -> Slot:
        return self._slots[value[1]]

    def add(self, value: Value) -> ItemAdded:
        slot = self._slots[value[1]] = Slot(value[1], value[2])
        return ItemAdded(slot, value[3])

    def end(self, value: Value) -> ItemDone:
        slot, item = self.slot(value), value[2]
        self._items[item.get("id", slot.id)] = item
        return ItemDone(slot, item)

    def end_round(self, value: Value) -> RoundEnded:
        items = tuple(self._items[name] for name in value[2] if name in self._items)
        return RoundEnded(value[1], items, Usage(*value[3]))


def _write_usage(usage: Usage) -> list[int]:
    return [usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens]


def _write_end(entry: Ending) -> Value:
    event = entry.event
    return [END, event.status, _write_usage(event.usage), event.reason, event.error, entry.completed_at]


def _read_end(_: Decoder, value: Value) -> Ending:
    _, status, usage, reason, error, completed_at = value[:6]
    return Ending(RunEnded(status, Usage(*usage), reason, error), completed_at)


WRITERS: Final[dict[type, Callable[[Any], Value]]] = {
    Beginning: lambda entry: [BEGIN, entry.response, [*entry.include], entry.streams, entry.durable],
    Takeover: lambda entry: [TAKE, entry.holder],
    Cancellation: lambda _: [CANCEL],
    Ending: _write_end,
    RunEnded: lambda event: _write_end(Ending(event)),
    ItemAdded: lambda event: ["add", *event.slot, event.item],
    ItemDone: lambda event: ["done", event.slot.place, event.item],
    TextDelta: lambda event: ["tl", event.slot.place, event.text, [*event.logprobs]],
    RefusalDelta: lambda event: ["f", event.slot.place, event.text],
    AnnotationAdded: lambda event: ["n", event.slot.place, event.annotation],
    ReasoningDelta: lambda event: ["r", event.slot.place, event.text],
    SummaryDelta: lambda event: ["s", event.slot.place, event.part, event.text],
    ArgumentsDelta: lambda event: ["a", event.slot.place, event.text],
    PhaseChanged: lambda event: ["p", event.slot.place, event.phase],
    AnswerEnded: lambda event: ["answer", event.number, _write_usage(event.usage)],
    StepRecorded: lambda event: ["step", event.step],
    RunQueued: lambda _: ["queue"],
    RoundEnded: lambda event: ["round", event.number, [item["id"] for item in event.items], _write_usage(event.usage)],
}
READERS: Final[dict[str, Callable[[Decoder, Value], Entry]]] = {
    BEGIN: lambda _, value: Beginning(*value[1:5]),
    TAKE: lambda _, value: Takeover(value[1]),
    CANCEL: lambda _, __: Cancellation(),
    END: _read_end,
    "add": Decoder.add,
    "done": Decoder.end,
    "tl": lambda decoder, value: TextDelta(decoder.slot(value), value[2], value[3]),
    "f": lambda decoder, value: RefusalDelta(decoder.slot(value), value[2]),
    "n": lambda decoder, value: AnnotationAdded(decoder.slot(value), value[2]),
    "r": lambda decoder, value: ReasoningDelta(decoder.slot(value), value[2]),
    "s": lambda decoder, value: SummaryDelta(decoder.slot(value), value[2], value[3]),
    "a": lambda decoder, value: ArgumentsDelta(decoder.slot(value), value[2]),
    "p": lambda decoder, value: PhaseChanged(decoder.slot(value), value[2]),
    "answer": lambda _, value: AnswerEnded(value[1], Usage(*value[2])),
    "step": lambda _, value: StepRecorded(value[1]),
    "queue": lambda _, __: RunQueued(),
    "round": Decoder.end_round,
}
