"""What a tool answered, or how it failed: in its item, and as a model is told of it. Pure.

Texts of tools are strangers' words, which a model reads as the result of a call and as nothing else.
Source of an error's forms: `McpToolCallError` of OpenAI's client.
"""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from core.apis.tools import Block, ToolResult
from core.errors import (
    ApiError,
    AuthUnavailable,
    IdempotencyUnavailable,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    QuotaUnavailable,
    ServerStopping,
    StateUnavailable,
    TooManyStreams,
)
from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.platform.json_values import is_list, is_object, to_object
from core.services.tools.shown import blocks_of, text_of

MOST_TOLD: Final = 100_000  # bytes of what one call tells a model
LEAST_SECRET: Final = 8  # characters of what is looked for in answers, to be masked
MASK: Final = "***"
INVALID_PARAMS: Final = (
    -32602
)  # JSON-RPC's code, as MCP has it for a tool that is not there, and arguments that do not fit
ENDS_RUN: Final = (
    AuthUnavailable,
    IdempotencyUnavailable,
    QuotaExceeded,
    QuotaUnavailable,
    ServerStopping,
    StateUnavailable,
    TooManyStreams,
)
"""What is no tool's fault: a model could do nothing about it."""


def read_arguments(text: str) -> JsonObject:
    """Raises InvalidRequest, whose message is the model's to read."""
    if not text.strip():
        return {}
    try:
        value = read_json(text)
    except ValueError as invalid:
        raise InvalidRequest(
            f"The arguments are no JSON ({invalid}). Call the tool again with a JSON object."
        ) from None
    if not is_object(value):
        raise InvalidRequest("The arguments must be a JSON object. Call the tool again with one.")
    return value


def read_texts(value: object) -> list[str]:
    """Of a string or a list, the strings that are not blank."""
    texts = value if is_list(value) else [value]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def text_of_result(result: ToolResult) -> str:
    """The texts of its blocks, and of what is none, what it is; what is structured where there is no text."""
    text = "\n".join(filter(None, map(text_of, blocks_of(result.content))))
    if not text and result.structured is not None:
        return to_json(result.structured, inf_nan_mode="null").decode()
    return text


def cut(text: str, most: int = MOST_TOLD) -> str:
    """`text`, of at most `most` bytes and a note of what is missing."""
    if len(text) * 4 <= most or len(encoded := text.encode(errors="replace")) <= most:
        return text
    beginning = encoded[:most].decode(errors="ignore")
    return f"{beginning}\n[{len(encoded) - len(beginning.encode()):,} more bytes were cut here. Ask for less, if the tool takes a limit.]"


def mask(text: str, secrets: Sequence[str]) -> str:
    """Without what the caller brought for the tool's server, which may say it back: items are kept. The longest come first."""
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, MASK)
    return text


def error_of_result(text: str) -> JsonObject:
    """Of a tool that itself says that it failed."""
    return {"type": "mcp_tool_execution_error", "content": [Block(type="text", text=text)]}


def error_of(failure: ApiError, secrets: Sequence[str]) -> JsonObject:
    """Of a call that its server did not answer, or refused."""
    message = mask(failure.message, secrets)
    if isinstance(failure, InvalidRequest | NotFound):
        return {"type": "mcp_protocol_error", "code": INVALID_PARAMS, "message": message}
    return {"type": "http_error", "code": failure.status, "message": message}


def tell_error(error: object) -> str:
    """What a model is told of an item's `error`, of whatever form it is: callers send items back as they like."""
    fields = to_object(error)
    content: Sequence[object] = fields["content"] if is_list(fields.get("content")) else ()
    texts = read_texts([to_object(block).get("text") for block in content])
    message = fields.get("message", error)
    return "\n".join(texts or read_texts(message)) or "The tool failed."
