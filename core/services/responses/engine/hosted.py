"""Calls of tools that the stack runs: several at a time, each in its own place of the output."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from core.services.responses.contract import (
    Event,
    Item,
    ItemAdded,
    ItemDone,
    Output,
    Phase,
    PhaseChanged,
    Slot,
    Step,
    StepAdded,
    StepDone,
    StepPhase,
)
from core.services.responses.engine.pieces import WrittenCall, broken_item

AT_ONCE: Final = 4
UNSAID: Final = {"output": None, "error": None, "results": None}
"""Members of an item of which nothing is known when it is begun."""
NO_ANSWER: Final = "The tool gave no answer."


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

    def break_off(self) -> Sequence[Event]:
        """The end of an item that was added, and of which no more comes."""
        return () if self.item is None else self._end(broken_item(self.item))

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
