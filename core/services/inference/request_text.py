"""A request as messages that shields judge: what the upstream is sent, but for what is known to be no text. Pure."""

from typing import TYPE_CHECKING, Any, Final

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.frame.types import JsonObject
from core.platform.json_outline import outline
from core.platform.json_values import is_list, is_object, to_object

if TYPE_CHECKING:
    from core.apis.rerank import RerankRequest

type ModelRequest = ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest

NO_TEXT: Final = frozenset({"model", "stream", "stream_options", "user", "stop_token_ids", "allowed_token_ids"})
"""Fields that no model reads, whatever is in them. Numbers and booleans are none either."""
SETTINGS: Final = frozenset(
    {"auto", "base64", "default", "flex", "float", "high", "low", "medium", "minimal", "none", "priority", "required"}
)
"""Values of `tool_choice`, `reasoning_effort`, `encoding_format` and their like."""
UNREADABLE: Final = frozenset(
    {"chat_template", "image_data", "images", "input_embeds", "input_ids", "multi_modal_data", "prompt_embeds"}
)
"""Fields of vLLM, SGLang and llama.cpp whose text is not what the model reads: it is what a program or a tokenizer makes of it."""


def to_messages(request: ModelRequest) -> list[JsonObject]:
    """The request's messages, or its prompt or input as one, and then its other fields as a user's message."""
    fields = {name: value for name, value in (request.model_extra or {}).items() if name not in NO_TEXT}
    messages = conversation_of(request)
    if _is_messages(fields.get("messages")):  # vLLM embeds conversations too
        messages += fields.pop("messages")
    parts = _field_parts(fields)
    return [*messages, _user(parts)] if parts else messages


def conversation_of(request: ModelRequest) -> list[JsonObject]:
    """The messages, or what stands in their place as a user's one."""
    match request:
        case ChatRequest():
            return list(request.messages)
        case CompletionRequest():
            return [_user(_prompt_parts(request.prompt))]
        case EmbeddingsRequest():
            return [_user(_prompt_parts(request.input))]
        case _:
            return [_user(_prompt_parts([request.query, *request.documents]))]


def field_of(path: str | None, request: ModelRequest) -> str | None:
    """Where the caller wrote what is at `path` in `to_messages(request)`; None for a field that the message names."""
    match request:
        case CompletionRequest():
            return "prompt"
        case EmbeddingsRequest():
            return "input"
        case ChatRequest():
            return None if (path or "").startswith(f"messages[{len(request.messages)}]") else path
        case _:
            return "documents"


def _user(parts: list[JsonObject]) -> JsonObject:
    return {"role": "user", "content": parts}


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _prompt_parts(prompt: str | list[Any]) -> list[JsonObject]:
    """A text, with a line for each of several; tokens, which shields cannot read, are a part of no known type."""
    if isinstance(prompt, str):
        return [_text(prompt)]
    texts = [entry for entry in prompt if not _is_tokens(entry)]
    return [_text(outline(texts)), *([{"type": "tokens"}] if len(texts) < len(prompt) else [])]


def _field_parts(fields: JsonObject) -> list[JsonObject]:
    readable = {name: value for name, value in fields.items() if not _is_setting(value)}
    nested = {name for value in readable.values() for name in to_object(value)}
    unreadable = [name for name in sorted(UNREADABLE) if name in readable or name in nested]
    unreadable += [name for name, value in readable.items() if _is_tokens(value)]
    return [_text(outline(readable)), *({"type": name} for name in unreadable)] if readable else []


def _is_setting(value: object) -> bool:
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and value in SETTINGS)


def _is_tokens(value: object) -> bool:
    """Numbers, or lists of nothing else."""
    return value != [] and all(map(_is_tokens, value)) if is_list(value) else isinstance(value, int | float)


def _is_messages(value: object) -> bool:
    return is_list(value) and all(map(is_object, value))
