"""Remote images of a chat made part of it, for providers that take bytes only."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
import re
from typing import Any, Final

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.providers.http.fetch import GuardedFetcher
from core.providers.http.fields import wrong

REMOTE: Final = ("http://", "https://")
MOST_IMAGES: Final = 20  # of one request, as often as they are shown; Bedrock takes no more
MOST_BYTES: Final = 20 * 1024 * 1024  # of all of them, as often as they are shown: they are in memory together
AT_ONCE: Final = 4
MEDIA_TYPES: Final = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}


async def with_inlined_images(request: ChatRequest, fetcher: GuardedFetcher) -> ChatRequest:
    """The request with `data:` URLs in the place of remote ones; itself, if it has none.

    Raises:
        InvalidRequest: there are too many, or one cannot be fetched or is no PNG, JPEG, GIF or WebP; `param` is its path.
    """
    found = _remote_images(request.messages)
    if not found:
        return request
    if sum(map(len, found.values())) > MOST_IMAGES:
        raise wrong("messages", f"must not have more than {MOST_IMAGES} images that are remote.")
    inlined = await _fetched(found, fetcher)
    return request.model_copy(update={"messages": [_inlined(message, inlined) for message in request.messages]})


def _remote_images(messages: Sequence[JsonObject]) -> dict[str, list[str]]:
    """The paths at which each URL is."""
    found: dict[str, list[str]] = {}
    for number, message in enumerate(messages):
        for position, part in enumerate(_parts(message)):
            url = _remote_url(part)
            if url:
                found.setdefault(url, []).append(f"messages[{number}].content[{position}].image_url.url")
    return found


async def _fetched(found: Mapping[str, Sequence[str]], fetcher: GuardedFetcher) -> dict[str, str]:
    """Each URL's content as a `data:` URL."""
    left = MOST_BYTES

    async def data_url(url: str, paths: Sequence[str]) -> str:
        nonlocal left
        content = (await fetcher.fetch(url, param=paths[0])).content
        left -= len(content) * len(paths)
        if left < 0:
            raise wrong("messages", f"must not have remote images of more than {MOST_BYTES} bytes together.")
        return f"data:{_media_type(content, paths[0])};base64,{b64encode(content).decode()}"

    jobs = [partial(data_url, url, paths) for url, paths in found.items()]
    return dict(zip(found, await run_all(jobs, at_once=AT_ONCE), strict=True))


def _media_type(content: bytes, path: str) -> str:
    """By what is there: servers of files often do not know, and what is no image must not reach a model as one."""
    for media_type, start in MEDIA_TYPES.items():
        if start.match(content):
            return media_type
    raise wrong(path, "must be a PNG, JPEG, GIF or WebP image.")


def _inlined(message: JsonObject, inlined: Mapping[str, str]) -> JsonObject:
    if not any(map(_remote_url, _parts(message))):
        return message
    return {**message, "content": [_shown(part, inlined) for part in _parts(message)]}


def _shown(part: Any, inlined: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever a caller sent
    url = _remote_url(part)
    return {**part, "image_url": {**part["image_url"], "url": inlined[url]}} if url else part


def _parts(message: JsonObject) -> list[Any]:
    match message.get("content"):
        case [*parts]:
            return parts
        case _:
            return []


def _remote_url(part: Any) -> str:  # noqa: ANN401 - whatever a caller sent
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}} if url[:8].lower().startswith(REMOTE):
            return url
        case _:
            return ""
