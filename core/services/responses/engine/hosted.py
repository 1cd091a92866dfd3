"""Calls of tools that the stack runs: several at a time, each in its own place of the output."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from core.services.responses.contract import (
    ArgumentsDelta,
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    Phase,
    PhaseChanged,
    Run,
    RunTool,
    Slot,
    Step,
    StepAdded,
    StepDone,
    StepPhase,
    StepRecorded,
    ToolCall,
)
from core.services.responses.engine.failures import Deadline
from core.services.responses.engine.open_items import OpenItems
from core.services.responses.engine.pieces import WrittenCall, broken_item
from core.services.responses.engine.standing import HostedCall, Standing
from core.services.responses.engine.standins import over_limit
from core.services.responses.output import Output, make_key

AT_ONCE: Final = 4
MOST_CALLS: Final = 1000
"""Of the stack's tools in one response, whatever its caller allows."""
UNSAID: Final = {"output": None, "error": None, "results": None}
"""Members of an item of which nothing is known when it is begun."""


class Steps:
    """The steps of one tool as events. `item` is what was added, in `slot`; `done` is its last step."""

    __slots__ = ("_output", "_phases", "done", "item", "slot")

    def __init__(self, output: Output, slot: Slot | None = None, item: Item | None = None) -> None:
        self._output = output
        self.slot = slot
        self.item = item
        self.done: StepDone | None = None
        self._phases: list[Phase] = []  # of an item that is not added yet

    def take(self, step: Step) -> Sequence[Event]:
        match step:
            case StepAdded(item):
                return self._add(item)
            case StepPhase(phase):
                return self._change(phase)
            case StepDone(item):
                added = () if self.slot is not None else self._add(begun_item(item))
                self.done = step
                return (*added, *self._end(item))

    def break_off(self, arguments: str = "") -> Sequence[Event]:
        """The end of an item that was added, and of which no more comes; `arguments` are what its model wrote."""
        return () if self.item is None else self._end(broken_item(self.item, arguments))

    def _add(self, item: Item) -> Sequence[Event]:
        self.item = dict(item)
        self.slot = self._output.add(self.item)
        slot, phases, self._phases = self.slot, self._phases, []
        return (ItemAdded(slot, dict(self.item)), *(PhaseChanged(slot, phase) for phase in phases))

    def _change(self, phase: Phase) -> Sequence[Event]:
        if self.slot is None:
            self._phases.append(phase)
            return ()
        return (PhaseChanged(self.slot, phase),)

    def _end(self, item: Item) -> Sequence[Event]:
        slot, self.item = self.slot, None
        return () if slot is None else (ItemDone(slot, {**item, "id": slot.id}),)


def begun_item(item: Item) -> Item:
    """As an `item` is added of which no deltas come: its arguments are there."""
    beginning = dict(item)
    if "status" in beginning:
        beginning["status"] = "in_progress"
    beginning |= {name: value for name, value in UNSAID.items() if name in beginning}
    return beginning


async def run_calls(calls: Sequence[WrittenCall]) -> AsyncGenerator[tuple[WrittenCall, Step | None]]:
    """The steps of all, as they come, and None at the end of each; at most AT_ONCE run at a time. The first that fails ends it, and what runs is cancelled."""
    steps: asyncio.Queue[tuple[WrittenCall, Step | None]] = asyncio.Queue()
    places = asyncio.Semaphore(AT_ONCE)

    async def run(call: WrittenCall) -> None:
        try:
            async with places, aclosing(call.tool.run(call.call, call.item)) as source:
                async for step in source:
                    steps.put_nowait((call, step))
        finally:
            steps.put_nowait((call, None))

    tasks = {call: asyncio.create_task(run(call)) for call in calls}
    under_way = len(tasks)
    try:
        while under_way:
            call, step = await steps.get()
            if step is None:
                await tasks[call]  # raises what it did
                under_way -= 1
            yield call, step
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def admit(written: WrittenCall, run: Run, at: Standing) -> HostedCall:
    """The call, with its key; one too many is told so in the place of being run."""
    most = MOST_CALLS if run.max_tool_calls is None else run.max_tool_calls
    at.ran += 1
    at.counted += written.tool.counted
    wrote = written.call
    keyed = ToolCall(wrote.call_id, wrote.name, wrote.arguments, make_key(run.id, wrote.call_id))
    call = HostedCall(keyed, written.tool.definition["function"]["name"])
    call.tool, call.slot, call.item = written.tool, written.slot, written.item
    if at.ran > MOST_CALLS or (written.tool.counted and at.counted > most):
        at.is_last = True
        call.most = min(most, MOST_CALLS)
        call.tool = over_limit(wrote.name, call.most)
    return call


async def run_hosted(
    calls: Sequence[HostedCall], items: OpenItems, deadline: Deadline, find: Callable[[str], RunTool]
) -> Events:
    """Run those that have not answered, all at once."""
    runs: dict[WrittenCall, tuple[int, Steps]] = {}
    for place, call in enumerate(calls):
        if call.done is None:
            for event in _begin_again(call, items, find) if call.tool is None else ():
                yield event
            tool = call.tool or find(call.call.name)
            runs[WrittenCall(tool, call.call, call.slot, call.item)] = place, Steps(items.output, call.slot, call.item)
    async with aclosing(deadline.watch(run_calls([*runs]))) as source:
        async for model_call, step in source:
            place, steps = runs[model_call]
            for event in steps.take(step) if step is not None else steps.break_off(model_call.call.arguments):
                yield items.note(event)
            if calls[place].done is None and (step is None or steps.done is not None):
                calls[place].done = done = steps.done or StepDone({})
                if items.writer is not None:
                    yield StepRecorded(items.writer.print_call(place, done))


def _begin_again(call: HostedCall, items: OpenItems, find: Callable[[str], RunTool]) -> Iterator[Event]:
    """A call of which nobody knows whether it was run: its item is added anew, with what the model wrote."""
    tool = find(call.call.name)
    call.tool = tool if call.most is None else over_limit(call.call.name, call.most)
    call.item = tool.begin(call.call.call_id)
    if call.item is not None:
        call.slot = items.output.add(call.item)
        yield items.note(ItemAdded(call.slot, dict(call.item)))
        if tool.streams_arguments and call.call.arguments:
            yield ArgumentsDelta(call.slot, call.call.arguments)
        items.note_call(call.slot, call.call.arguments)
