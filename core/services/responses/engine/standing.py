"""Where a run stands: all that its next event follows from, beside what it was begun with. Pure."""

from collections.abc import Sequence
from typing import Final

from core.frame.types import JsonObject
from core.services.responses.contract import Item, RunEnded, RunTool, Slot, StepDone, ToolCall, Usage
from core.services.responses.engine.citing import Shown
from core.services.responses.engine.messages import Dialogue, ToldCall

NO_ANSWER: Final = "The tool gave no answer."


class HostedCall:
    """A call that the stack runs. `name` is what the model is told that it called; `most` is the bound that the call is beyond, None for none.

    `tool` is None where it is still to be found, by the name in `call`; `slot` and `item` are there where the item was added; `done` is what came of it.
    """

    __slots__ = ("call", "done", "item", "most", "name", "slot", "tool")

    def __init__(self, call: ToolCall, name: str, most: int | None = None) -> None:
        self.call = call
        self.name = name
        self.most = most
        self.tool: RunTool | None = None
        self.slot: Slot | None = None
        self.item: Item | None = None
        self.done: StepDone | None = None


class WholeAnswer:
    """Of a model, with its calls of the stack's tools. `thoughts` are fields of the assistant's message; `goes_on` says whether the model is asked again for what came of its calls."""

    __slots__ = ("calls", "finish", "goes_on", "text", "thoughts", "usage")

    def __init__(self, text: str, thoughts: JsonObject, calls: Sequence[HostedCall], finish: str, usage: Usage) -> None:
        self.text = text
        self.thoughts = thoughts
        self.calls = calls
        self.finish = finish
        self.usage = usage
        self.goes_on = False

    def tell(self, dialogue: Dialogue, shown: Shown) -> None:
        """The model what it said, and what came of its calls, in their order."""
        results = list[ToldCall]()
        for call in self.calls:
            output = NO_ANSWER if call.done is None or call.done.output is None else call.done.output
            if call.done is not None:
                shown.add(call.done)
            results.append(ToldCall(call.call.call_id, call.name, call.call.arguments, output))
        dialogue.add_round(self.text, self.thoughts, results)


class Standing:
    """Of one run. A plain class, as others here: a dataclass costs a cold start half a millisecond.

    `number` is the round's; `ran` counts calls of the stack's tools, `counted` those of them that max_tool_calls is about. With `is_last` the model is
    to answer without tools, with `was_last` it was asked to. `usage` is of all answers so far; `call_ids` are those that a model may not give again.
    `prepared` is what came before the first round, where a run is gone on with; `items` are done since a round has ended; `answer` is there while its
    calls run; `tool_choice` is as chat completions have it.
    """

    __slots__ = (
        "answer", "call_ids", "counted", "dialogue", "end", "is_last", "items", "number", "prepared", "ran", "shown",
        "tool_choice", "usage", "was_last",
    )  # fmt: skip

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.shown = Shown()
        self.number = 1
        self.ran = 0
        self.counted = 0
        self.is_last = False
        self.was_last = False
        self.usage = Usage()
        self.call_ids = set[str]()
        self.tool_choice: object = None
        self.prepared: list[Item] = []
        self.items: list[Item] = []
        self.answer: WholeAnswer | None = None
        self.end: RunEnded | None = None
