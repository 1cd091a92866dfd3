"""Agents of Llama Stack 0.2, their sessions and turns, as a client gets them. Times are ISO 8601, in UTC."""

from typing import Literal, NotRequired, TypedDict

from core.apis.answers.native import NativeToolCall, StopReason
from core.frame.types import JsonObject

type StepType = Literal["inference", "tool_execution", "shield_call", "memory_retrieval"]
type InterleavedContent = str | JsonObject | list[JsonObject]


class AgentCreated(TypedDict):
    agent_id: str


class Agent(TypedDict):
    """`agent_config` is what was registered, with what it leaves out as it holds."""

    agent_id: str
    agent_config: JsonObject
    created_at: str


class SessionCreated(TypedDict):
    session_id: str


class ToolAnswered(TypedDict):
    """What a tool answered; `metadata` is for programs."""

    call_id: str
    tool_name: str
    content: InterleavedContent
    metadata: NotRequired[JsonObject | None]


type AgentToolCall = NativeToolCall


class AgentMessage(TypedDict):
    role: Literal["assistant"]
    content: InterleavedContent
    stop_reason: StopReason
    tool_calls: list[NativeToolCall]


class Step(TypedDict):
    """What every step has."""

    turn_id: str
    step_id: str
    started_at: NotRequired[str | None]
    completed_at: NotRequired[str | None]


class InferenceStep(Step):
    step_type: Literal["inference"]
    model_response: AgentMessage


class ToolExecutionStep(Step):
    step_type: Literal["tool_execution"]
    tool_calls: list[NativeToolCall]
    tool_responses: list[ToolAnswered]


class ShieldCallStep(Step):
    """`violation` is null where the shields have found none."""

    step_type: Literal["shield_call"]
    violation: NotRequired[JsonObject | None]


class MemoryRetrievalStep(Step):
    step_type: Literal["memory_retrieval"]
    vector_db_ids: str
    inserted_context: InterleavedContent


type AnyStep = InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep


class Turn(TypedDict):
    """`output_message` has `tool_calls` and the stop reason `end_of_message` where client tools are awaited."""

    turn_id: str
    session_id: str
    input_messages: list[JsonObject]
    steps: list[AnyStep]
    output_message: AgentMessage
    output_attachments: list[JsonObject] | None
    started_at: str
    completed_at: str | None


class Session(TypedDict):
    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: str


class StepFound(TypedDict):
    step: AnyStep


class Part(TypedDict):
    """A part of a list; `url` is the path of its route."""

    data: list[JsonObject]
    has_more: bool
    url: str


class StepStart(TypedDict):
    event_type: Literal["step_start"]
    step_type: StepType
    step_id: str
    metadata: NotRequired[JsonObject | None]


class StepProgress(TypedDict):
    """`delta` is `{type: text, text}` or `{type: tool_call, tool_call, parse_status}`."""

    event_type: Literal["step_progress"]
    step_type: StepType
    step_id: str
    delta: JsonObject


class StepComplete(TypedDict):
    event_type: Literal["step_complete"]
    step_type: StepType
    step_id: str
    step_details: AnyStep


class TurnEnded(TypedDict):
    """The last event; with `turn_awaiting_input` the turn is to be resumed."""

    event_type: Literal["turn_complete", "turn_awaiting_input"]
    turn: Turn


class TurnEvent(TypedDict):
    payload: StepStart | StepProgress | StepComplete | TurnEnded


class TurnChunk(TypedDict):
    event: TurnEvent


type Nothing = None
"""The answer to a deletion: null."""
