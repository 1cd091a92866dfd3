"""A log read to its end, as it is written, and printed: the very events of the stream that it was written beside."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
import time
from typing import Any, Final, cast

from core.errors import InvalidRequest
from core.frame.types import JsonObject, NamedEvent
from core.platform.json_values import to_object
from core.services.responses.contract import (
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    Phase,
    PhaseChanged,
    RunEnded,
    Slot,
    Usage,
)
from core.services.responses.engine.hosted import begun_item
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.forms import ARGUMENTS
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import (
    BEGIN,
    END,
    TEXT,
    Beginning,
    Cancellation,
    Decoder,
    Ending,
    Entry,
    Takeover,
    Value,
    encode,
)
from core.services.responses.recording.log import SILENT_SECONDS, Batch, RunLog

SHORTEST_POLL: Final = 0.1  # seconds
LONGEST_POLL: Final = 1.0
GROWTH: Final = 1.2
LIST_POLLS: Final = 5
MOST_BEFORE: Final = 4
"""Events that a piece of text may have: the end of the part before it, the beginning of its own."""
BEYOND: Final = (
    "starting_after: the stream of this response ended with the event {last}. Take it up again behind an earlier one."
)

type Batches = AsyncGenerator[Sequence[Value]]
"""The values of each batch."""
type Lapse = Callable[[], Awaitable[None]]
"""What ends the log of a run that is nobody's any more."""


async def follow(log: RunLog, lapse: Lapse, clock: Callable[[], float] = time.time) -> Batches:
    """Up to the one with the end; where nothing comes for SILENT_SECONDS, `lapse` is to end it. `clock` gives Unix seconds."""
    number, heard_at, polls = 0, clock(), 0
    batches = await log.read()
    while True:
        for batch in batches:
            number, heard_at, polls = batch.number + 1, batch.at / 1000, 0
            yield batch.values
            if batch.has(END):
                return
        if not batches:
            if clock() - heard_at >= SILENT_SECONDS:
                await lapse()
                heard_at = clock()
            await asyncio.sleep(min(LONGEST_POLL, SHORTEST_POLL * GROWTH ** min(polls, LIST_POLLS**2)))
            polls += 1
        batches = await _read_next(log, number, polls)


async def read_batches(log: RunLog) -> Batches | None:
    """Those of a log that has ended; None where there is none."""
    first = await log.get(0)
    return None if first is None or not first.has(BEGIN) else _read_on(log, first)


async def _read_on(log: RunLog, first: Batch) -> Batches:
    batches = [first]
    while batches:
        for batch in batches:
            yield batch.values
        batches = [] if batches[-1].has(END) else await log.read(batches[-1].number)


async def _read_next(log: RunLog, number: int, polls: int) -> list[Batch]:
    """Now and then the list is asked: of a log that was deleted the end has another number."""
    if polls % LIST_POLLS == 0:
        return await log.read(number - 1)
    batch = await log.get(number)
    return [] if batch is None else [batch]


async def print_log(batches: Batches, include: Collection[str] | None, after: int = -1) -> AsyncGenerator[NamedEvent]:
    """The events of its stream whose number is above `after`; None includes what the stream did.

    Raises:
        InvalidRequest: it ended before `after`.
    """
    printer = LogPrinter(include)
    async with aclosing(batches):
        async for values in batches:
            for value in values:
                for event in printer.read(value, after):
                    yield event
    if printer.last < after:
        raise InvalidRequest(BEYOND.format(last=printer.last), param="starting_after")


