"""Content of items as content of chat messages. Pure.

Sources: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/api-reference/chat/create.
Files by their ids are read before (`file_id` becomes `image_url` or `file_data`): what still has none is told as that.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, cast

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

TEXTS: Final = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
"""The member that has the text, by the type of the part."""
NO_IMAGE: Final = "[An image that is not there any more.]"
NO_FILE: Final = "[A file that is not there any more.]"


def to_content(content: object) -> str | list[JsonObject]:
    """A text alone as a string, which every server takes."""
    if isinstance(content, str):
        return content
    parts = [part for part in map(_to_part, _objects(content)) if part is not None]
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str(text)}]:
            return text
        case _:
            return parts


def to_text(content: object) -> str:
    """What an assistant said: the texts and refusals in it, as one."""
    if isinstance(content, str):
        return content
    return "".join(_text_of(part) for part in _objects(content))


class ToolContent(NamedTuple):
    """What a tool message takes, which is text alone, and the media that must follow it in a user's message."""

    text: str
    media: list[JsonObject]


def to_tool_content(output: object) -> ToolContent:
    """`output` is a text, a list of parts of either API, or whatever else a caller sent."""
    if isinstance(output, str):
        return ToolContent(output, [])
    if not is_list(output):
        from json import dumps

        return ToolContent("" if output is None else dumps(output), [])
    content = to_content(cast("object", output))
    if isinstance(content, str):
        return ToolContent(content, [])
    text = "\n".join(part["text"] for part in content if part["type"] == "text")
    return ToolContent(text, [part for part in content if part["type"] != "text"])


def _objects(content: object) -> Iterable[JsonObject]:
    return (part for part in content if is_object(part)) if is_list(content) else ()


def _text_of(part: JsonObject) -> str:
    text: Any = part.get(TEXTS.get(part.get("type", ""), ""))
    return text if isinstance(text, str) else ""


def _to_part(part: JsonObject) -> JsonObject | None:
    """None for what no chat model is told."""
    match part.get("type"):
        case "input_image":
            return _to_image(part)
        case "input_file":
            return _to_file(part)
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case "image_url" | "file":
            return part
        case kind if kind in TEXTS:
            return {"type": "text", "text": _text_of(part)}
        case _:
            return None


def _to_image(part: JsonObject) -> JsonObject:
    if not (url := part.get("image_url")):
        return {"type": "text", "text": NO_IMAGE}
    image = {"url": url}
    if detail := part.get("detail"):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _to_file(part: JsonObject) -> JsonObject:
    if not (data := part.get("file_data")):
        return {"type": "text", "text": NO_FILE}
    file = {"file_data": data}
    if name := part.get("filename"):
        file["filename"] = name
    return {"type": "file", "file": file}
