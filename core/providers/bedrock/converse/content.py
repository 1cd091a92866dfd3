"""OpenAI's content parts as Converse's content blocks. Pure.

Sources: https://platform.openai.com/docs/api-reference/chat/create,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html.
"""

from base64 import b64decode
import binascii
from collections.abc import Callable, Collection, Mapping
import re
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.http.fields import invalid_field, object_at, objects_at, text_at

IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
EXTENSIONS: Final = frozenset(DOCUMENTS.values())
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")
MOST_NAME: Final = 180  # characters; Bedrock takes 200, the rest is for what tells equal names apart
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


def bytes_of(data: str, path: str) -> bytes:
    """What a base64 string holds, which is something."""
    try:
        content = b64decode(data, validate=True)
    except (binascii.Error, ValueError) as invalid:
        raise invalid_field(path, "is not base64.") from invalid
    if not content:
        raise invalid_field(path, "is empty.")
    return content


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
    return with_cache_point(PARTS[kind](part, path), part, path)


def _text(part: JsonObject, path: str) -> list[JsonObject]:
    kind = part["type"]  # which names the field too
    if not isinstance(part.get(kind), str):
        raise invalid_field(f"{path}.{kind}", "must be a string.")
    return text_blocks(part[kind])


def _image(part: JsonObject, path: str) -> list[JsonObject]:
    image_path = f"{path}.image_url"
    image = object_at(part.get("image_url"), image_path)
    media_type, content = _data_url(image.get("url"), f"{image_path}.url")
    if media_type not in IMAGES:
        raise invalid_field(f"{image_path}.url", "must be a PNG, JPEG, GIF or WebP image.")
    return [{"image": {"format": IMAGES[media_type], "source": {"bytes": content}}}]


def _document(part: JsonObject, path: str) -> list[JsonObject]:
    file_path = f"{path}.file"
    file = object_at(part.get("file"), file_path)
    if file.get("file_id") is not None:
        raise invalid_field(
            f"{file_path}.file_id", "uploaded files cannot be used here; send the content as file_data."
        )
    media_type, content = _data_url(file.get("file_data"), f"{file_path}.file_data")
    filename = text_at(file["filename"], f"{file_path}.filename") if file.get("filename") else ""
    stem, _, extension = filename.rpartition(".")
    has_extension = extension.lower() in EXTENSIONS
    kind = DOCUMENTS.get(media_type, extension.lower() if has_extension else None)
    if kind is None:
        raise invalid_field(
            f"{file_path}.file_data", f"must be a document of one of these kinds: {', '.join(sorted(EXTENSIONS))}."
        )
    name = NOT_IN_NAMES.sub(" ", stem if has_extension else filename).strip()[:MOST_NAME].strip() or "document"
    return [{"document": {"format": kind, "name": name, "source": {"bytes": content}}}]


def _data_url(url: Any, path: str) -> tuple[str, bytes]:  # noqa: ANN401 - whatever a caller sent
    url = text_at(url, path)
    if url[:8].lower().startswith(("http://", "https://")):
        raise invalid_field(path, "is a remote URL, which is not fetched here; send the content as a data: URL.")
    head, _, data = url.partition(",")
    scheme, _, media_type = head.partition(":")
    if scheme.lower() != "data" or not media_type.lower().endswith(";base64"):
        raise invalid_field(path, "must be a data: URL whose content is base64.")
    return media_type.partition(";")[0].strip().lower(), bytes_of(data, path)


PARTS: Final[Mapping[str, Callable[[JsonObject, str], list[JsonObject]]]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "file": _document,
}
