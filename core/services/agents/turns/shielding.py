"""Calls of client tools are what a model says, too: where an answer has nothing else, its shields judge them before the turn awaits anything."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from core.apis.safety import OUTPUT
from core.frame.types import JsonObject
from core.services.agents.turns.shields import TurnShields
from core.services.responses.contract import (
    AnswerEnded,
    Engine,
    Events,
    Item,
    ItemDone,
    RoundEnded,
    Run,
    RunEnded,
    Slot,
    Usage,
)
from core.services.responses.engine.messages import Dialogue
from core.services.responses.guardrails import refusal_events
from core.services.responses.output import Output


@dataclass(frozen=True, slots=True)
class CallShields:
    """Runs what `engine` does, up to calls in which a shield finds a violation."""

    engine: Engine
    shields: TurnShields

    async def run(self, run: Run) -> Events:
        done, usage, last = list[ItemDone](), Usage(), Slot(-1, "")
        async with aclosing(self.engine.run(run)) as events:
            async for event in events:
                if isinstance(event, ItemDone):
                    done.append(event)
                    last = max(last, event.slot)
                elif isinstance(event, AnswerEnded):
                    usage += event.usage
                    refusal = await self._judge(run, [end.item for end in done])
                    if refusal is not None:
                        slot = Output(last.place + 1, run.tail).add({"type": "message"})
                        items = [*(end.item for end in done), refusal_events(slot, refusal)[-1].item]
                        yield event
                        for ending in refusal_events(slot, refusal):
                            yield ending
                        yield RoundEnded(event.number, tuple(items), event.usage)
                        yield RunEnded("completed", usage)
                        return
                elif isinstance(event, RoundEnded):
                    done = []
                yield event

    async def _judge(self, run: Run, items: Sequence[Item]) -> str | None:
        """What was said in a message was judged as it ended."""
        calls = [item for item in items if item["type"] == "function_call"]
        if not calls or any(item["type"] == "message" for item in items):
            return None
        dialogue = Dialogue(run.instructions)
        dialogue.add_items(run.context, run.kept_count)
        text = "\n".join(f"{call['name']}({call['arguments']})" for call in calls)
        messages: list[JsonObject] = [*dialogue.messages, {"role": "assistant", "content": text}]
        return await self.shields.judge(messages, OUTPUT)
