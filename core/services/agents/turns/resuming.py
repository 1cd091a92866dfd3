"""How a turn goes on: what client tools have answered, held against the calls that await it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from core.apis.agents import ToolAnswer
from core.errors import Conflict, InvalidRequest, shorten
from core.frame.types import JsonObject
from core.services.agents.turn_documents import KeptTurn
from core.services.agents.turns.messages import read_answer
from core.services.responses.contract import Item
from core.services.responses.tools.naming import plain_name

IN_TEXT: Final = "in_text"
"""In the state of a turn: whether its calls are in its text, for the caller to read, as 0.2's ReActAgent does."""
MOST_NAMED: Final = 20  # ids in a message
ENDED: Final = "This turn awaits no answers of tools: it is complete. Begin another turn in its session."
GONE_ON: Final = "The session has gone on since this turn was made: another turn follows it. Begin another turn."
GONE: Final = "The calls that await an answer are not in the session any more. Begin another turn."


@dataclass(frozen=True, slots=True)
class Resumed:
    """A turn that goes on: `calls` as the turn has them, `answers` as they came, and `items` for the model."""

    turn: KeptTurn
    calls: Sequence[JsonObject]
    answers: Sequence[JsonObject] = field(repr=False)
    items: Sequence[Item] = field(repr=False)


def read_answers(turn: KeptTurn, answers: Sequence[ToolAnswer]) -> Resumed:
    """Raises InvalidRequest unless each call that awaits an answer has one, and no other."""
    if turn.status != "awaiting_input":
        raise InvalidRequest(ENDED, param="turn_id")
    calls: Sequence[JsonObject] = turn.turn["output_message"]["tool_calls"]
    if turn.state.get(IN_TEXT):
        calls = [_call_in_text(answer) for answer in answers]
    awaited = [*dict.fromkeys(str(call["call_id"]) for call in calls)]
    items: dict[str, Item] = {}
    for place, answer in enumerate(answers):
        path = f"tool_responses[{place}]"
        if answer.call_id not in awaited:
            problem = f"`{shorten(answer.call_id, 80)}` is no call that awaits an answer"
            raise _refuse(f"{path}.call_id", problem, awaited)
        if answer.call_id in items:
            raise _refuse(f"{path}.call_id", f"`{shorten(answer.call_id, 80)}` is answered twice", awaited)
        items[answer.call_id] = read_answer(answer, path)
    if missing := [call_id for call_id in awaited if call_id not in items]:
        raise _refuse("tool_responses", f"there is no answer to {_name(missing)}", awaited)
    told_items = [_item_of(call) for call in calls] if turn.state.get(IN_TEXT) else []
    told_items += [items[call_id] for call_id in awaited]
    return Resumed(turn, calls, [answer.model_dump(exclude_unset=True) for answer in answers], told_items)


def check_context(context: Sequence[Item], resumed: Resumed) -> None:
    """Raise Conflict where the turn is not the last thing that the session knows."""
    awaited = {call["call_id"] for call in resumed.calls}
    places = [place for place, item in enumerate(context) if item.get("call_id") in awaited]
    if resumed.turn.state.get(IN_TEXT):
        if places:
            raise Conflict(GONE_ON, param="turn_id")
        return
    if len(places) < len(awaited):
        raise Conflict(GONE, param="turn_id")
    is_later = any(item.get("role") == "user" for item in context[places[-1] + 1 :])
    if is_later or len(places) > len(awaited):
        raise Conflict(GONE_ON, param="turn_id")


def _call_in_text(answer: ToolAnswer) -> JsonObject:
    """One that the caller has read in what the model said: its arguments are there."""
    return {"call_id": answer.call_id, "tool_name": answer.tool_name, "arguments": {}, "arguments_json": "{}"}


def _item_of(call: JsonObject) -> Item:
    """No server takes an answer without its call."""
    return {
        "type": "function_call",
        "call_id": call["call_id"],
        "name": plain_name(call["tool_name"]),
        "arguments": "{}",
    }


def _refuse(path: str, problem: str, awaited: Sequence[str]) -> InvalidRequest:
    return InvalidRequest(f"{path}: {problem}. Answer each of these once: {_name(awaited)}.", param=path)


def _name(ids: Sequence[str]) -> str:
    names = ", ".join(f"`{shorten(call_id, 80)}`" for call_id in ids[:MOST_NAMED])
    return names if len(ids) <= MOST_NAMED else f"{names} and {len(ids) - MOST_NAMED} more"
