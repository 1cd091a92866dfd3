"""Responses as a client gets them; times are Unix seconds."""

from typing import Literal, NotRequired, TypedDict

from core.frame.types import JsonObject

type Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class ResponseError(TypedDict):
    """`code` is OpenAI's (server_error, rate_limit_exceeded, ...), or that of an error body."""

    code: str
    message: str


class IncompleteDetails(TypedDict):
    """`reason` is max_output_tokens, content_filter or max_iterations_exceeded."""

    reason: str


class ConversationReference(TypedDict):
    id: str


class InputDetails(TypedDict):
    cached_tokens: int


class OutputDetails(TypedDict):
    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """In tokens, of all rounds."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class Response(TypedDict):
    """`output` has items, each with its `type`. What the request did not say is as OpenAI's defaults are; `tools` have no secrets."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Status
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[JsonObject]
    usage: ResponseUsage | None
    conversation: ConversationReference | None
    previous_response_id: str | None
    prompt: NotRequired[JsonObject]
    instructions: str | None
    tools: list[JsonObject]
    tool_choice: str | JsonObject
    parallel_tool_calls: bool
    max_tool_calls: int | None
    max_output_tokens: int | None
    max_infer_iters: NotRequired[int]
    text: JsonObject
    reasoning: JsonObject | None
    temperature: float
    top_p: float
    top_logprobs: int
    presence_penalty: float
    frequency_penalty: float
    truncation: Literal["auto", "disabled"]
    store: bool
    background: bool
    metadata: dict[str, str]
    service_tier: str
    user: NotRequired[str]
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: NotRequired[str]


class ResponseEvent(TypedDict):
    """`type` is the event's name, and says what else it has; `sequence_number` counts from 0 without a gap.

    Events of the response have it as `response`; of an item they have `output_index`, and `item` or `item_id`; of a part of an item `content_index` or
    `summary_index` too.
    """

    type: str
    sequence_number: int
    response: NotRequired[Response]
    response_id: NotRequired[str]
    output_index: NotRequired[int]
    item: NotRequired[JsonObject]
    item_id: NotRequired[str]
    content_index: NotRequired[int]
    summary_index: NotRequired[int]
    part: NotRequired[JsonObject]
    delta: NotRequired[str]


class ItemList(TypedDict):
    """A page."""

    object: Literal["list"]
    data: list[JsonObject]
    first_id: str
    last_id: str
    has_more: bool


class ResponseList(TypedDict):
    """A page; each has its `input` too."""

    object: Literal["list"]
    data: list[Response]
    first_id: str
    last_id: str
    has_more: bool


class ResponseDeleted(TypedDict):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class CompactedResponse(TypedDict):
    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[JsonObject]
    usage: JsonObject


class InputTokens(TypedDict):
    object: Literal["response.input_tokens"]
    input_tokens: int
