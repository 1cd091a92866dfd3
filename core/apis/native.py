"""The native inference API of Llama Stack 0.2: the same models as `core.apis.inference`, in its own words.

Source: the routes of Llama Stack 0.2.12. Only what the stack reads is typed; fields that it does not
know go on to the provider as they are. Messages and contents are checked where they are translated,
so that an error names the field by its path (`messages[2].content[0].image`).
"""

from typing import Annotated, Any, Final, Literal, Protocol, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from core.apis import bounds
from core.apis.inference import MOST_INPUTS, MOST_PROMPTS, Name
from core.frame.types import JsonObject, JsonStream, Wire

ITEM_SCHEMA: Final[JsonObject] = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
            "required": ["type", "text"],
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "image"},
                "image": {
                    "type": "object",
                    "properties": {
                        "url": {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]},
                        "data": {"type": "string", "contentEncoding": "base64"},
                    },
                },
            },
            "required": ["type", "image"],
        },
    ]
}
CONTENT_SCHEMA: Final[JsonObject] = {
    "anyOf": [{"type": "string"}, ITEM_SCHEMA, {"type": "array", "items": ITEM_SCHEMA}, {"type": "null"}]
}
# A string, an item, or a list of items, mixed as the caller likes.
Content = Annotated[Any, WithJsonSchema(CONTENT_SCHEMA)]
ContentItem = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, ITEM_SCHEMA]})]
Arguments = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})]


class ToolCall(Wire):
    """`arguments` is an object, or its JSON as a string; `arguments_json`, where given, is what counts."""

    call_id: str
    tool_name: Annotated[str, Field(min_length=1)]
    arguments: Arguments
    arguments_json: str | None = None


class Message(Wire):
    """One turn. `context` belongs to a user's, `call_id` to a tool's, `tool_calls` to an assistant's."""

    role: Literal["system", "user", "tool", "assistant"]
    content: Content
    context: Content = None
    call_id: str | None = None
    tool_calls: list[ToolCall] | None = None


class SamplingStrategy(Wire):
    """`temperature` and `top_p` belong to `top_p`, `top_k` to `top_k`."""

    type: Literal["greedy", "top_p", "top_k"]
    temperature: float | None = None
    top_p: float | None = 0.95
    top_k: int | None = None


def _read_max_tokens(value: object) -> object:
    number = bounds.read_whole(value)
    return value if number is None else number


class SamplingParams(Wire):
    """No strategy is the greedy one, as in 0.2. `max_tokens` 0 and `repetition_penalty` 1.0 mean: not set."""

    strategy: SamplingStrategy | None = None
    max_tokens: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_read_max_tokens)] = 0
    repetition_penalty: float | None = 1.0
    stop: list[str] | None = None


class ToolParameter(Wire):
    """`param_type` is Python's name of a type (`int`, `list[str]`) or JSON Schema's (`integer`)."""

    param_type: Annotated[str, Field(max_length=256)]
    description: str | None = None
    required: bool | None = True
    default: Any = None


class ToolDefinition(Wire):
    tool_name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, ToolParameter] | None = None


class ToolConfig(Wire):
    """`tool_choice` is `auto`, `required`, `none` or the name of a tool.

    The other two say how a prompt is written. Here the remote writes it, from its model's own chat
    template, with no default system prompt to append to or replace: both values of each are taken,
    and the caller's system messages are sent as they are.
    """

    tool_choice: Name | None = None
    tool_prompt_format: Literal["json", "function_tag", "python_list"] | None = None
    system_message_behavior: Literal["append", "replace"] | None = None


class ResponseFormat(Wire):
    """`json_schema` is the schema itself. A `grammar` is refused: OpenAI's wire has none."""

    type: Literal["json_schema", "grammar"]
    json_schema: dict[str, Any] | None = None
    bnf: dict[str, Any] | None = None


class LogProbs(Wire):
    """How many alternatives to each token to show, beside the token itself."""

    top_k: Annotated[int, Field(ge=0)] | None = 0


