"""What comes before the first round of a run: the context is told, tools are listed, calls that were approved are run."""

from contextlib import aclosing
from typing import Final

from core.services.responses.contract import Event, Events, ItemDone, Run, StepRecorded
from core.services.responses.engine.failures import Deadline
from core.services.responses.engine.hosted import Steps
from core.services.responses.engine.open_items import OpenItems

CALL: Final = "mcp_call"


async def prepare(run: Run, items: OpenItems, deadline: Deadline) -> Events:
    """The context is looked at before anything is run; where the run was begun before, its steps have what it was told."""
    at, writer, steps = items.standing, items.writer, Steps(items.output)
    if at.end is not None:
        return
    if not run.steps:
        at.dialogue.add_items(run.context, run.kept_count)
        at.shown.add_context(run.context)
    async with aclosing(deadline.watch(run.tools.prepare(run.context, at.prepared, run.id))) as source:
        async for step in source:
            for event in steps.take(step):
                yield items.note(event)
            if steps.done is None:
                continue
            own_id = {} if steps.slot is None else {"id": steps.slot.id}  # as the item will be told by
            at.dialogue.add_call({**steps.done.item, **own_id}, steps.done.output)
            at.shown.add(steps.done)
            if writer is not None and steps.done.item["type"] == CALL:
                yield StepRecorded(writer.print_preparation())
            steps = Steps(items.output)
    at.tool_choice = run.tools.choose(run.tool_choice)
    if writer is not None and writer.has_news:
        yield StepRecorded(writer.print_preparation())


def is_call(event: Event) -> bool:
    """Whether a server did something: a call that was approved."""
    return isinstance(event, ItemDone) and event.item["type"] == CALL
