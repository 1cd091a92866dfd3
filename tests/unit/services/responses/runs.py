"""Random runs, as an engine would tell of them: items of every kind, each in the pieces that it may come in, some of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnnotationAdded,
    AnswerEnded,
    ArgumentsDelta,
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    PhaseChanged,
    ReasoningDelta,
    RefusalDelta,
    RoundEnded,
    Run,
    RunEnded,
    SummaryDelta,
    TextDelta,
    Usage,
)
from core.services.responses.output import Output

PIECES = st.lists(st.text(min_size=1, max_size=6), max_size=9)
CALLS = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}


@dataclass
class Piece:
    """An item that a run brings: its events in their order are those of `deltas`, and its last one has `whole`."""

    added: Item
    whole: Item
    deltas: Sequence[tuple[type, dict[str, Any]]]


def _text_part(pieces: Sequence[str], cites: bool) -> tuple[JsonObject, list[tuple[type, dict[str, Any]]]]:  # noqa: FBT001
    text = "".join(pieces)
    deltas: list[tuple[type, dict[str, Any]]] = [(TextDelta, {"text": piece}) for piece in pieces]
    citation = {"type": "file_citation", "file_id": "file-1", "filename": "a.md", "index": len(text)}
    annotations = [citation] if cites and pieces else []
    deltas += [(AnnotationAdded, {"annotation": annotation}) for annotation in annotations]
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}, deltas


@st.composite
def messages(draw: st.DrawFn) -> Piece:
    content: list[JsonObject] = []
    deltas: list[tuple[type, dict[str, Any]]] = []
    if pieces := draw(PIECES):
        part, deltas = _text_part(pieces, draw(st.booleans()))
        content.append(part)
    if refusals := draw(st.one_of(st.just([]), PIECES)):
        content.append({"type": "refusal", "refusal": "".join(refusals)})
        deltas += [(RefusalDelta, {"text": piece}) for piece in refusals]
    if draw(st.booleans()):
        deltas = []  # told only as it is done
    status = draw(st.sampled_from(["completed", "incomplete"]))
    head = {"type": "message", "role": "assistant"}
    added = {**head, "status": "in_progress", "content": []}
    return Piece(added, {**head, "status": status, "content": content}, deltas)


@st.composite
def reasonings(draw: st.DrawFn) -> Piece:
    summaries = draw(st.lists(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=3), max_size=3))
    texts = draw(PIECES)
    deltas: list[tuple[type, dict[str, Any]]] = [
        (SummaryDelta, {"part": place, "text": piece}) for place, pieces in enumerate(summaries) for piece in pieces
    ]
    deltas += [(ReasoningDelta, {"text": piece}) for piece in texts]
    whole = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "".join(pieces)} for pieces in summaries],
        "content": [{"type": "reasoning_text", "text": "".join(texts)}] if texts else [],
    }
    added: JsonObject = {"type": "reasoning", "summary": []}
    return Piece(added, whole, deltas if draw(st.booleans()) else [])


@st.composite
def calls(draw: st.DrawFn) -> Piece:
    kind = draw(st.sampled_from(sorted(CALLS)))
    member, pieces = CALLS[kind], draw(PIECES)
    arguments = "".join(pieces)
    head: JsonObject = {"type": kind, "name": "f"}
    if kind == "mcp_call":
        head |= {"server_label": "s", "output": None, "error": None, "approval_request_id": None}
    else:
        head |= {"call_id": "call_1"}
    is_approved = kind == "mcp_call" and draw(st.booleans())
    deltas: list[tuple[type, dict[str, Any]]] = []
    if not is_approved and draw(st.booleans()):
        deltas = [(ArgumentsDelta, {"text": piece}) for piece in pieces]
    added = {**head, member: "" if deltas or kind != "mcp_call" else arguments, "status": "in_progress"}
    status = "completed"
    if kind == "mcp_call":
        status = draw(st.sampled_from(["completed", "failed"]))
        deltas += [(PhaseChanged, {"phase": "in_progress"}), (PhaseChanged, {"phase": status})]
    return Piece(added, {**head, member: arguments, "status": status}, deltas)


@st.composite
def searches(draw: st.DrawFn) -> Piece:
    kind = draw(st.sampled_from(["file_search_call", "web_search_call"]))
    status = draw(st.sampled_from(["completed", "failed"]))
    deltas = [(PhaseChanged, {"phase": phase}) for phase in ("in_progress", "searching", status)]
    more: JsonObject = {"queries": ["q"], "results": [{"file_id": "file-1", "text": "t"}]}
    if kind == "web_search_call":
        more = {"action": {"type": "search", "query": "q", "sources": [{"type": "url", "url": "http://a"}]}}
    return Piece({"type": kind, "status": "in_progress", **more}, {"type": kind, "status": status, **more}, deltas)


@st.composite
def listings(draw: st.DrawFn) -> Piece:
    error = draw(st.sampled_from([None, "it hangs"]))
    phases = ("in_progress", "failed" if error else "completed")
    head: JsonObject = {"type": "mcp_list_tools", "server_label": "s"}
    whole: JsonObject = {**head, "tools": [] if error else [{"name": "f", "input_schema": {}}], "error": error}
    return Piece({**head, "tools": [], "error": None}, whole, [(PhaseChanged, {"phase": phase}) for phase in phases])


ENDS = st.one_of(
    st.just(RunEnded("completed", Usage(3, 1, 2, 1))),
    st.builds(
        RunEnded, st.just("incomplete"), st.just(Usage(3)), st.sampled_from(["max_output_tokens", "content_filter"])
    ),
    st.just(RunEnded("failed", Usage(), error={"code": "server_error", "message": "It broke."})),
)


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """The events of a whole run; the pieces of one round may come in turns."""
    output, events, usage = Output(), list[Event](), Usage(1, 0, 1)
    for number in range(draw(st.integers(0, 3))):
        kinds = st.one_of(messages(), reasonings(), calls(), searches(), listings())
        pieces = draw(st.lists(kinds, max_size=3))
        tracks = [_track(piece, output) for piece in pieces]
        while tracks:
            track = tracks[draw(st.integers(0, len(tracks) - 1))] if draw(st.booleans()) else tracks[0]
            if track is not tracks[0] and isinstance(track[0], ItemAdded):
                track = next(
                    other for other in tracks if isinstance(other[0], ItemAdded)
                )  # in the order of their places
            events.append(track.pop(0))
            tracks = [track for track in tracks if track]
        items = tuple(event.item for event in events if isinstance(event, ItemDone))
        events += [AnswerEnded(number, usage), RoundEnded(number, items, usage)]
    return [*events, draw(ENDS)]


def _track(piece: Piece, output: Output) -> list[Event]:
    slot = output.add(piece.added)
    call = {"call_id": f"call_{slot.place}"} if "call_id" in piece.added else {}
    piece.added |= call
    deltas = [kind(slot=slot, **members) for kind, members in piece.deltas]
    return [ItemAdded(slot, piece.added), *deltas, ItemDone(slot, {**piece.whole, **call, "id": slot.id})]


@dataclass
class PlayedEngine:
    """An engine that tells what it was given; `closed` counts how often its events were closed before their end, or at it."""

    events: Sequence[Event]
    closed: int = 0
    runs: list[Run] = field(default_factory=list[Run])

    async def run(self, run: Run) -> Events:
        self.runs.append(run)
        try:
            for event in self.events:
                yield event
        finally:
            self.closed += 1