class LogPrinter:
    """Prints the entries of one log, from its beginning on; `last` is the number of the last event of which it has told, or might have."""

    def __init__(self, include: Collection[str] | None) -> None:
        self.last = -1
        self._include = include
        self._decoder = Decoder()
        self._done: dict[int, Item] = {}
        self._response: JsonObject = {}
        self._printer = EventPrinter(self._response, ())

    def read(self, value: Value, after: int) -> Iterator[NamedEvent]:
        """The events of the log's next value whose numbers are above `after`."""
        if value[0] == TEXT and self.last + MOST_BEFORE < after:
            value = self._pass_by(value, after)
        for entry in self._decoder.decode([value]):
            for event in self.print(entry):
                self.last = event.data["sequence_number"]
                if self.last > after:
                    yield NamedEvent(event.name, event.data)

    def _pass_by(self, value: Value, after: int) -> Value:
        """What is left of a text behind the pieces of which nothing is to be told: to print those would take longer than to read them."""
        start, place = 2, value[1]
        if not self._printer.pass_by(place, ()):
            first, *_ = self._decoder.decode([value[:3]])
            self.last = self.print(first)[-1].data["sequence_number"]
            start = 3
        texts = value[start : start + after - self.last]
        self._printer.pass_by(place, texts)
        self.last += len(texts)
        return [TEXT, place, *value[start + len(texts) :]]

    def print(self, entry: Entry) -> Sequence[NamedEvent]:
        handle = PRINTERS.get(entry.__class__)
        return self._printer.print(cast("Event", entry)) if handle is None else handle(self, entry)

    def begin(self, entry: Beginning) -> Sequence[NamedEvent]:
        self._response = {**entry.response}
        include = entry.include if self._include is None else self._include
        self._printer = EventPrinter(self._response, frozenset(include))
        return self._printer.begin()

    def end_item(self, entry: ItemDone) -> Sequence[NamedEvent]:
        self._done[entry.slot.place] = entry.item
        return self._printer.print(entry)

    def end(self, entry: Ending) -> Sequence[NamedEvent]:
        output = [self._done[place] for place in sorted(self._done)]
        end_response(self._response, entry.event, output, entry.completed_at)
        return self._printer.print(entry.event)

    def start(self, _: Takeover) -> Sequence[NamedEvent]:
        """Of a response that was queued until now."""
        if self._response.get("status") != "queued":
            return ()
        self._response["status"] = "in_progress"
        return self._printer.start()


PRINTERS: Final[dict[type, Callable[[LogPrinter, Any], Sequence[NamedEvent]]]] = {
    Beginning: LogPrinter.begin,
    Cancellation: lambda _, __: (),
    Ending: LogPrinter.end,
    ItemDone: LogPrinter.end_item,
    Takeover: LogPrinter.start,
}


async def print_kept(response: JsonObject, include: Collection[str], after: int = -1) -> AsyncGenerator[NamedEvent]:
    """The events of a response without a log, each item in one piece. Raises as `print_log` does."""
    async with aclosing(print_log(_batches_of(response), include, after)) as events:
        async for event in events:
            yield event


async def _batches_of(response: JsonObject) -> Batches:
    """What a run would have written that came to this `response`."""
    nothing: JsonObject = {
        "status": "in_progress",
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
    }
    yield encode([Beginning({**response, **nothing, "completed_at": None})])
    for place, item in enumerate(response["output"]):
        yield encode(_entries_of_item(Slot(place, item["id"]), item))
    error, details = response.get("error"), to_object(response.get("incomplete_details"))
    end = RunEnded(response["status"], _usage_of(response), details.get("reason", ""), error)
    yield encode([Ending(end, response.get("completed_at"))])


def _entries_of_item(slot: Slot, item: Item) -> Sequence[Entry]:
    beginning, arguments = begun_item(item), ""
    beginning |= {name: [] for name in ("content", "summary") if name in beginning}
    if (form := ARGUMENTS.get(item.get("type", ""))) is not None:
        arguments, beginning[form[0]] = item.get(form[0]) or "", ""
    entries: list[Entry] = [ItemAdded(slot, beginning)]
    if arguments:
        entries.append(ArgumentsDelta(slot, arguments))
    return [*entries, *(PhaseChanged(slot, phase) for phase in _phases_of(item)), ItemDone(slot, item)]


def _phases_of(item: Item) -> Sequence[Phase]:
    """What it went through, if it is of a tool that the stack runs; the printer knows which of it is told."""
    if item.get("error") or item.get("status") == "failed":
        return ("in_progress", "failed")
    return ("in_progress",) if item.get("status") == "incomplete" else ("in_progress", "completed")


def _usage_of(response: JsonObject) -> Usage:
    usage = to_object(response.get("usage"))
    cached = to_object(usage.get("input_tokens_details")).get("cached_tokens", 0)
    reasoning = to_object(usage.get("output_tokens_details")).get("reasoning_tokens", 0)
    return Usage(usage.get("input_tokens", 0), cached, usage.get("output_tokens", 0), reasoning)
