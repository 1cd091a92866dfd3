"""A log is read as it was written, printed as the stream was, from any place on, and folds to what the run had done."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import pairwise
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnswerEnded,
    Event,
    ItemAdded,
    RunEnded,
    Slot,
    StepRecorded,
    TextDelta,
    Usage,
)
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.objects import begin_response, end_response, show_response
from core.services.responses.recording.codec import (
    Beginning,
    Cancellation,
    Decoder,
    Ending,
    Entry,
    EntryBuffer,
    Takeover,
    count_entries,
    encode,
)
from core.services.responses.recording.folding import RunState
from core.services.responses.recording.following import Batches, print_kept, print_log
from core.services.responses.recording.log import Batch
from core.services.responses.recording.pauses import LONGEST_PAUSE, NEAR, PAUSE_SECONDS, Meeting, next_time
from tests.parts.response_schema import check_stream
from tests.unit.services.responses.runs import runs
from tests.unit.services.responses.test_router import ask

CUTS = st.lists(st.integers(0, 60), max_size=6)
INCLUDES = st.sampled_from([[], ["message.output_text.logprobs"], ["file_search_call.results"]])


def beginning(include: Sequence[str] = ()) -> Beginning:
    return Beginning(begin_response(ask(), None), include)


def entries_of(events: Sequence[Event], include: Sequence[str] = ()) -> list[Entry]:
    """What a recorder would write of a run."""
    last = events[-1]
    assert isinstance(last, RunEnded)
    return [beginning(include), *events[:-1], Ending(last, 1_800_000_000 if last.status == "completed" else None)]


def batches_of(entries: Sequence[Entry], cuts: Sequence[int]) -> list[Batch]:
    """The entries as JSON, in batches that end at these cuts; some are empty."""
    ends = [*sorted(cut for cut in cuts if cut <= len(entries)), len(entries)]
    starts = [0, *ends[:-1]]
    values = [json.loads(json.dumps(encode(entries[start:end]))) for start, end in zip(starts, ends, strict=True)]
    return [Batch(number, 0, "w", value) for number, value in enumerate(values)]


async def read(batches: Sequence[Batch]) -> Batches:
    for batch in batches:
        yield batch.values


def print_live(entries: Sequence[Entry]) -> list[Any]:
    """The stream beside which the entries were written."""
    first, last = entries[0], entries[-1]
    assert isinstance(first, Beginning)
    assert isinstance(last, Ending)
    response, done = {**first.response}, RunState()
    printer = EventPrinter(response, frozenset(first.include))
    printed = [*printer.begin()]
    for entry in entries[1:-1]:
        done.note(entry)
        printed += printer.print(entry)  # type: ignore[arg-type]  # events alone are between the two
    end_response(response, last.event, done.output, last.completed_at)
    return [event.data for event in [*printed, *printer.print(last.event)]]


async def gather(events: AsyncIterator[Any]) -> list[Any]:
    return [event.data async for event in events]


@settings(max_examples=20, deadline=None)
@given(runs(), CUTS, INCLUDES, st.data())
async def test_any_cut_of_a_stream_is_followed_by_exactly_the_rest(
    events: list[Event], cuts: list[int], include: list[str], data: st.DataObject
) -> None:
    entries = entries_of(events, include)
    batches, live = batches_of(entries, cuts), print_live(entries)
    check_stream(live)
    assert await gather(print_log(read(batches), None)) == live
    after = data.draw(st.integers(0, len(live) - 1))
    assert await gather(print_log(read(batches), frozenset(include), after)) == live[after + 1 :]
    with pytest.raises(InvalidRequest, match=f"ended with the event {len(live) - 1}"):
        await gather(print_log(read(batches), None, len(live)))


@settings(max_examples=20, deadline=None)
@given(runs(), CUTS)
def test_a_log_is_read_as_it_was_written(events: list[Event], cuts: list[int]) -> None:
    others: list[Entry] = [AnswerEnded(1), StepRecorded({"a": [1]}), Takeover("w"), Cancellation()]
    entries: list[Entry] = [*entries_of(events)[:-1], *others, *entries_of(events)[-1:]]
    decoder = Decoder()
    batches = batches_of(entries, cuts)
    assert plain([entry for batch in batches for entry in decoder.decode(batch.values)]) == plain(entries)
    assert sum(count_entries(batch.values) for batch in batches) == len(entries)


@settings(max_examples=20, deadline=None)
@given(runs(), st.data())
def test_what_is_left_of_a_batch_that_was_partly_written_is_the_rest(events: list[Event], data: st.DataObject) -> None:
    entries = entries_of(events)
    size = len(entries)
    begun, cut, count = data.draw(st.tuples(*[st.integers(0, size)] * 3).map(sorted))
    buffer, lost = EntryBuffer(), encode(entries[begun:cut])
    for entry in entries[cut:]:
        buffer.add(entry)
    buffer.put_back(lost)
    buffer.drop(count - begun)
    assert buffer.count == count_entries(buffer.values) == size - count
    for entry in entries[:2]:
        buffer.add(entry)
    decoder = Decoder()
    decoder.decode(encode(entries[:count]))
    assert plain(decoder.decode(buffer.values)) == plain([*entries[count:], *entries[:2]])


async def test_a_log_of_the_first_version_is_read() -> None:
    """As it was written before its batches came with the seconds: what it has is never to change."""
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "abcde", "annotations": [], "logprobs": []}
    batches: list[list[list[Any]]] = [
        [["begin", beginning().response, [], True, False], ["add", 0, "msg_1", item], ["t", 0, "a"]],
        [],
        [["t", 0, "b", "c"], ["tl", 0, "d", []], ["t", 0, "e"]],
        [["done", 0, {**item, "status": "completed", "content": [part]}], ["answer", 1, [1, 0, 1, 0]]],
        [["round", 1, ["msg_1"], [1, 0, 1, 0]], ["end", "completed", [1, 0, 1, 0], "", None, 1_800_000_000]],
    ]
    read_again = [Batch(number, 0, "w", values) for number, values in enumerate(batches)]
    told = await gather(print_log(read(read_again), None))
    assert check_stream(told)["output"] == [{**item, "status": "completed", "content": [part]}]
    assert [event["delta"] for event in told if "delta" in event] == [*"abcde"]
    for after in range(len(told)):
        assert await gather(print_log(read(read_again), None, after)) == told[after + 1 :]


@given(st.floats(0, 1e7), st.floats(0, 1e4))
def test_a_batch_comes_within_a_second_and_not_at_once(now: float, elapsed: float) -> None:
    for is_first, is_followed in ((True, False), (False, False), (False, True)):
        pause = next_time(now, elapsed, is_first=is_first, is_followed=is_followed) - now
        assert PAUSE_SECONDS - 1e-6 <= pause <= LONGEST_PAUSE + 1e-6
    assert next_time(now, elapsed, is_first=True, is_followed=False) <= now + PAUSE_SECONDS + 1e-6


@given(st.lists(st.floats(0, 0.1), min_size=2, max_size=9), st.floats(1, 1e7))
def test_what_is_due_at_nearly_the_same_time_is_done_at_once_and_nothing_late(steps: list[float], now: float) -> None:
    meeting, times = Meeting(), list[float]()
    for step in steps:
        now += step
        times.append(meeting.join(now))
        assert now - NEAR < times[-1] <= now
    for one, other in pairwise(times):
        assert one == other or other >= one + NEAR
    assert meeting.join(now - 1) == now - 1  # of a clock that is behind


def plain(entries: Sequence[Entry]) -> list[str]:
    """What is in them, whether its lists are tuples or not."""
    return [repr(entry).replace("()", "[]") for entry in entries]


@settings(max_examples=20, deadline=None)
@given(runs(), st.data())
async def test_a_run_that_is_broken_off_anywhere_ends_in_order(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events) - 1))
    state = RunState()
    entries = [beginning(), *events[:cut]]
    for batch in batches_of(entries, ()):
        state.add(batch)
    assert (len(state.events), state.next) == (cut, 1)
    assert state.usage == sum((event.usage for event in events[:cut] if isinstance(event, AnswerEnded)), Usage())
    ended = [*entries, *state.break_off(), Ending(RunEnded("incomplete", state.usage, "max_output_tokens"))]
    response = check_stream(print_live(ended))
    for entry in ended[len(entries) :]:
        state.note(entry)
    assert comparable(show_response(state.show(), ())) == comparable(response)


def comparable(response: JsonObject) -> JsonObject:
    return {**response, "id": "", "created_at": 0}


@settings(max_examples=12, deadline=None)
@given(runs())
async def test_a_response_without_a_log_is_streamed_item_by_item(events: list[Event]) -> None:
    *_, last = print_live(entries_of(events))
    printed = await gather(print_kept(last["response"], ()))
    assert check_stream(printed) == last["response"]
    assert await gather(print_kept(last["response"], (), 2)) == printed[3:]


async def test_what_was_queued_is_in_progress_once_somebody_takes_it() -> None:
    queued = Beginning({**beginning().response, "status": "queued"})
    slot = Slot(0, "msg_1")
    item: JsonObject = {"type": "message", "id": slot.id, "role": "assistant", "status": "in_progress", "content": []}
    entries: list[Entry] = [queued, Takeover("a"), ItemAdded(slot, item), TextDelta(slot, "x"), Takeover("b")]
    async with aclosing(print_log(read(batches_of(entries, ())), None)) as events:
        told = [(event.name, event.data["response"]["status"]) async for event in events if "response" in event.data]
    assert told == [
        ("response.created", "queued"),
        ("response.queued", "queued"),
        ("response.in_progress", "in_progress"),
    ]


def test_entries_of_a_later_version_are_left_out_and_so_is_what_others_have_more() -> None:
    later: list[Any] = [
        ["later", 1],
        ["take", "w", 1],
        ["begin", {}, [], True, False, 1],
        ["end", "completed", [1] * 4, "", None, 7, 1],
    ]
    ending = Ending(RunEnded("completed", Usage(1, 1, 1, 1)), 7)
    assert Decoder().decode(later) == [Takeover("w"), Beginning({}, []), ending]


def test_texts_that_follow_each_other_are_one_array_and_one_with_logprobs_its_own() -> None:
    slot, sure = Slot(2, "msg_1"), [{"token": "c"}]
    texts = [TextDelta(slot, "a"), TextDelta(slot, "b"), TextDelta(slot, "c", sure), TextDelta(slot, "d")]
    values = encode(texts)
    assert values == [["t", 2, "a", "b"], ["tl", 2, "c", sure], ["t", 2, "d"]]
    assert Decoder().decode([["add", 2, "msg_1", {}], *values])[1:] == texts
