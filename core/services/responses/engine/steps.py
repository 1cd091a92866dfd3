"""The steps of a run: what is recorded so that another process goes on from there, and where a run stands by them. Pure.

Each has what has changed since the one before, as JSON; docs/adr/0089-steps-of-a-run.md. By their `kind`:

    prepared   what comes before the first round, or a call that was approved
    answered   the model's answer is whole, and has calls that the stack runs
    called     one of these has answered
    ended      the round has; with an `end`, the run too
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from core.apis.retrieval import Passage
from core.frame.types import JsonObject
from core.services.responses.contract import Item, RunEnded, StepDone, ToolCall, Usage
from core.services.responses.engine.citing import Shown
from core.services.responses.engine.standing import NO_ANSWER, HostedCall, Standing, WholeAnswer
from core.services.responses.output import make_key

COUNTS: Final = ("number", "ran", "counted", "is_last", "was_last")


class StepWriter:
    """Of one run, whose `standing` is looked at as each step is made."""

    __slots__ = ("_known_count", "_known_messages", "_places", "_standing")

    def __init__(self, standing: Standing, *, goes_on: bool) -> None:
        """With `goes_on` there are steps already, which `standing` was read from."""
        self._standing = standing
        self._places: list[int] = []  # of the items that were done since the last step
        self._known_messages = standing.dialogue.messages if goes_on else None
        self._known_count = len(standing.dialogue.messages)  # of them in the steps before

    def note(self, place: int) -> None:
        """That the item there is done."""
        self._places.append(place)

    @property
    def has_news(self) -> bool:
        """Whether an item was done since the last step."""
        return bool(self._places)

    def print_preparation(self) -> JsonObject:
        return self._make("prepared") | self._print_told()

    def print_answer(self, answer: WholeAnswer) -> JsonObject:
        calls = [
            {
                "id": call.call.call_id,
                "name": call.call.name,
                "arguments": call.call.arguments,
                "told": call.name,
                "most": call.most,
            }
            for call in answer.calls
        ]
        fields: JsonObject = {"text": answer.text, "thoughts": answer.thoughts, "calls": calls}
        fields |= {"finish": answer.finish, "usage": _print_usage(answer.usage), "goes_on": answer.goes_on}
        return self._make("answered") | self._print_told() | {"answer": fields}

    def print_call(self, place: int, done: StepDone) -> JsonObject:
        """`place` is the call's, among those of the answer."""
        step = self._make("called") | {"call": place, "output": NO_ANSWER if done.output is None else done.output}
        if done.passages:
            step["passages"] = [[passage.document_id, passage.filename] for passage in _first_of_each(done.passages)]
        if done.sources:
            step["sources"] = [*done.sources]
        return step

    def print_end(self) -> JsonObject:
        """What the model was told since then follows from the steps before."""
        self._known_count = len(self._standing.dialogue.messages)
        end = self._standing.end
        return self._make("ended") | ({} if end is None else {"end": {"status": end.status, "reason": end.reason}})

    def _make(self, kind: str) -> JsonObject:
        at, places = self._standing, self._places
        self._places = []
        counts = {name: getattr(at, name) for name in COUNTS}
        return {"kind": kind, "items": places, "at": counts | {"usage": _print_usage(at.usage)}}

    def _print_told(self) -> JsonObject:
        """The messages that no step has, all of them where the oldest were let go of."""
        messages = self._standing.dialogue.messages
        begin = self._known_count if messages is self._known_messages else 0
        self._known_messages, self._known_count = messages, len(messages)
        return {"told": {"from": begin, "messages": messages[begin:]}, "shown": _print_shown(self._standing.shown)}


def round_of(steps: Sequence[JsonObject]) -> tuple[int, Usage]:
    """The number of the round under way, and what the answers used that were whole by then; there is a step."""
    at = steps[-1]["at"]
    return at["number"], Usage(*at["usage"])


def read_steps(steps: Sequence[JsonObject], output: Sequence[Item], run_id: str, standing: Standing) -> None:
    """Put `standing`, which is a beginning's, to where the run was by its steps; `output` is what was done by then."""
    for step in steps:
        items: list[Item] = [output[place] for place in step["items"] if place < len(output)]
        standing.items += items
        _read_counts(step["at"], standing)
        if (news := step.get("told")) is not None:
            standing.dialogue.messages = [*standing.dialogue.messages[: news["from"]], *news["messages"]]
            standing.shown = _read_shown(step["shown"])
        match step["kind"]:
            case "prepared":
                standing.prepared += items
            case "answered":
                standing.answer = _read_answer(step["answer"], run_id)
                standing.call_ids |= {call.call.call_id for call in standing.answer.calls}
            case "called":
                _answer_call(step, standing.answer)
            case "ended":
                _end_round(step.get("end"), standing)
            case _:
                pass  # of a later release


def _answer_call(step: JsonObject, answer: WholeAnswer | None) -> None:
    if answer is not None:
        answer.calls[step["call"]].done = _read_done(step)


def _end_round(end: JsonObject | None, standing: Standing) -> None:
    answer, standing.answer, standing.items = standing.answer, None, []
    if answer is not None and answer.goes_on:
        answer.tell(standing.dialogue, standing.shown)
    if end is not None:
        standing.end = RunEnded(end["status"], standing.usage, end["reason"])


def _read_counts(counts: JsonObject, standing: Standing) -> None:
    for name in COUNTS:
        setattr(standing, name, counts[name])
    standing.usage = Usage(*counts["usage"])


def _read_answer(fields: JsonObject, run_id: str) -> WholeAnswer:
    calls = [
        HostedCall(
            ToolCall(call["id"], call["name"], call["arguments"], make_key(run_id, call["id"])),
            call["told"],
            call["most"],
        )
        for call in fields["calls"]
    ]
    answer = WholeAnswer(fields["text"], fields["thoughts"], calls, fields["finish"], Usage(*fields["usage"]))
    answer.goes_on = fields["goes_on"]
    return answer


def _read_done(step: JsonObject) -> StepDone:
    passages = [_passage(place, *about) for place, about in enumerate(step.get("passages", ()), 1)]
    return StepDone({}, step["output"], passages, step.get("sources", ()))


def _print_usage(usage: Usage) -> list[int]:
    return [usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens]


def _print_shown(shown: Shown) -> JsonObject:
    documents = {name: [passage.document_id, passage.filename] for name, passage in shown.documents.items()}
    return {"documents": documents, "pages": dict(shown.pages)}


def _read_shown(fields: JsonObject) -> Shown:
    sources, documents = Shown(), fields["documents"].items()
    sources.documents = {name: _passage(place, *about) for place, (name, about) in enumerate(documents, 1)}
    sources.pages = dict(fields["pages"])
    return sources


def _passage(place: int, document_id: str, filename: str) -> Passage:
    """As much of it as a citation says."""
    return Passage(place, "", 0.0, "", document_id, filename)


def _first_of_each(passages: Sequence[Passage]) -> Iterator[Passage]:
    """By which their document is named."""
    seen: set[Any] = set()
    for passage in passages:
        if passage.document_id not in seen:
            seen.add(passage.document_id)
            yield passage
