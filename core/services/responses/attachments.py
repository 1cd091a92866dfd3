"""Images and files that an item only names, read for the model: what is kept of the item goes on to name them.

Chat models take images, and some of them PDFs; of any other file they are told the text.
"""

import asyncio
from base64 import b64decode, b64encode
import binascii
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
import io
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.json_values import is_list, is_object
from core.services.responses.contract import Item

if TYPE_CHECKING:
    from core.apis.files import Files
    from core.apis.rag import Fetched

AT_ONCE: Final = 4
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of all that is read for one response: it is in memory together."""
MOST_TEXT: Final = 2_000_000  # characters of one file
MOST_SECONDS: Final = 20.0  # for the text of one file
HOLDERS: Final = {"message": "content", "function_call_output": "output", "custom_tool_call_output": "output"}
"""The member that has content parts, by the type of the item."""
PDF: Final = b"%PDF-"
IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
"""How the bytes of an image begin."""
NO_IMAGE: Final = "is no image that models take: PNG, JPEG, GIF and WebP are."
NO_FILES: Final = "This stack keeps no files: send the content itself, as a data URL in `image_url` or `file_data`."
TOO_LARGE: Final = f"The images and files of a response have at most {MOST_BYTES // 1024**2} MB together."
NO_BASE64: Final = "must be base64, or a data URL with base64 in it."

type Fetch = Callable[[str, str], "Awaitable[Fetched]"]
"""From a URL, and the path of the field that has it, to what is there."""


class _Place(NamedTuple):
    item: int
    holder: str
    part: int


class Attachments:
    """Of one response. `files` gives None where the stack keeps none."""

    def __init__(self, files: "Callable[[], Files | None]", fetch: Fetch) -> None:
        self._files = files
        self._fetch = fetch
        self._read = 0  # bytes

    async def read(self, items: Sequence[Item], kept: int) -> Sequence[Item]:
        """The items as a model is told them; the first `kept` are from before: what they name, and is gone, stays a name.

        Raises:
            NotFound: there is no such file, or the caller may not read it.
            InvalidRequest: it cannot be told to a model, or fetched, or is too large.
        """
        places = _places(items)
        if not places:
            return items
        copies = [*items]
        parts = await run_all([partial(self._read_at, items, place, kept) for place in places], at_once=AT_ONCE)
        for place, part in zip(places, parts, strict=True):
            item = copies[place.item]
            if item is items[place.item]:
                item = copies[place.item] = {**item, place.holder: [*item[place.holder]]}
            item[place.holder][place.part] = part
        return copies

    async def _read_at(self, items: Sequence[Item], place: _Place, kept: int) -> JsonObject:
        part: JsonObject = items[place.item][place.holder][place.part]
        is_new = place.item >= kept
        path = f"input[{place.item - kept}].{place.holder}[{place.part}]" if is_new else "input"
        try:
            return await self._read_part(part, path)
        except (NotFound, InvalidRequest) as failure:
            if not is_new:
                return part
            if failure.param is None or not failure.param.startswith(path):
                failure.param = path
            raise

    async def _read_part(self, part: JsonObject, path: str) -> JsonObject:
        if (file_id := part.get("file_id")) is not None:
            name, content = await self._open(file_id, f"{path}.file_id")
        elif (url := part.get("file_url")) is not None:
            fetched = await self._fetch(url, f"{path}.file_url")
            name, content = unquote(urlsplit(str(url)).path.rpartition("/")[2]), fetched.content
            self._count(len(content), f"{path}.file_url")
        else:
            name, content = "", await asyncio.to_thread(_decode, part["file_data"], f"{path}.file_data")
        if part["type"] == "input_image":
            return {**_without(part), "image_url": await asyncio.to_thread(_image_url, content, path)}
        return await asyncio.to_thread(_tell_file, part, str(part.get("filename") or name or "file"), content, path)

    async def _open(self, file_id: str, path: str) -> tuple[str, bytes]:
        files = self._files()
        if files is None:
            raise InvalidRequest(NO_FILES, param=path)
        try:
            file = await files.open(file_id)
        except ApiError as failure:
            failure.param = path
            raise
        self._count(file.content.size, path)
        return file.filename, b"".join([block async for block in file.content.read(0, file.content.size)])

    def _count(self, size: int, path: str) -> None:
        self._read += size
        if self._read > MOST_BYTES:
            raise InvalidRequest(TOO_LARGE, param=path)


def _places(items: Sequence[Item]) -> list[_Place]:
    """Where something is named, or is there in a form that no model takes; of other items no model is told, and nobody has looked at their parts."""
    places: list[_Place] = []
    for number, item in enumerate(items):
        holder = HOLDERS.get(item.get("type") or "message")
        parts = None if holder is None else item.get(holder)
        if holder is not None and is_list(parts):
            places += [_Place(number, holder, at) for at, part in enumerate(parts) if is_object(part) and _names(part)]
    return places


def _names(part: JsonObject) -> bool:
    match part.get("type"):
        case "input_image":
            return not part.get("image_url") and isinstance(part.get("file_id"), str)
        case "input_file":
            return any(isinstance(part.get(name), str) for name in ("file_id", "file_url", "file_data"))
        case _:
            return False


def _without(part: JsonObject) -> JsonObject:
    return {name: value for name, value in part.items() if name not in ("file_id", "file_url")}


def _decode(data: str, path: str) -> bytes:
    """Of a data URL, or of base64 alone."""
    head, comma, content = data.partition(",")
    try:
        return b64decode(content if comma and head[:5].lower() == "data:" else data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{path}: {NO_BASE64}", param=path) from None


def _image_url(content: bytes, path: str) -> str:
    media_type = _image_type(content)
    if not media_type:
        raise InvalidRequest(f"{path}: {NO_IMAGE}", param=path)
    return _data_url(media_type, content)


def _image_type(content: bytes) -> str:
    return next((kind for start, kind in IMAGES.items() if content.startswith(start)), "")


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def _tell_file(part: JsonObject, name: str, content: bytes, path: str) -> JsonObject:
    """As the part that a model takes; it blocks."""
    if PDF in content[:1024]:  # as what reads texts finds them, which in a function of responses reads no PDFs
        return {**_without(part), "filename": name, "file_data": _data_url("application/pdf", content)}
    if media_type := _image_type(content):
        return {"type": "input_image", "image_url": _data_url(media_type, content)}
    from core.services.vector_stores.ingest.extract import extract_text
    from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable

    limits = ExtractLimits(text=MOST_TEXT, seconds=MOST_SECONDS)
    try:
        text = "".join(extract_text(io.BytesIO(content), name, "", limits))
    except Unreadable as unreadable:
        raise InvalidRequest(f"{path}: {unreadable.message}", param=path) from None
    return {"type": "input_text", "text": f"File `{name}`:\n\n{text}"}
