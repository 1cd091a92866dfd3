"""Remote images of a chat made part of it, for providers that take bytes only."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.providers.http.fetch import GuardedFetcher
from core.providers.http.fields import invalid_field
from core.providers.http.media_types import image_kind

REMOTE: Final = ("http://", "https://")
MOST_IMAGES: Final = 20  # of one request, as often as they are shown; Bedrock takes no more
MOST_BYTES: Final = 20 * 1024 * 1024  # of all of them, as often as they are shown: they are in memory together
AT_ONCE: Final = 4


async def with_inlined_images(request: ChatRequest, fetcher: GuardedFetcher) -> ChatRequest:
    """The request with `data:` URLs in the place of remote ones; itself, if it has none.

    Raises:
        InvalidRequest: there are too many, or one cannot be fetched or is no PNG, JPEG, GIF or WebP; `param` is its path.
    """
    images = _remote_images(request.messages)
    if not images:
        return request
    if sum(map(len, images.values())) > MOST_IMAGES:
        raise invalid_field("messages", f"must not have more than {MOST_IMAGES} remote images.")
    data_urls = await _fetch_all(images, fetcher)
    return request.model_copy(update={"messages": [_inline(message, data_urls) for message in request.messages]})


def _remote_images(messages: Sequence[JsonObject]) -> dict[str, list[str]]:
    """The paths at which each URL is."""
    images: dict[str, list[str]] = {}
    for number, message in enumerate(messages):
        for position, part in enumerate(_parts(message)):
            url = _remote_url(part)
            if url:
                images.setdefault(url, []).append(f"messages[{number}].content[{position}].image_url.url")
    return images


async def _fetch_all(images: Mapping[str, Sequence[str]], fetcher: GuardedFetcher) -> dict[str, str]:
    """Each URL's content as a `data:` URL."""
    bytes_left = MOST_BYTES

    async def data_url(url: str, paths: Sequence[str]) -> str:
        nonlocal bytes_left
        content = (await fetcher.fetch(url, param=paths[0])).content
        bytes_left -= len(content) * len(paths)
        if bytes_left < 0:
            raise invalid_field("messages", f"must not have remote images of more than {MOST_BYTES} bytes together.")
        return f"data:{_media_type(content, paths[0])};base64,{b64encode(content).decode()}"

    jobs = [partial(data_url, url, paths) for url, paths in images.items()]
    return dict(zip(images, await run_all(jobs, at_once=AT_ONCE), strict=True))


def _media_type(content: bytes, path: str) -> str:
    """By what is there: servers of files often do not know, and what is no image must not reach a model as one."""
    kind = image_kind(content)
    if not kind:
        raise invalid_field(path, "must be a PNG, JPEG, GIF or WebP image.")
    return f"image/{kind}"


def _inline(message: JsonObject, data_urls: Mapping[str, str]) -> JsonObject:
    if not any(map(_remote_url, _parts(message))):
        return message
    return {**message, "content": [_replace_url(part, data_urls) for part in _parts(message)]}


def _replace_url(part: Any, data_urls: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever a caller sent
    url = _remote_url(part)
    return {**part, "image_url": {**part["image_url"], "url": data_urls[url]}} if url else part


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
