"""The steps of a turn and the events that tell of them, as Llama Stack 0.2 has them. Pure.

Source: AgentTurnResponseEvent and Turn of Llama Stack 0.2.12.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from core.apis.safety import Violation
from core.frame.types import JsonObject
from core.services.agents.records import iso
from core.services.inference.native.reply import native_tool_call
from core.services.responses.contract import Item

INFERENCE: Final = "inference"
TOOLS: Final = "tool_execution"
SHIELD: Final = "shield_call"
TOUCHPOINTS: Final = {"INPUT": "user-input", "OUTPUT": "assistant-output"}
"""By what `params.source` of a judgement is."""
END_OF_TURN: Final = "end_of_turn"
END_OF_MESSAGE: Final = "end_of_message"
"""Of an answer that calls tools: 0.2's client runs its own at no other reason."""
OUT_OF_TOKENS: Final = "out_of_tokens"
BUILTIN: Final = "builtin::"
BRAVE: Final = {"web_search": "brave_search"}
"""What 0.2 calls a built-in tool, whoever searches."""
FAILED_CALL: Final = "The tool gave no answer."


@dataclass(slots=True)
class StepHead:
    """A step that has begun, at `started_at` in Unix seconds."""

    turn_id: str
    kind: str
    started_at: float
    id: str = field(default_factory=lambda: str(uuid4()))

    def begin(self, metadata: JsonObject | None = None) -> JsonObject:
        return _event("step_start", self, metadata=metadata or {})

    def progress(self, delta: JsonObject) -> JsonObject:
        return _event("step_progress", self, delta=delta)

    def whole(self, ended_at: float, **details: object) -> JsonObject:
        """The step itself."""
        return {
            "turn_id": self.turn_id,
            "step_id": self.id,
            "step_type": self.kind,
            "started_at": iso(self.started_at),
            "completed_at": iso(ended_at),
            **details,
        }


@dataclass(slots=True)
class Call:
    """A call as the model writes it: `texts` are its arguments; `is_whole` where it could be run."""

    id: str
    name: str
    is_clients: bool
    texts: list[str] = field(default_factory=list[str])
    is_whole: bool = True

    def show(self) -> JsonObject:
        """A ToolCall: its `arguments_json` is null where the model wrote no JSON object."""
        return native_tool_call(self.id, self.name, "".join(self.texts))


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of the shields at one point, `source` (INPUT or OUTPUT), in Unix seconds; `stops` is a violation that ends the turn."""

    source: str
    violation: Violation | None
    started_at: float
    ended_at: float
    stops: bool = False


@dataclass(frozen=True, slots=True)
class TurnHead:
    """What a turn begins with, and the response that is made of it now. A resumed one has `rounds` that the model was asked before; it is asked `most_rounds` times in all."""

    turn_id: str
    response_id: str
    session_id: str
    input_messages: Sequence[JsonObject]
    started_at: str
    rounds: int = 0
    most_rounds: int = 10


@dataclass(slots=True)
class Inference:
    """The answer under way."""

    head: StepHead
    texts: list[str] = field(default_factory=list[str])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    is_whole: bool = True


@dataclass(slots=True)
class ToolRun:
    """A call of the stack's, until it is told: `head` is there once it runs, `item` once it has answered."""

    call: Call
    head: StepHead | None = None
    is_told: bool = False
    item: Item | None = None
    ended_at: float = 0.0


def call_of(slot_id: str, item: Item) -> Call:
    """A call of the stack's has the id of its item."""
    is_clients = item["type"] == "function_call"
    identifier, name = item["call_id"] if is_clients else slot_id, item["name"]
    if not is_clients:
        name = shown_name(item["server_label"], name)
    return Call(str(identifier), name, is_clients, [item["arguments"]] if item.get("arguments") else [])


def shown_name(group: str, tool: str) -> str:
    """What turns call a tool of a group."""
    return BRAVE.get(tool, tool) if group.startswith(BUILTIN) else tool


def complete(step: JsonObject) -> JsonObject:
    """The event of a step that is whole."""
    payload = {"event_type": "step_complete", "step_type": step["step_type"], "step_id": step["step_id"]}
    return {"event": {"payload": {**payload, "step_details": step}}}


def end_turn(turn: JsonObject) -> JsonObject:
    """The last event."""
    kind = "turn_awaiting_input" if is_open(turn) else "turn_complete"
    return {"event": {"payload": {"event_type": kind, "turn": turn}}}


def is_open(turn: JsonObject) -> bool:
    """Whether it awaits what client tools answer."""
    output = turn["output_message"]
    return bool(output["tool_calls"]) and output["stop_reason"] == END_OF_MESSAGE


def text_delta(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def call_delta(call: str | JsonObject, status: str) -> JsonObject:
    """`call` is a piece of the arguments, or the whole call."""
    return {"type": "tool_call", "tool_call": call, "parse_status": status}


def say(content: str, stop_reason: str, calls: Sequence[JsonObject] = ()) -> JsonObject:
    """A CompletionMessage."""
    return {"role": "assistant", "content": content, "stop_reason": stop_reason, "tool_calls": [*calls]}


def _event(kind: str, step: StepHead, **fields: object) -> JsonObject:
    return {"event": {"payload": {"event_type": kind, "step_type": step.kind, "step_id": step.id, **fields}}}
