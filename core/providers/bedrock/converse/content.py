"""OpenAI's content parts as Converse's content blocks. Pure.

Sources: https://platform.openai.com/docs/api-reference/chat/create,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.http.fields import invalid_field, object_at, objects_at

TTLS: Final = frozenset({"5m", "1h"})


def to_blocks(content: Any, path: str, kinds: Collection[str]) -> list[JsonObject]:  # noqa: ANN401 - as it was sent
    """A string or parts of these kinds, in order; blank texts are left out, since Bedrock refuses them.

    A part's `cache_control` becomes a `cachePoint` after its block.

    Raises:
        InvalidRequest: something is no such part, or holds a URL to be fetched.
    """
    if isinstance(content, str):
        return text_blocks(content)
    if content is None:
        raise invalid_field(path, "must be a string or a list of parts.")
    return [block for part, part_path in objects_at(content, path) for block in _part(part, part_path, kinds)]


def text_blocks(text: str) -> list[JsonObject]:
    """One block, or none for a blank text."""
    return [{"text": text}] if text.strip() else []


def with_cache_point(blocks: list[JsonObject], holder: JsonObject, path: str) -> list[JsonObject]:
    """The blocks, then a cache point if `holder` has a `cache_control`; nothing stays nothing."""
    control = holder.get("cache_control")
    if control is None or not blocks or "cachePoint" in blocks[-1]:
        return blocks
    control_path = f"{path}.cache_control"
    match object_at(control, control_path):
        case {"type": "ephemeral", "ttl": str(ttl)} if ttl in TTLS:
            return [*blocks, {"cachePoint": {"type": "default", "ttl": ttl}}]
        case {"type": "ephemeral", **rest} if rest.get("ttl") is None:
            return [*blocks, {"cachePoint": {"type": "default"}}]
        case _:
            raise invalid_field(control_path, "must be {type: ephemeral}, with a ttl of 5m or 1h if any.")


def tell_apart(documents: list[JsonObject]) -> None:
    """Number documents of equal names, in place, from the second on: Bedrock refuses duplicate names."""
    names: set[str] = set()
    for document in documents:
        name, number = document["name"], 1
        while document["name"].lower() in names:
            number += 1
            document["name"] = f"{name} ({number})"
        names.add(document["name"].lower())


def _part(part: JsonObject, path: str, kinds: Collection[str]) -> list[JsonObject]:
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        raise invalid_field(f"{path}.type", f"must be one of: {', '.join(sorted(kinds))}.")
    translate = PARTS.get(kind) or SELDOM_PARTS[kind]
    return with_cache_point(translate(part, path), part, path)


def _text(part: JsonObject, path: str) -> list[JsonObject]:
    kind = part["type"]  # which names the field too
    if not isinstance(part.get(kind), str):
        raise invalid_field(f"{path}.{kind}", "must be a string.")
    return text_blocks(part[kind])


def _image(part: JsonObject, path: str) -> list[JsonObject]:
    from core.providers.bedrock.converse.media import to_image

    return [to_image(part, path)]


def _document(part: JsonObject, path: str) -> list[JsonObject]:
    from core.providers.bedrock.converse.media import to_document

    return [to_document(part, path)]


def _audio(part: JsonObject, path: str) -> list[JsonObject]:
    from core.providers.bedrock.converse.media import to_audio

    return [to_audio(part, path)]


def _video(part: JsonObject, path: str) -> list[JsonObject]:
    from core.providers.bedrock.converse.media import to_video

    return [to_video(part, path)]


PARTS: Final[Mapping[str, Callable[[JsonObject, str], list[JsonObject]]]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "file": _document,
}
# What few models take: a part is refused where its kind is not asked for.
SELDOM_PARTS: Final[Mapping[str, Callable[[JsonObject, str], list[JsonObject]]]] = {
    "input_audio": _audio,
    "video_url": _video,
}
