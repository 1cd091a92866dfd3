"""The neutral events of a run as the events of a turn, and the turn that they come to. Pure, but for the clock and the ids of steps.

    shield_call?  { inference  shield_call?  tool_execution* }  turn_complete | turn_awaiting_input

One step is open at a time, as 0.2's own agents have it: tools that ran side by side are told one after the other, in the order of their calls. What a
model thinks has no place in it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from core.apis.safety import INPUT
from core.frame.types import JsonObject
from core.services.agents.records import iso
from core.services.agents.turns.steps import (
    END_OF_MESSAGE,
    END_OF_TURN,
    FAILED_CALL,
    INFERENCE,
    OUT_OF_TOKENS,
    SHIELD,
    TOOLS,
    TOUCHPOINTS,
    Call,
    Inference,
    Judgement,
    StepHead,
    ToolRun,
    TurnHead,
    call_delta,
    call_of,
    complete,
    say,
    text_delta,
)
from core.services.responses.contract import (
    AnswerEnded,
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    PhaseChanged,
    RefusalDelta,
    RoundEnded,
    TextDelta,
)
from core.services.responses.tools.results import tell_error

CALLS: Final = frozenset({"function_call", "mcp_call"})
METADATA: Final = "metadata"
"""Of the item of a call: what its tool answered for programs."""
MOMENT: Final = 2e-6
"""Seconds by which times differ as they are written."""
BOUND: Final = "max_output_tokens"
"""The reason of a run that its tokens have ended."""


class TurnPrinter:
    """Of one run. `steps` are those that were completed, of this run alone."""

    def __init__(self, head: TurnHead, clock: Callable[[], float]) -> None:
        self.head = head
        self.steps: list[JsonObject] = []
        self.rounds = head.rounds
        self.is_refused = False  # what was put in: no model is asked
        self._is_stopped = False  # what the model said
        self._has_answered = False  # in this round
        self._clock = clock
        self._printed: list[JsonObject] = []
        self._inference: Inference | None = None
        self._asked_at = clock()
        self._runs: deque[ToolRun] = deque()
        self._judgements: list[Judgement] = []
        self.latest = 0.0  # when the last step has ended
        self._last = self._new_inference()

    def print(self, event: Event) -> Sequence[JsonObject]:
        """The events that this one makes; a piece of text, as nearly all are, is told at once."""
        step = self._inference
        if step is not None and event.__class__ is TextDelta and isinstance(event, TextDelta):
            step.texts.append(event.text)
            return (step.head.progress(text_delta(event.text)),)
        handler = HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
        return self.flush()

    def flush(self) -> Sequence[JsonObject]:
        """What was not given out yet."""
        printed, self._printed = self._printed, []
        return printed

    def resume(self, head: StepHead, calls: Sequence[JsonObject], answers: Sequence[JsonObject]) -> None:
        """What the turn goes on with: its client tools have answered, from `head.started_at` on."""
        self.latest = head.started_at
        self._complete(head, self._asked_at, tool_calls=[*calls], tool_responses=[*answers])

    def begin(self) -> None:
        """The model was asked."""
        if not self.is_refused:
            self._open()

    def judge(self, judgement: Judgement) -> None:
        """One of what the model said comes before what it said, and is told behind the model's step."""
        if judgement.source == INPUT:
            self.is_refused, self._asked_at = judgement.stops, judgement.ended_at
            self._tell(judgement)
        else:
            self._is_stopped = judgement.stops
            self._judgements.append(judgement)

    def close(self) -> None:
        """Complete what is open: nothing more comes."""
        self._close_inference()
        for run in self._runs:
            if run.item is None:
                run.item = {"error": FAILED_CALL} if run.head is not None else {"status": "incomplete"}
        self._advance()

    def end(self, status: str, reason: str = "") -> JsonObject:
        """The turn as it is kept, of a run that has ended so: with the steps of this run alone."""
        self.close()
        self._tell_judgements()
        head, last = self.head, self._last
        calls = [call.show() for call in self.open_calls] if status == "completed" else []
        stop_reason = END_OF_TURN
        if calls and self.may_go_on:
            stop_reason = END_OF_MESSAGE
        elif reason == BOUND:
            stop_reason = OUT_OF_TOKENS
        return {
            "turn_id": head.turn_id,
            "session_id": head.session_id,
            "input_messages": [*head.input_messages],
            "steps": [*self.steps],
            "output_message": say("".join(last.texts), stop_reason, calls),
            "output_attachments": [],
            "started_at": head.started_at,
            "completed_at": iso(max(self._clock(), self.latest)),
        }

    @property
    def open_calls(self) -> Sequence[Call]:
        """The calls of client tools in the model's last answer."""
        if self._is_stopped:
            return ()
        return [call for call in self._last.calls.values() if call.is_clients and call.is_whole]

    @property
    def may_go_on(self) -> bool:
        """Whether the model may be asked again in this turn."""
        return self.rounds < self.head.most_rounds and not self.is_refused and not self._is_stopped

    @property
    def last_step(self) -> StepHead:
        """The model's."""
        return self._last.head

    def add_item(self, event: ItemAdded) -> None:
        item = event.item
        if item["type"] not in CALLS:
            if item["type"] == "message" and not self.is_refused:
                self._progress(text_delta(""))
            return
        call = call_of(event.slot.id, item)
        if self._has_answered:  # of a tool that nobody knew to be called
            self._runs.append(ToolRun(call))
            return
        self._open().calls[event.slot.id] = call
        self._progress(call_delta("", "started"))

    def add_text(self, event: TextDelta | RefusalDelta) -> None:
        step = self._last if self.is_refused else self._open()
        step.texts.append(event.text)
        if not self.is_refused:
            self._progress(text_delta(event.text))

    def add_arguments(self, event: ArgumentsDelta) -> None:
        step = self._inference
        if step is not None and (call := step.calls.get(event.slot.id)) is not None:
            call.texts.append(event.text)
            self._progress(call_delta(event.text, "in_progress"))

    def change_phase(self, event: PhaseChanged) -> None:
        run = self._find(event.slot.id)
        if run is not None and run.head is None:
            run.head = self._new_step(TOOLS)
            self._advance()

    def end_item(self, event: ItemDone) -> None:
        item, slot = event.item, event.slot
        if self._inference is not None:
            self._end_answer_item(self._inference, slot.id, item)
        elif (run := self._find(slot.id)) is not None:
            run.item, run.ended_at = item, self._clock()
            run.call.texts = [item.get("arguments") or ""]
            self._advance()

    def end_answer(self, event: AnswerEnded) -> None:
        del event
        if not self.is_refused:
            self._open()
            self._close_inference()

    def end_round(self, event: RoundEnded) -> None:
        del event
        self.close()
        self.rounds += 1
        self._asked_at, self._has_answered = self._clock(), False
        self._runs.clear()

    def _open(self) -> Inference:
        if self._inference is None:
            self._inference = self._last = self._new_inference()
            self._printed.append(self._inference.head.begin({"response_id": self.head.response_id}))
        return self._inference

    def _new_inference(self) -> Inference:
        return Inference(StepHead(self.head.turn_id, INFERENCE, self._asked_at))

    def _new_step(self, kind: str) -> StepHead:
        return StepHead(self.head.turn_id, kind, self._clock())

    def _progress(self, delta: JsonObject) -> None:
        self._printed.append(self._open().head.progress(delta))

    def _end_answer_item(self, step: Inference, slot_id: str, item: Item) -> None:
        """An item of the model's answer is whole, or broken off with it."""
        is_whole = item.get("status") != "incomplete"
        step.is_whole = step.is_whole and is_whole
        call = step.calls.get(slot_id)
        if call is not None:
            call.is_whole = is_whole
            call.texts = [item.get("arguments") or "".join(call.texts)]

    def _close_inference(self) -> None:
        step, self._inference = self._inference, None
        if step is None:
            return
        self._has_answered = True
        for call in step.calls.values():
            view = call.show()
            is_read = call.is_whole and view["arguments_json"] is not None
            whole = call_delta(view, "succeeded") if is_read else call_delta("".join(call.texts), "failed")
            self._printed.append(step.head.progress(whole))
        calls = [call.show() for call in step.calls.values() if call.is_whole]
        stop_reason = END_OF_MESSAGE if calls else END_OF_TURN
        message = say("".join(step.texts), stop_reason if step.is_whole else OUT_OF_TOKENS, calls)
        self._complete(step.head, self._clock(), model_response=message)
        self._runs.extend(ToolRun(call) for call in step.calls.values() if not call.is_clients)
        self._tell_judgements()

    def _find(self, slot_id: str) -> ToolRun | None:
        return next((run for run in self._runs if run.call.id == slot_id), None)

    def _advance(self) -> None:
        """Tell what can be told of the tools, in the order of their calls."""
        while self._runs:
            run = self._runs[0]
            if run.head is not None and not run.is_told:
                self._begin_run(run, run.head)
            if run.item is None:
                return
            self._runs.popleft()
            if run.head is None and run.item.get("status") == "incomplete" and not run.item.get("error"):
                continue  # it was never run: the model's answer broke off
            self._end_run(run, run.item)

    def _begin_run(self, run: ToolRun, head: StepHead) -> None:
        run.is_told = True
        self._printed += [head.begin(), head.progress(call_delta(run.call.show(), "in_progress"))]

    def _end_run(self, run: ToolRun, item: Item) -> None:
        head = run.head or self._new_step(TOOLS)
        if not run.is_told:
            self._begin_run(run, head)
        answer = {
            "call_id": run.call.id,
            "tool_name": run.call.name,
            "content": tell_error(item["error"]) if item.get("error") else item.get("output") or "",
            "metadata": item.get(METADATA),
        }
        ended_at = run.ended_at or self._clock()
        self._complete(head, ended_at, tool_calls=[run.call.show()], tool_responses=[answer])

    def _tell_judgements(self) -> None:
        judgements, self._judgements = self._judgements, []
        for judgement in judgements:
            self._tell(judgement)

    def _tell(self, judgement: Judgement) -> None:
        head = StepHead(self.head.turn_id, SHIELD, judgement.started_at)
        self._printed.append(head.begin({"touchpoint": TOUCHPOINTS[judgement.source]}))
        self._complete(head, judgement.ended_at, violation=judgement.violation)

    def _complete(self, head: StepHead, ended_at: float, **details: object) -> None:
        """In time, too, one step is behind the other, as 0.2's agents have them: those that ran side by side as well."""
        head.started_at = max(head.started_at, self.latest + MOMENT)
        self.latest = max(ended_at, head.started_at + MOMENT)
        step = head.whole(self.latest, **details)
        self.steps.append(step)
        self._printed.append(complete(step))


HANDLERS: Final[dict[type, Callable[[TurnPrinter, Any], None]]] = {
    AnswerEnded: TurnPrinter.end_answer,
    ArgumentsDelta: TurnPrinter.add_arguments,
    ItemAdded: TurnPrinter.add_item,
    ItemDone: TurnPrinter.end_item,
    PhaseChanged: TurnPrinter.change_phase,
    RefusalDelta: TurnPrinter.add_text,
    RoundEnded: TurnPrinter.end_round,
    TextDelta: TurnPrinter.add_text,
}
