"""A log read to its end, as it is written, and printed: the very events of the stream that it was written beside."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
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
    TextDelta,
    Usage,
)
from core.services.responses.engine.hosted import begun_item
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.forms import ARGUMENTS
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import Beginning, Cancellation, Decoder, Ending, Entry, Takeover
from core.services.responses.recording.log import SILENT_SECONDS, Batch, RunLog

SHORTEST_POLL: Final = 0.1  # seconds
LONGEST_POLL: Final = 1.0
GROWTH: Final = 1.2
LIST_POLLS: Final = 5
BEYOND: Final = (
    "starting_after: the stream of this response ended with the event {last}. Take it up again behind an earlier one."
)

type Entries = AsyncGenerator[Sequence[Entry]]
type Lapse = Callable[[], Awaitable[None]]
"""What ends the log of a run that is nobody's any more."""


async def follow(log: RunLog, lapse: Lapse, clock: Callable[[], float] = time.time) -> Entries:
    """The entries of each batch, up to the one with the end; where nothing comes for SILENT_SECONDS, `lapse` is to end it. `clock` gives Unix seconds."""
    decoder, number, heard_at, polls = Decoder(), 0, clock(), 0
    batches = await log.read()
    while True:
        for batch in batches:
            entries = decoder.decode(batch.values)
            number, heard_at, polls = batch.number + 1, batch.at / 1000, 0
            yield entries
            if any(isinstance(entry, Ending) for entry in entries):
                return
        if not batches:
            if clock() - heard_at >= SILENT_SECONDS:
                await lapse()
                heard_at = clock()
            await asyncio.sleep(min(LONGEST_POLL, SHORTEST_POLL * GROWTH ** min(polls, LIST_POLLS**2)))
            polls += 1
        batches = await _read_next(log, number, polls)


async def read_entries(log: RunLog) -> Entries | None:
    """Those of a log that has ended; None where there is none."""
    batch, decoder = await log.get(0), Decoder()
    first = () if batch is None else decoder.decode(batch.values)
    match first:
        case [Beginning(), *_]:
            return _read_on(log, first, decoder)
        case _:
            return None


async def _read_on(log: RunLog, entries: Sequence[Entry], decoder: Decoder) -> Entries:
    yield entries
    number = 0
    while not isinstance(entries[-1] if entries else None, Ending):
        batches = await log.read(number)
        for batch in batches:
            entries = decoder.decode(batch.values)
            yield entries
        if not batches:
            return
        number = batches[-1].number


async def _read_next(log: RunLog, number: int, polls: int) -> list[Batch]:
    """Now and then the list is asked: of a log that was deleted the end has another number."""
    if polls % LIST_POLLS == 0:
        return await log.read(number - 1)
    batch = await log.get(number)
    return [] if batch is None else [batch]


async def print_log(entries: Entries, include: Collection[str] | None, after: int = -1) -> AsyncGenerator[NamedEvent]:
    """The events of its stream whose number is above `after`; None includes what the stream did.

    Raises:
        InvalidRequest: it ended before `after`.
    """
    printer, last = LogPrinter(include), -1
    async with aclosing(entries):
        async for batch in entries:
            for entry in batch:
                if last < after and entry.__class__ is TextDelta and printer.pass_by(entry):
                    last += 1
                    continue
                for event in printer.print(entry):
                    last = event.data["sequence_number"]
                    if last > after:
                        yield NamedEvent(event.name, event.data)
    if last < after:
        raise InvalidRequest(BEYOND.format(last=last), param="starting_after")


class LogPrinter:
    """Prints the entries of one log, from its beginning on."""

    def __init__(self, include: Collection[str] | None) -> None:
        self._include = include
        self._done: dict[int, Item] = {}
        self._response: JsonObject = {}
        self._printer = EventPrinter(self._response, ())

    def pass_by(self, event: Any) -> bool:  # noqa: ANN401 - of the class that it is asked for
        """Count a TextDelta without telling of it; False where it is to be printed: more than it is told then."""
        return self._printer.pass_by(event)

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
    async with aclosing(print_log(_entries_of(response), include, after)) as events:
        async for event in events:
            yield event


async def _entries_of(response: JsonObject) -> Entries:
    """Those that a run would have written that came to this `response`."""
    nothing: JsonObject = {
        "status": "in_progress",
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
    }
    yield [Beginning({**response, **nothing, "completed_at": None})]
    for place, item in enumerate(response["output"]):
        yield _entries_of_item(Slot(place, item["id"]), item)
    error, details = response.get("error"), to_object(response.get("incomplete_details"))
    end = RunEnded(response["status"], _usage_of(response), details.get("reason", ""), error)
    yield [Ending(end, response.get("completed_at"))]


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
