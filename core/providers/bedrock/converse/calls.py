"""Tool calls and their results as Bedrock wants them: each call answered in the next turn, under an id of its own. Pure.

Imported with the first conversation that has any. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use.html.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
from typing import Final

from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.providers.bedrock.converse.aliases import alias_of
from core.providers.bedrock.converse.families import Family

NO_OUTPUT: Final = "(no output)"
NO_RESULT: Final = "(no result: the call was interrupted)"


@dataclass(slots=True)
class Call:
    """A call of the conversation, and what came of it: nothing, if `content` is None."""

    use: JsonObject
    is_text: bool  # it is told as text, and its results are
    content: list[JsonObject] | None = None


@dataclass(slots=True)
class Turn:
    """What stays of a turn without its results."""

    role: str
    blocks: list[JsonObject] = field(default_factory=list[JsonObject])
    calls: list[Call] = field(default_factory=list[Call])
    points: list[JsonObject] = field(default_factory=list[JsonObject])  # cache points after its results


def pair_calls(turns: Sequence[JsonObject], names: Mapping[str, str], family: Family) -> list[JsonObject]:
    """The turns, where the results of a turn's calls are what comes next; a call of no tool in `names` is told as text.

    A result belongs to the last call of its id that has none, else to the last one; that of no call is told as text.
    A call without a result is said to be interrupted.
    """
    pairing = Pairing(names)
    read = [pairing.read(turn) for turn in turns]
    _set_ids([call for turn in read for call in turn.calls], names, family)
    paired: list[JsonObject] = []
    answered: list[Call] = []
    for turn in [*read, Turn("user")]:
        blocks = turn.blocks
        if turn.role == "user" and answered:
            blocks = [*_results(answered, family), *turn.points[-1:], *blocks]
        answered = turn.calls
        if not blocks:
            continue
        if paired and paired[-1]["role"] == turn.role:
            paired[-1]["content"] += blocks
        else:
            paired.append({"role": turn.role, "content": blocks})
    return paired


class Pairing:
    """The calls of a conversation so far, and which of them have no result."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` of the tools whose calls stay what they are."""
        self._names = names
        self._open: dict[str, list[deque[Call]]] = {}  # by id, and then by turn
        self._latest: dict[str, Call] = {}  # by id
        self._recent: deque[Call] = deque()  # of the last turn that called anything

    def read(self, turn: JsonObject) -> Turn:
        kept = Turn(turn["role"])
        calls: list[Call] = []
        uses: list[JsonObject] = []  # Bedrock refuses text after them
        target = kept.blocks
        for block in turn["content"]:
            if "toolUse" in block:
                call = Call(block["toolUse"], block["toolUse"]["name"] not in self._names)
                calls.append(call)
                target = kept.blocks if call.is_text else uses
                target.append(_call_text(call) if call.is_text else block)
            elif "toolResult" in block:
                text = self._answer(block["toolResult"])
                target = kept.blocks if text else kept.points
                kept.blocks += text
            else:
                target = target if "cachePoint" in block else kept.blocks
                target.append(block)
        kept.blocks += uses
        kept.calls = [call for call in calls if not call.is_text]
        self._expect(calls)
        return kept

    def _expect(self, calls: Sequence[Call]) -> None:
        groups: dict[str, deque[Call]] = {}
        for call in calls:
            groups.setdefault(call.use["toolUseId"], deque()).append(call)
        for call_id, group in groups.items():
            self._open.setdefault(call_id, []).append(group)
            self._latest[call_id] = group[-1]
        if calls:
            self._recent = deque(calls)

    def _answer(self, result: JsonObject) -> list[JsonObject]:
        """What is to be told as text of a result: nothing, if it belongs to a call that is not."""
        call = self._call_of(result["toolUseId"])
        if call is None:
            label = result.get("name") or result["toolUseId"]
            return _result_text(f"the tool {label}" if label else "a tool", result["content"])
        if call.is_text:
            call.content = []
            return _result_text(f"the tool {call.use['name']}", result["content"])
        call.content = call.content or []
        call.content += result["content"]
        return []

    def _call_of(self, call_id: str) -> Call | None:
        for known_id in (call_id, "") if call_id not in self._latest else (call_id,):
            if groups := self._open.get(known_id):
                call = groups[-1].popleft()
                if not groups[-1]:
                    groups.pop()
                return call
        while not call_id and self._recent and self._recent[0].content is not None:
            self._recent.popleft()
        return self._latest.get(call_id) if call_id else next(iter(self._recent), None)


def _set_ids(calls: Sequence[Call], names: Mapping[str, str], family: Family) -> None:
    """Ids and names as Bedrock takes them, in place; an id that is there again becomes another."""
    takes = family.call_ids.fullmatch
    taken = {call.use["toolUseId"] for call in calls if takes(call.use["toolUseId"])}
    counts: dict[str, int] = {}
    for call in calls:
        call_id = call.use["toolUseId"]
        counts[call_id] = count = counts.get(call_id, 0) + 1
        if count > 1 or call_id not in taken:
            call.use["toolUseId"] = alias_of(f"{call_id or 'call'} {count}" if count > 1 else call_id or "call", taken)
            taken.add(call.use["toolUseId"])
        call.use["name"] = names[call.use["name"]]


def _results(calls: Sequence[Call], family: Family) -> list[JsonObject]:
    """The results in the order of their calls, and then what a result of this model cannot hold."""
    results: list[JsonObject] = []
    others: list[JsonObject] = []
    for call in calls:
        content = [{"text": NO_RESULT}] if call.content is None else call.content or [{"text": NO_OUTPUT}]
        inside = [block for block in content if not family.in_results.isdisjoint(block)]
        outside = [block for block in content if family.in_results.isdisjoint(block)]
        if outside:
            inside = inside or [{"text": "(see below)"}]
            others += [{"text": f"[From the result of the tool {call.use['name']}]"}, *outside]
        inside = _as_json(inside) if family.json_results else inside
        results.append({"toolResult": {"toolUseId": call.use["toolUseId"], "content": inside}})
    return [*results, *others]


def _as_json(content: Sequence[JsonObject]) -> list[JsonObject]:
    """The texts as one object: the one that they are, if they are one."""
    text = "\n".join(block["text"] for block in content if "text" in block)
    others = [block for block in content if "text" not in block]
    if not text:
        return others
    try:
        value = read_json(text)
    except ValueError:
        value = None
    return [{"json": value if isinstance(value, dict) else {"result": text}}, *others]


def _call_text(call: Call) -> JsonObject:
    arguments = json.dumps(call.use["input"], ensure_ascii=False)
    return {"text": f"[Called the tool {call.use['name']} with {arguments}]"}


def _result_text(source: str, content: Sequence[JsonObject]) -> list[JsonObject]:
    return [{"text": f"[Result of {source}]"}, *(content or [{"text": NO_OUTPUT}])]