class Generation(Wire):
    """What every request that makes text has."""

    model_id: Name
    sampling_params: SamplingParams | None = None
    response_format: ResponseFormat | None = None
    logprobs: LogProbs | None = None

    @model_validator(mode="after")
    def _normalize(self) -> Self:
        bounds.normalize_bounds(self.__pydantic_extra__)
        return self


class Conversation(Generation):
    """What every chat request has. `tool_choice` is the older spelling of `tool_config.tool_choice`."""

    tools: list[ToolDefinition] | None = None
    tool_choice: Name | None = None
    tool_prompt_format: Literal["json", "function_tag", "python_list"] | None = None
    tool_config: ToolConfig | None = None


class NativeChatRequest(Conversation):
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None


class NativeChatBatchRequest(Conversation):
    messages_batch: Annotated[
        list[Annotated[list[Message], Field(min_length=1)]], Field(min_length=1, max_length=MOST_PROMPTS)
    ]


class NativeCompletionRequest(Generation):
    content: Content
    stream: bool | None = None


class NativeCompletionBatchRequest(Generation):
    content_batch: Annotated[list[Content], Field(min_length=1, max_length=MOST_PROMPTS)]


class NativeEmbeddingsRequest(Wire):
    """What becomes of `text_truncation` and `task_type`, which OpenAI's wire has not, its provider says."""

    model_id: Name
    contents: Annotated[list[ContentItem], Field(min_length=1, max_length=MOST_INPUTS)]
    text_truncation: Literal["none", "start", "end"] | None = None
    output_dimension: Annotated[int, Field(ge=1)] | None = None
    task_type: Literal["query", "document"] | None = None


class NativeInference(Protocol):
    """Answers have 0.2's shapes, which do not name the model. Errors are those of `core.apis.inference.Inference`."""

    async def native_chat_completion(self, request: NativeChatRequest) -> JsonObject:
        """`{metrics, completion_message: {role, content, stop_reason, tool_calls}, logprobs}`."""
        ...

    async def native_stream_chat_completion(self, request: NativeChatRequest) -> JsonStream:
        """`{metrics, event: {event_type, delta, logprobs, stop_reason}}`: one start, progress, one complete."""
        ...

    async def native_completion(self, request: NativeCompletionRequest) -> JsonObject:
        """`{metrics, content, stop_reason, logprobs}`."""
        ...

    async def native_stream_completion(self, request: NativeCompletionRequest) -> JsonStream:
        """`{metrics, delta, stop_reason, logprobs}`; the last has the stop reason and the metrics."""
        ...

    async def native_embeddings(self, request: NativeEmbeddingsRequest) -> JsonObject:
        """`{embeddings: [[...]]}`, in the order of `contents`."""
        ...

    async def native_batch_chat_completion(self, request: NativeChatBatchRequest) -> JsonObject:
        """`{batch: [...]}` of chat completions, in order; one failure fails the batch."""
        ...

    async def native_batch_completion(self, request: NativeCompletionBatchRequest) -> JsonObject:
        """`{batch: [...]}` of completions, in order; one failure fails the batch."""
        ...


def most_tokens(request: Generation) -> int:
    """How many tokens the request lets the model make, over the whole batch; see `core.apis.bounds`."""
    sampling, fields = request.sampling_params, request.model_extra or {}
    own = (sampling.max_tokens if sampling is not None else None) or 0
    # A field beside the sampling goes on to the provider, in the place of the sampling's own.
    return bounds.most_tokens({**fields, "max_tokens": max(own, fields.get("max_tokens") or 0)}, count_batch(request))


def count_batch(request: Generation) -> int:
    """How many conversations or contents it has."""
    if isinstance(request, NativeChatBatchRequest):
        return len(request.messages_batch)
    return len(request.content_batch) if isinstance(request, NativeCompletionBatchRequest) else 1


def count_contents(request: NativeEmbeddingsRequest) -> int:
    return len(request.contents)
