"""Random runs of an agent, as the engine tells of them: what a model says and calls, and what becomes of the calls, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
import json
from typing import Any

from hypothesis import strategies as st

from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnswerEnded,
    ArgumentsDelta,
    Event,
    ItemAdded,
    ItemDone,
    PhaseChanged,
    ReasoningDelta,
    RoundEnded,
    RunEnded,
    Slot,
    TextDelta,
    Usage,
)
from core.services.responses.output import Output

TEXTS = st.lists(st.text(min_size=1, max_size=5), max_size=4)
ARGUMENTS = st.one_of(
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps), st.sampled_from(["", "{no", "[1]"])
)


@dataclass
class CalledTool:
    slot: Slot
    kind: str
    arguments: str
    call_id: str
    is_broken: bool = False


@dataclass
class AgentRun:
    """`events` up to RunEnded; by rounds what was said, and the tools that were called."""

    events: list[Event] = field(default_factory=list[Event])
    texts: list[str] = field(default_factory=list[str])
    calls: list[list[CalledTool]] = field(default_factory=list[list[CalledTool]])
    end: RunEnded = field(default_factory=lambda: RunEnded("completed", Usage()))


@st.composite
def agent_runs(draw: st.DrawFn) -> AgentRun:
    run, output = AgentRun(), Output()
    rounds = draw(st.integers(1, 3))
    for number in range(1, rounds + 1):
        is_last = number == rounds
        run.texts.append(_say(draw, run, output))
        is_broken = is_last and draw(st.booleans())
        kinds = ["mcp_call", "function_call"] if is_last else ["mcp_call"]
        calls = [_write(draw, run, output, kinds) for _ in range(draw(st.integers(0 if is_last else 1, 3)))]
        if is_broken and calls:
            calls[-1].is_broken = True
        run.calls.append(calls)
        for call in calls:
            if call.kind == "function_call" or call.is_broken:
                run.events.append(_done(call, "incomplete" if call.is_broken else "completed"))
        run.events.append(AnswerEnded(number))
        told = {event.slot for event in run.events if isinstance(event, ItemDone)}
        _run_tools(draw, run, [call for call in calls if call.slot not in told])
        run.events.append(RoundEnded(number, (), Usage()))
    run.end = draw(
        st.sampled_from(
            [
                RunEnded("completed", Usage()),
                RunEnded("incomplete", Usage(), "max_output_tokens"),
                RunEnded("failed", Usage(), error={"code": "server_error", "message": "It broke."}),
            ]
        )
    )
    run.events.append(run.end)
    return run


def _say(draw: st.DrawFn, run: AgentRun, output: Output) -> str:
    thinks = draw(st.booleans())
    if thinks:
        slot = output.add({"type": "reasoning"})
        run.events += [ItemAdded(slot, {"type": "reasoning", "id": slot.id}), ReasoningDelta(slot, "Hm.")]
        run.events.append(ItemDone(slot, {"type": "reasoning", "id": slot.id}))
    pieces, is_empty = draw(TEXTS), draw(st.booleans())
    if pieces or is_empty:
        item: JsonObject = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
        slot = output.add(item)
        run.events.append(ItemAdded(slot, item))
        run.events += [TextDelta(slot, piece) for piece in pieces]
        run.events.append(ItemDone(slot, {**item, "status": "completed"}))
    return "".join(pieces)


def _write(draw: st.DrawFn, run: AgentRun, output: Output, kinds: Sequence[str]) -> CalledTool:
    kind, arguments = draw(st.sampled_from(kinds)), draw(ARGUMENTS)
    item = _item(kind, f"call_{output.count}", "")
    slot = output.add(item)
    run.events.append(ItemAdded(slot, dict(item)))
    half = len(arguments) // 2
    run.events += [ArgumentsDelta(slot, piece) for piece in (arguments[:half], arguments[half:]) if piece]
    return CalledTool(slot, kind, arguments, slot.id if kind == "mcp_call" else item["call_id"])


def _run_tools(draw: st.DrawFn, run: AgentRun, calls: Sequence[CalledTool]) -> None:
    """Side by side."""
    tracks: list[list[Event]] = [
        [PhaseChanged(call.slot, "in_progress"), PhaseChanged(call.slot, "completed"), _done(call, "completed")]
        for call in calls
    ]
    while tracks := [track for track in tracks if track]:
        run.events.append(draw(st.sampled_from(tracks)).pop(0))


def _done(call: CalledTool, status: str) -> ItemDone:
    more: dict[str, Any] = {"output": f"of {call.slot.place}", "error": None} if call.kind == "mcp_call" else {}
    item = _item(call.kind, call.call_id, call.arguments) | {"id": call.slot.id, "status": status, **more}
    return ItemDone(call.slot, item)


def _item(kind: str, call_id: str, arguments: str) -> JsonObject:
    call = {"call_id": call_id} if kind == "function_call" else {"server_label": "box", "output": None, "error": None}
    return {"type": kind, "name": "f", "arguments": arguments, "status": "in_progress", **call}
