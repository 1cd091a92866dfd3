"""Native messages and contents as OpenAI's. Pure; what cannot be said in OpenAI's words is refused by its path."""

from base64 import b64decode
import binascii
from collections.abc import Sequence
import json
from typing import Any, Final, cast

from core.apis.native import Message, ToolCall
from core.errors import InvalidRequest
from core.frame.types import JsonObject

# The formats that OpenAI's image inputs have, by their first bytes. Source:
# https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm.
SIGNATURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def to_openai_messages(messages: Sequence[Message], path: str) -> list[JsonObject]:
    """One OpenAI message per native one, in order.

    Raises:
        InvalidRequest: `param` is the field's path, which begins with `path`.
    """
    return [_message(message, f"{path}[{position}]") for position, message in enumerate(messages)]


def text_of(content: object, path: str) -> str:
    """A content that may hold no image, as one text: its items one after the other, nothing between them.

    Raises:
        InvalidRequest: there is an image, or something that is no content.
    """
    parts = to_openai_content(content, path)
    if isinstance(parts, str):
        return parts
    for position, part in enumerate(parts):
        if part["type"] != "text":
            item_path = f"{path}[{position}]" if isinstance(content, list) else path
            raise InvalidRequest(f"{item_path}: an image cannot be used here, only text.", param=item_path)
    return "".join(part["text"] for part in parts)


def to_openai_content(content: object, path: str) -> str | list[JsonObject]:
    """A string or one text item as a string, all else as OpenAI's content parts."""
    if isinstance(content, list):
        items = cast("list[object]", content)
        return [_part(item, f"{path}[{position}]") for position, item in enumerate(items)] or ""
    part = _part(content, path)
    return str(part["text"]) if part["type"] == "text" else [part]


def _message(message: Message, path: str) -> JsonObject:
    match message.role:
        case "user":
            return {"role": "user", "content": _with_context(message, path)}
        case "tool":
            if message.call_id is None:
                raise InvalidRequest(f"{path}.call_id: is required in a message of a tool.", param=f"{path}.call_id")
            content = to_openai_content(message.content, f"{path}.content")
            return {"role": "tool", "tool_call_id": message.call_id, "content": content}
        case "assistant":
            return _assistant(message, path)
        case "system":
            return {"role": "system", "content": to_openai_content(message.content, f"{path}.content")}


def _assistant(message: Message, path: str) -> JsonObject:
    calls = [_call(call, f"{path}.tool_calls[{n}]") for n, call in enumerate(message.tool_calls or ())]
    if not calls:
        return {"role": "assistant", "content": to_openai_content(message.content, f"{path}.content")}
    content = None if message.content is None else to_openai_content(message.content, f"{path}.content")
    return {"role": "assistant", "content": content or None, "tool_calls": calls}


def _call(call: ToolCall, path: str) -> JsonObject:
    function = {"name": call.tool_name, "arguments": _arguments(call, f"{path}.arguments")}
    return {"id": call.call_id, "type": "function", "function": function}


def _arguments(call: ToolCall, path: str) -> str:
    if call.arguments_json is not None:
        return call.arguments_json
    match call.arguments:
        case str(text):
            return text
        case {}:
            return json.dumps(call.arguments, ensure_ascii=False)
        case _:
            raise InvalidRequest(f"{path}: must be an object or its JSON as a string.", param=path)


def _with_context(message: Message, path: str) -> str | list[JsonObject]:
    """The content, then the context as its last paragraph, as 0.2 writes it into the prompt."""
    content = to_openai_content(message.content, f"{path}.content")
    if message.context is None:
        return content
    context = to_openai_content(message.context, f"{path}.context")
    if isinstance(content, str) and isinstance(context, str):
        return f"{content}\n\n{context}"
    return [*_parts(content), _text("\n\n"), *_parts(context)]


def _parts(content: str | list[JsonObject]) -> list[JsonObject]:
    return [_text(content)] if isinstance(content, str) else content


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _part(item: Any, path: str) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    match item:
        case str(text) | {"type": "text", "text": str(text)}:
            return _text(text)
        case {"type": "image", "image": {}}:
            return {"type": "image_url", "image_url": {"url": _image_url(item["image"], f"{path}.image")}}
        case _:
            shape = "a string, {type: text, text}, or {type: image, image: {url: {uri}} or {data}}"
            raise InvalidRequest(f"{path}: must be {shape}.", param=path)


def _image_url(image: JsonObject, path: str) -> str:
    match image.get("url"), image.get("data"):
        case {"uri": str(uri)}, None if uri:
            return uri
        case None, str(data):
            return _data_url("".join(data.split()), f"{path}.data")
        case _:
            raise InvalidRequest(f"{path}: must have either url.uri or data, a base64 string.", param=path)


def _data_url(data: str, path: str) -> str:
    try:
        image = b64decode(data, validate=True)
    except (binascii.Error, ValueError) as invalid:
        raise InvalidRequest(f"{path}: is not base64.", param=path) from invalid
    media_type = next((name for start, name in SIGNATURES if image.startswith(start)), None)
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        media_type = "image/webp"
    if media_type is None:
        raise InvalidRequest(f"{path}: is not a PNG, JPEG, GIF or WebP image.", param=path)
    return f"data:{media_type};base64,{data}"
