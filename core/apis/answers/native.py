"""The answers of Llama Stack 0.2's inference API."""

from typing import Literal, TypedDict

type StopReason = Literal["end_of_turn", "end_of_message", "out_of_tokens"]


class Metric(TypedDict):
    metric: str
    value: int
    unit: str


class TokenLogProbs(TypedDict):
    """By token."""

    logprobs_by_token: dict[str, float]


class NativeToolCall(TypedDict):
    """`arguments_json` is null where the model wrote no JSON: `arguments` is then its text."""

    call_id: str
    tool_name: str
    arguments: dict[str, object] | str
    arguments_json: str | None


class CompletionMessage(TypedDict):
    role: Literal["assistant"]
    content: str
    stop_reason: StopReason
    tool_calls: list[NativeToolCall]


class NativeChatCompletion(TypedDict):
    metrics: list[Metric] | None
    completion_message: CompletionMessage
    logprobs: list[TokenLogProbs] | None


class NativeChatEvent(TypedDict):
    event_type: Literal["start", "progress", "complete"]
    delta: dict[str, object]
    logprobs: list[TokenLogProbs] | None
    stop_reason: StopReason | None


class NativeChatChunk(TypedDict):
    metrics: list[Metric] | None
    event: NativeChatEvent


class NativeCompletion(TypedDict):
    metrics: list[Metric] | None
    content: str
    stop_reason: StopReason
    logprobs: list[TokenLogProbs] | None


class NativeCompletionChunk(TypedDict):
    metrics: list[Metric] | None
    delta: str
    stop_reason: StopReason | None
    logprobs: list[TokenLogProbs] | None


class NativeEmbeddings(TypedDict):
    embeddings: list[list[float]]


class NativeChatBatch(TypedDict):
    """In the order of the request."""

    batch: list[NativeChatCompletion]


class NativeCompletionBatch(TypedDict):
    """In the order of the request."""

    batch: list[NativeCompletion]
