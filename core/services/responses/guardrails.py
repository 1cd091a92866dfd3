"""`guardrails` of a request: shields that judge what it puts in and what its model says, beside those that guard the model itself.

A violation is answered by a message that has a refusal. A message is let out once it was judged whole, so that it does not come piece by piece.
Source: guardrails of Llama Stack 0.7 and OGX 1.5.
"""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from core.apis.response_rules import shield_of
from core.apis.responses import ResponseRequest
from core.apis.safety import INPUT, OUTPUT, RunShieldRequest, Safety
from core.errors import InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnswerEnded,
    Engine,
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    RefusalDelta,
    RoundEnded,
    Run,
    RunEnded,
    Slot,
    Usage,
)
from core.services.responses.engine.messages import Dialogue
from core.services.responses.output import Output

REFUSAL: Final = "I can't answer that. Can I help with something else?"
NO_SAFETY: Final = (
    "guardrails: this stack has no shields: its run config needs `safety` among its `apis`, and a provider of it."
)
NO_DEFAULT: Final = (
    "guardrails: this stack has no `safety.default_shield_id`; name the shields, as a list of their ids."
)


def shields_of(request: ResponseRequest, default: str | None) -> list[str]:
    """The ids of the shields that a request asks for; `default` is meant by `true`. Raises InvalidRequest where there is none."""
    guardrails = request.guardrails
    if guardrails is True:
        if default is None:
            raise InvalidRequest(NO_DEFAULT, param="guardrails")
        return [default]
    return [shield for entry in guardrails or () if (shield := shield_of(entry)) is not None]


@contextmanager
def naming_shield(place: int) -> Generator[None]:
    """A shield that is not there is the one at this place of the request's."""
    try:
        yield
    except NotFound as unknown:
        raise NotFound(unknown.message, param=f"guardrails[{place}]") from None


@dataclass(slots=True)
class UnderWay:
    """What a run has told, and what of it is held back: all that follows the beginning of a message, until it was judged."""

    usage: Usage = field(default_factory=Usage)
    number: int = 1
    items: list[Item] = field(default_factory=list[Item])
    opened: dict[Slot, list[Event]] = field(default_factory=dict[Slot, list[Event]])
    waiting: list[Event] = field(default_factory=list[Event])
    messages: set[Slot] = field(default_factory=set[Slot])

    def take(self, event: Event) -> Sequence[Event]:
        """What may be told now, if `event` was judged where it ends a message."""
        if isinstance(event, ItemAdded) and event.item["type"] == "message":
            self.messages.add(event.slot)
        elif isinstance(event, ItemDone):
            self.messages.discard(event.slot)
        self.waiting.append(event)
        if self.messages:
            return ()
        events, self.waiting = self.waiting, []
        for held_event in events:
            self._note(held_event)
        return events

    def refuse(self, slot: Slot, refusal: str) -> Sequence[Event]:
        """The last items of a run that is stopped at the message with this slot: what had begun before it ends as it does, or is incomplete."""
        first = next((event.slot for event in self.waiting if isinstance(event, ItemAdded)), slot)
        ends: list[Event] = [event for event in self.waiting if getattr(event, "slot", None) in self.opened]
        for event in ends:
            self._note(event)
        from core.services.responses.recording.folding import break_off  # late: few are refused

        incomplete = [*map(break_off, self.opened.values())]
        refusing = refusal_events(first, refusal)
        endings: list[Event] = [*incomplete, *refusing]
        for ending in endings:
            self._note(ending)
        return [*ends, *endings]

    def end(self, usage: Usage) -> Sequence[Event]:
        """Of a run that was stopped, whose last answer used so much."""
        ends = AnswerEnded(self.number, usage), RoundEnded(self.number, tuple(self.items), usage)
        return [*ends, RunEnded("completed", self.usage + usage)]

    def _note(self, event: Event) -> None:
        if isinstance(event, ItemAdded):
            self.opened[event.slot] = [event]
        elif isinstance(event, ItemDone):
            self.opened.pop(event.slot, None)
            self.items.append(event.item)
        elif isinstance(event, AnswerEnded):
            self.number, self.usage = event.number, self.usage + event.usage
        elif isinstance(event, RoundEnded):
            self.items, self.number = [], event.number + 1
        elif isinstance(slot := getattr(event, "slot", None), Slot) and slot in self.opened:
            self.opened[slot].append(event)


