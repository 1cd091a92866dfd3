"""What holds of every sequence of events: added once, done once, deltas between, texts join to the final item, usage adds up."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    StepRecorded,
    SummaryDelta,
    TextDelta,
    Usage,
)


@dataclass
class Pieces:
    """Of an item under way: its text by the kind of delta, and its annotations."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    annotations: list[object] = field(default_factory=list[object])

    def add(self, name: str, text: str) -> None:
        self.texts[name] = self.texts.get(name, "") + text

    def text(self, kind: type) -> str:
        return self.texts.get(kind.__name__, "")


@dataclass
class Rules:
    """Fed with the events of one run, in order."""

    under_way: dict[int, Pieces] = field(default_factory=dict[int, Pieces])
    done: list[Item] = field(default_factory=list[Item])
    recorded: list[Item] = field(default_factory=list[Item])
    usage: Usage = field(default_factory=Usage)
    places: int = 0
    goes_on: bool = False
    answered: list[tuple[int, Usage]] = field(default_factory=list[tuple[int, Usage]])

    def feed(self, event: Event) -> None:
        match event:
            case ItemAdded(slot, item):
                assert (slot.place, slot.id) == (self.places, item["id"])
                self.places += 1
                self.under_way[slot.place] = Pieces()
            case ItemDone(slot, item):
                check_item(item, self.under_way.pop(slot.place))
                assert item["id"] == slot.id
                self.done.append(item)
            case RoundEnded(number, items, usage):
                if self.answered or not self.goes_on:  # else it was told before
                    assert self.answered.pop() == (number, usage)
                assert not self.answered
                self.recorded += items
                self.usage += usage
            case RunEnded() | StepRecorded() | RunQueued():
                pass
            case AnswerEnded(number, usage):
                self.answered.append((number, usage))
            case _:
                self._change(event, self.under_way[event.slot.place])

    def _change(self, event: Event, pieces: Pieces) -> None:
        match event:
            case SummaryDelta(_, part, text):
                pieces.add(f"summary{part}", text)
            case AnnotationAdded(_, annotation):
                pieces.annotations.append(annotation)
                place: int = annotation["index"] if "index" in annotation else annotation["end_index"]
                assert place <= len(pieces.text(TextDelta))
            case TextDelta() | RefusalDelta() | ReasoningDelta() | ArgumentsDelta():
                assert event.text
                pieces.add(type(event).__name__, event.text)
            case _:
                assert isinstance(event, PhaseChanged)


def check_events(events: Sequence[Event], *, begin: int = 0) -> None:
    """Of a run whose output had so many items before."""
    rules = Rules(places=begin, goes_on=bool(begin))
    for event in events:
        rules.feed(event)
    assert not rules.under_way
    end = events[-1]
    assert isinstance(end, RunEnded)
    assert [event for event in events if isinstance(event, RunEnded)] == [end]
    if end.status != "failed" and not begin:
        assert rules.recorded == rules.done
        assert end.usage == rules.usage


def check_item(item: Item, pieces: Pieces) -> None:
    assert item.get("status", "completed") in {"completed", "incomplete", "failed"}
    match item["type"]:
        case "message":
            parts = {part["type"]: part for part in item["content"]}
            text = parts.get("output_text", {"text": "", "annotations": []})
            assert text["text"] == pieces.text(TextDelta)
            assert text["annotations"] == pieces.annotations
            assert parts.get("refusal", {"refusal": ""})["refusal"] == pieces.text(RefusalDelta)
        case "reasoning":
            assert "".join(part["text"] for part in item["content"]) == pieces.text(ReasoningDelta)
            summaries = [pieces.texts[name] for name in sorted(pieces.texts) if name.startswith("summary")]
            assert [part["text"] for part in item["summary"]] == summaries
        case _:
            assert pieces.text(ArgumentsDelta) in {"", item.get("arguments")}
