"""OpenAI's answers, as far as clients can rely on them: what a provider adds is handed on.

Source: https://platform.openai.com/docs/api-reference.
"""

from typing import Any, Literal, NotRequired, TypedDict

from core.apis.inference import ModelType


class Usage(TypedDict):
    """In tokens."""

    prompt_tokens: int
    completion_tokens: NotRequired[int]
    total_tokens: int


class ToolCallFunction(TypedDict):
    """`arguments` is JSON as the model wrote it."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: ToolCallFunction


class AssistantMessage(TypedDict):
    role: Literal["assistant"]
    content: NotRequired[str | None]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[list[ToolCall] | None]


class ChatChoice(TypedDict):
    index: int
    message: AssistantMessage
    finish_reason: str | None
    logprobs: NotRequired[dict[str, Any] | None]


class ChatCompletion(TypedDict):
    """`model` is the id that the caller used, `created` in Unix seconds."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: NotRequired[Usage | None]


class ChunkChoice(TypedDict):
    """`delta` is what is new of the message."""

    index: int
    delta: dict[str, Any]
    finish_reason: NotRequired[str | None]
    logprobs: NotRequired[dict[str, Any] | None]


class ChatCompletionChunk(TypedDict):
    """`choices` is empty in the chunk that has the usage."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: NotRequired[Usage | None]


class CompletionChoice(TypedDict):
    index: int
    text: str
    finish_reason: NotRequired[str | None]
    logprobs: NotRequired[dict[str, Any] | None]


class Completion(TypedDict):
    """Whole, or a chunk of a stream."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: NotRequired[Usage | None]


class Embedding(TypedDict):
    """`embedding` is base64 of 32-bit floats where the request asked for it."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(TypedDict):
    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: NotRequired[Usage | None]


class Model(TypedDict):
    """A model with the fields of both generations; `created` is in Unix seconds."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["model"]
    owner: NotRequired[str]
    metadata: dict[str, Any]
    model_type: ModelType
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    custom_metadata: dict[str, Any]