class Judge(Protocol):
    """Says what may not be said."""

    async def judge(self, messages: Sequence[JsonObject], source: str) -> str | None:
        """The text of the refusal, where it finds a violation; `source` is INPUT or OUTPUT."""
        ...


@dataclass(frozen=True, slots=True)
class Guardrails:
    """The shields of a request, one after the other."""

    safety: Safety
    shields: Sequence[str]

    async def judge(self, messages: Sequence[JsonObject], source: str) -> str | None:
        for place, shield in enumerate(self.shields):
            with naming_shield(place):
                report = await self.safety.run_shield(
                    RunShieldRequest(shield_id=shield, messages=[*messages], params={"source": source})
                )
            if (violation := report["violation"]) is not None:
                return violation["user_message"] or REFUSAL
        return None


@dataclass(frozen=True, slots=True)
class GuardedEngine:
    """Runs what `engine` does, between the judgements of `judge`."""

    engine: Engine
    judge: Judge

    async def run(self, run: Run) -> Events:
        """Where the run was begun before, its context was judged then."""
        dialogue = Dialogue(run.instructions)
        dialogue.add_items(run.context, run.kept_count)
        refusal = None if run.steps else await self.judge.judge(dialogue.messages, INPUT)
        events = self._refuse(run, refusal) if refusal is not None else self._run(run, dialogue.messages)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _run(self, run: Run, messages: Sequence[JsonObject]) -> AsyncGenerator[Event]:
        under_way = UnderWay()
        if run.steps:
            from core.services.responses.engine.steps import round_of  # late: few runs are recorded

            under_way.number, under_way.usage = round_of(run.steps)
        async with aclosing(self.engine.run(run)) as events:
            async for event in events:
                if isinstance(event, ItemDone) and event.item["type"] == "message":
                    answer = {"role": "assistant", "content": text_of(event.item)}
                    refusal = await self.judge.judge([*messages, answer], OUTPUT)
                    if refusal is not None:
                        for ending in under_way.refuse(event.slot, refusal):
                            yield ending
                        for ending in under_way.end(await _read_answer(events)):
                            yield ending
                        return
                for ready in under_way.take(event):
                    yield ready

    async def _refuse(self, run: Run, refusal: str) -> AsyncGenerator[Event]:
        """The whole run, of which no model is asked."""
        slot = Output(len(run.output), run.tail).add({"type": "message"})
        message = refusal_events(slot, refusal)
        for event in message:
            yield event
        yield AnswerEnded(1)
        yield RoundEnded(1, tuple(event.item for event in message if isinstance(event, ItemDone)), Usage())
        yield RunEnded("completed", Usage())


async def _read_answer(events: Events) -> Usage:
    """What the answer under way uses, of which nothing is told any more: it is read to its end, before which no tool is run."""
    async for event in events:
        if isinstance(event, AnswerEnded):
            return event.usage
    return Usage()


def refusal_events(slot: Slot, refusal: str) -> tuple[ItemAdded, RefusalDelta, ItemDone]:
    """A message that has nothing but the refusal."""
    message: Item = {"type": "message", "id": slot.id, "role": "assistant"}
    part = {"type": "refusal", "refusal": refusal}
    return (
        ItemAdded(slot, {**message, "status": "in_progress", "content": []}),
        RefusalDelta(slot, refusal),
        ItemDone(slot, {**message, "status": "completed", "content": [part]}),
    )


def text_of(message: Item) -> str:
    return "".join(part.get("text") or part.get("refusal") or "" for part in message["content"])
