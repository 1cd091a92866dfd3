"""How many tokens a model is told, by the estimate that chunks are measured by: of messages as the engine tells them, and of tools. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import to_json

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object
from core.services.responses.contract import Item
from core.services.responses.engine.messages import Dialogue
from core.services.vector_stores.ingest.tokens import estimate_tokens

MESSAGE: Final = 4
"""Tokens around each message, and before the answer."""
IMAGE: Final = 1000
FILE: Final = 2000
"""Of what is no text, whatever its size: models count an image by its pixels and a file by its pages, which nobody has read here."""


def tell(instructions: str | None, items: Sequence[Item]) -> list[JsonObject]:
    """The messages that a model is told of these, as the engine tells them; an output that answers no call is left out."""
    dialogue = Dialogue(instructions)
    dialogue.add_items(items, kept=len(items))
    return dialogue.messages


def estimate(messages: Iterable[JsonObject], definitions: Sequence[JsonObject] = ()) -> int:
    """Tokens of messages, with the `definitions` of tools as chat completions have them."""
    tools = estimate_tokens(to_json(definitions).decode()) if definitions else 0
    return MESSAGE + tools + sum(MESSAGE + _of_message(message) for message in messages)


def _of_message(message: JsonObject) -> int:
    calls: Any = message.get("tool_calls") or ()
    functions = [call["function"] for call in calls]
    return _of_content(message.get("content")) + sum(
        estimate_tokens(function["name"]) + estimate_tokens(function["arguments"]) + MESSAGE for function in functions
    )


def _of_content(content: object) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    if not is_list(content):
        return 0
    parts: list[Any] = content
    return sum([_of_part(part) for part in parts if is_object(part)])


def _of_part(part: JsonObject) -> int:
    match part:
        case {"type": "text", "text": str(text)}:
            return estimate_tokens(text)
        case {"type": "image_url"}:
            return IMAGE
        case _:
            return FILE
