"""Remote images of a chat, over real sockets: what becomes a data URL, what stays as it was, what is refused."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.config.fetch import FetchConfig
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.messages import read_messages
from core.providers.http.fetch import GuardedFetcher
from core.providers.http.inlined_images import AT_ONCE, MOST_BYTES, MOST_IMAGES, with_inlined_images
from tests.contract.fetching import PNG, fetching
from tests.parts.upstream import FakeUpstream, hang, raw, running, status

STARTS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\n\x00\x00\x00WEBPVP8 ",
}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        upstream.replies["/i.png"] = raw(PNG, "image/png")
        yield upstream


@pytest.fixture
async def fetcher(upstream: FakeUpstream) -> AsyncIterator[GuardedFetcher]:
    async with fetching(upstream.url) as fetcher:
        yield fetcher


def image(url: object, **more: object) -> JsonObject:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}, **more}


def chat(*contents: Any, **more: Any) -> ChatRequest:
    messages = [{"role": "user", "content": content} for content in contents]
    return ChatRequest.model_validate({"model": "m", "messages": messages, **more})


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


async def refused(request: ChatRequest, fetcher: GuardedFetcher) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        await with_inlined_images(request, fetcher)
    return refusal.value


async def test_a_remote_image_becomes_a_data_url_and_all_else_stays(
    upstream: FakeUpstream, fetcher: GuardedFetcher
) -> None:
    url, text, there = upstream.url + "/i.png", {"type": "text", "text": "What?"}, image(data_url("image/gif", b"x"))
    mark = {"cache_control": {"type": "ephemeral"}}
    request = chat("Hi", [text, image(url, **mark), there], seed=3, stream=True)
    inlined = await with_inlined_images(request, fetcher)
    png = data_url("image/png", PNG)
    assert inlined == chat("Hi", [text, image(png, **mark), there], seed=3, stream=True)
    assert inlined.model_dump(exclude_unset=True) == {
        **request.model_dump(exclude_unset=True),
        "messages": inlined.messages,
    }
    assert request.messages[1]["content"][1]["image_url"]["url"] == url
    assert inlined.messages[0] is request.messages[0]


async def test_converse_takes_what_was_inlined(upstream: FakeUpstream, fetcher: GuardedFetcher) -> None:
    remote = upstream.url.replace("http://", "HTTP://") + "/i.png"
    messages: list[JsonObject] = [
        {"role": "user", "content": [image(remote)]},
        {"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "t", "content": [image(remote)]},
    ]
    inlined = await with_inlined_images(ChatRequest(model="m", messages=messages), fetcher)
    _, turns, _ = read_messages(inlined.messages)
    wanted = {"image": {"format": "png", "source": {"bytes": PNG}}}
    assert turns[0]["content"] == [wanted]
    assert turns[2]["content"][0]["toolResult"]["content"] == [wanted]


@pytest.mark.parametrize(
    "content",
    [
        "https://a.test/i.png",
        None,
        7,
        [],
        ["https://a.test/i.png", None, 7, []],
        [{"type": "text", "text": "https://a.test/i.png"}],
        [image(data_url("image/png", PNG))],
        [image(" https://a.test/i.png")],
        [image("ftp://a.test/i.png")],
        [image(None)],
        [{"type": "image_url", "image_url": "https://a.test/i.png"}],
        [{"type": "image_url"}],
        [{"image_url": {"url": "https://a.test/i.png"}}],
    ],
)
async def test_a_request_without_remote_images_is_the_same_object(content: Any) -> None:
    request = chat(content)
    assert await with_inlined_images(request, GuardedFetcher(FetchConfig())) is request


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["image_url", "data:,"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("url"), inner, max_size=3),
    max_leaves=8,
)
parts = st.fixed_dictionaries({"type": json | st.just("image_url"), "image_url": json})


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content"]), json | st.lists(parts)), min_size=1))
async def test_whatever_a_caller_sends_without_remote_images_is_left_to_the_translation(
    messages: list[JsonObject],
) -> None:
    request = ChatRequest(model="m", messages=messages)
    assert await with_inlined_images(request, GuardedFetcher(FetchConfig())) is request


@pytest.mark.parametrize(("media_type", "start"), STARTS.items())
@pytest.mark.parametrize("declared", ["application/octet-stream", "image/jpeg", "text/html"])
async def test_the_media_type_is_that_of_the_bytes(
    upstream: FakeUpstream, fetcher: GuardedFetcher, media_type: str, start: bytes, declared: str
) -> None:
    upstream.replies["/x"] = raw(start + b"rest", declared)
    inlined = await with_inlined_images(chat([image(upstream.url + "/x")]), fetcher)
    assert inlined.messages[0]["content"] == [image(data_url(media_type, start + b"rest"))]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"<svg xmlns='x'/>",
        b'{"secret": 1}',
        b"BM6",
        b"II*\x00",
        b"\x89PNG",
        b" GIF89a",
        b"RIFF....WAVE",
    ],
)
async def test_what_is_no_image_that_models_take_is_refused_whatever_it_is_called(
    upstream: FakeUpstream, fetcher: GuardedFetcher, content: bytes
) -> None:
    upstream.replies["/x"] = raw(content, "image/png")
    refusal = await refused(chat("Hi", ["", image(upstream.url + "/x")]), fetcher)
    assert refusal.param == "messages[1].content[1].image_url.url"
    assert refusal.message == f"{refusal.param}: must be a PNG, JPEG, GIF or WebP image."


async def test_an_image_that_cannot_be_fetched_is_named_by_its_path(
    upstream: FakeUpstream, fetcher: GuardedFetcher
) -> None:
    upstream.replies["/x"] = status(404)
    there, missing = upstream.url + "/i.png", upstream.url + "/x"
    refusal = await refused(chat([image(there)], [image(there), image(missing), image(missing)]), fetcher)
    assert refusal.param == "messages[1].content[1].image_url.url"
    assert refusal.message == f"{refusal.param}: was answered with HTTP status 404."
    closed = GuardedFetcher(FetchConfig())
    assert (await refused(chat([image("http://127.0.0.1/")]), closed)).param == "messages[0].content[0].image_url.url"
    await closed.close()


async def test_one_failure_ends_the_other_fetches(upstream: FakeUpstream, fetcher: GuardedFetcher) -> None:
    asked = asyncio.Event()

    async def hanging(request: web.Request) -> web.StreamResponse:
        asked.set()
        return await hang(request)

    async def failing(_: web.Request) -> web.StreamResponse:
        await asked.wait()
        return web.Response(status=500)

    upstream.replies["/hang"], upstream.replies["/fail"] = hanging, failing
    request = chat([image(upstream.url + "/hang"), image(upstream.url + "/fail")])
    assert "500" in (await refused(request, fetcher)).message
    async with asyncio.timeout(10):
        await upstream.cancelled.wait()


async def test_the_same_url_is_fetched_once(upstream: FakeUpstream, fetcher: GuardedFetcher) -> None:
    parts = [image(upstream.url + "/i.png")] * 2
    inlined = await with_inlined_images(chat(parts, parts), fetcher)
    assert [message["content"] for message in inlined.messages] == [[image(data_url("image/png", PNG))] * 2] * 2
    assert len(upstream.seen) == 1


async def test_images_are_fetched_a_few_at_once(upstream: FakeUpstream, fetcher: GuardedFetcher) -> None:
    waiting, most, full = 0, 0, asyncio.Event()

    async def reply(_: web.Request) -> web.StreamResponse:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if waiting == AT_ONCE:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)  # for more to come, if they do
        waiting -= 1
        return web.Response(body=PNG)

    urls = [f"{upstream.url}/{number}" for number in range(3 * AT_ONCE)]
    upstream.replies |= {f"/{number}": reply for number in range(3 * AT_ONCE)}
    async with asyncio.timeout(30):
        await with_inlined_images(chat([image(url) for url in urls]), fetcher)
    assert most == AT_ONCE


@pytest.mark.parametrize("different", [False, True])
async def test_no_more_images_than_the_bound_are_fetched(
    upstream: FakeUpstream, fetcher: GuardedFetcher, *, different: bool
) -> None:
    upstream.replies |= {f"/{number}": raw(PNG) for number in range(MOST_IMAGES + 1)}
    parts = [image(f"{upstream.url}/{number if different else 0}") for number in range(MOST_IMAGES + 1)]
    assert "more than 20 remote images" in (await refused(chat(*([part] for part in parts)), fetcher)).message
    assert not upstream.seen
    await with_inlined_images(chat(parts[1:]), fetcher)


async def test_images_together_are_bounded_as_often_as_they_are_shown(upstream: FakeUpstream) -> None:
    size = MOST_BYTES // 4
    for number in range(5):
        upstream.replies[f"/{number}"] = raw(PNG + bytes(size - len(PNG)))
    async with fetching(upstream.url, max_bytes=size) as fetcher:
        parts = [image(f"{upstream.url}/{number}") for number in range(5)]
        await with_inlined_images(chat(parts[:4]), fetcher)
        for shown in (parts, parts[:1] * 5):
            refusal = await refused(chat(shown), fetcher)
            assert (refusal.param, "20971520 bytes together" in refusal.message) == ("messages", True)
