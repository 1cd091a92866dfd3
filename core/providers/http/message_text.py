"""The text of messages whose content is OpenAI's or 0.2's: a string, or parts of which some are text."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from core.apis.safety import INPUT, OUTPUT
from core.errors import InvalidRequest
from core.frame.types import JsonObject


def source_of(messages: Sequence[Mapping[str, Any]], params: JsonObject) -> str:
    """What is judged: INPUT, all of them, or OUTPUT, the last. What `params` say, or OUTPUT for an assistant's last word."""
    source = params.get("source")
    if source is None:
        return OUTPUT if messages and messages[-1].get("role") == "assistant" else INPUT
    if source not in (INPUT, OUTPUT):
        raise InvalidRequest(f"params.source: must be {INPUT} or {OUTPUT}.", param="params.source")
    return str(source)


def transcript(messages: Sequence[Mapping[str, Any]], image: str | None = None) -> str:
    """All of them as one text, for a guard that judges one message; what an assistant said is marked, where others speak too.

    Raises:
        InvalidRequest: as `plain_text`, or there is nothing.
    """
    if not messages:
        raise InvalidRequest("There is no message to judge.", param="messages")
    texts = [(speaker_of(message), plain_text(message.get("content"), image)) for message in messages]
    if len(texts) == 1:
        return texts[0][1]
    marks = {"assistant": "[assistant] ", "user": ""}
    return "\n\n".join(f"{marks[speaker]}{text}" for speaker, text in texts if text)


def speaker_of(message: Mapping[str, Any]) -> str:
    """`assistant`, or `user` for whoever else speaks. Raises InvalidRequest for a message without a role."""
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidRequest("Each message must have a role.", param="messages")
    return "assistant" if role == "assistant" else "user"


def plain_text(content: object, image: str | None = None) -> str:
    """All of its texts, with a blank between them; `image` stands for each image.

    Raises:
        InvalidRequest: there is something else, or an image and nothing that stands for it.
    """
    if not isinstance(content, list):
        return _part(content, image)
    return " ".join(_part(part, image) for part in cast("list[object]", content))


def images_of(messages: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
    """OpenAI's image parts."""
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in cast("list[object]", content)]
    return [cast("JsonObject", part) for part in parts if _is_image(part)]


def _part(part: object, image: str | None) -> str:
    match part:
        case str(text) | {"type": "text", "text": str(text)}:
            return text
        case {"type": "image_url"} if image is not None:
            return image
        case None:
            return ""
        case _:
            raise InvalidRequest("A message has content that a shield cannot judge.", param="messages")


def _is_image(part: object) -> bool:
    match part:
        case {"type": "image_url"}:
            return True
        case _:
            return False
