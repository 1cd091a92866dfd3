"""The guarded fetcher over real sockets: what it sends, what it reads, and how much, for how long."""

import asyncio
from collections.abc import AsyncIterator
import gzip
import socket
from typing import override

from aiohttp import web
from aiohttp.abc import ResolveResult
import pytest

from core.providers.http.fetch import UNREACHABLE
from tests.contract.fetching import PNG, SLOW, Names, at, fetching, refusal, serving, to, writes
from tests.parts.upstream import FakeUpstream, hang, raw, running, status


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        upstream.replies["/i.png"] = raw(PNG, "image/png")
        yield upstream


async def test_what_is_there_is_fetched_with_its_content_type(upstream: FakeUpstream) -> None:
    upstream.replies["/none"] = raw(b"", "text/plain")
    async with fetching(upstream.url) as fetcher:
        fetched = await fetcher.fetch(upstream.url + "/i.png?a=%20b", param="p")
        assert (fetched.content, fetched.content_type) == (PNG, "image/png")
        assert (await fetcher.fetch(upstream.url + "/none", param="p")).content == b""
    assert "PNG" not in repr(fetched)


async def test_nothing_is_sent_but_the_url(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream.replies["/i.png"] = status(302, headers={"location": "/cookie", "set-cookie": "a=b; Path=/"})
    upstream.replies["/cookie"] = raw(PNG)
    async with fetching(upstream.url, Names(a=[["127.0.0.1"]])) as fetcher:
        await fetcher.fetch(at(upstream, "a.test"), param="p")
    assert [seen.path for seen in upstream.seen] == ["/i.png", "/cookie"]
    for seen in upstream.seen:
        assert seen.method == "GET"
        assert set(seen.headers) == {"host", "accept", "accept-encoding", "user-agent"}
        assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("code", [300, 304, 400, 401, 403, 404, 429, 500, 503])
async def test_an_answer_that_is_no_success_is_the_callers_mistake(upstream: FakeUpstream, code: int) -> None:
    upstream.replies["/a"] = status(code, {"secret": "s"})
    async with fetching(upstream.url) as fetcher:
        assert await refusal(fetcher, upstream.url + "/a") == f"was answered with HTTP status {code}."


async def test_the_size_is_bounded_to_the_byte(upstream: FakeUpstream) -> None:
    async with fetching(upstream.url, max_bytes=len(PNG)) as fetcher:
        assert (await fetcher.fetch(upstream.url + "/i.png", param="p")).content == PNG
    async with fetching(upstream.url, max_bytes=len(PNG) - 1) as fetcher:
        assert f"more than {len(PNG) - 1} bytes" in await refusal(fetcher, upstream.url + "/i.png")


async def test_a_length_that_is_too_large_is_refused_before_any_content_came() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n")
        await asyncio.sleep(SLOW)

    async with serving(answer) as (url, _), fetching(url) as fetcher:
        assert "holds more than 5242880 bytes" in await refusal(fetcher, url)


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_endless_body_is_read_no_further_than_the_bound(*, chunked: bool) -> None:
    sent = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"transfer-encoding: chunked\r\n" if chunked else b"") + b"\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n" if chunked else b"x" * 1024)
            await writer.drain()
            sent += 1024

    async with serving(answer) as (url, _), fetching(url, max_bytes=100_000) as fetcher:
        assert "holds more than 100000 bytes" in await refusal(fetcher, url)
    assert sent < 64 * 1024 * 1024  # the rest is what sockets hold


async def test_compressed_content_is_not_unpacked(upstream: FakeUpstream) -> None:
    bomb = gzip.compress(bytes(10_000_000))

    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"content-encoding": "gzip"})

    upstream.replies["/bomb"], upstream.replies["/file.gz"] = reply, raw(bomb, "application/gzip")
    async with fetching(upstream.url, max_bytes=100_000) as fetcher:
        assert "compressed" in await refusal(fetcher, upstream.url + "/bomb")
        assert (await fetcher.fetch(upstream.url + "/file.gz", param="p")).content == bomb


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 103 Early\r\n\r\n"]
)
async def test_a_slow_drip_ends_with_the_time(head: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b"x" if head.endswith(b"200 OK\r\n\r\n") else b"")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(answer) as (url, _), fetching(url, timeout=0.3) as fetcher:
        assert await refusal(fetcher, url) == "could not be fetched in time."


async def test_the_time_is_for_all_redirects_together(upstream: FakeUpstream) -> None:
    upstream.replies["/a"], upstream.replies["/b"] = to("/b"), hang
    async with fetching(upstream.url, timeout=0.3) as fetcher:
        assert await refusal(fetcher, upstream.url + "/a") == "could not be fetched in time."


async def test_a_resolver_that_never_answers_ends_with_the_time(upstream: FakeUpstream) -> None:
    class Silent(Names):
        @override
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            await asyncio.sleep(SLOW)
            return []

    async with fetching(upstream.url, Silent(), timeout=0.1) as fetcher:
        assert await refusal(fetcher, at(upstream, "a.test")) == "could not be fetched in time."


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    ],
)
async def test_an_answer_that_is_not_whole_http_tells_nothing_of_itself(answer: bytes) -> None:
    async with serving(writes(answer)) as (url, _), fetching(url) as fetcher:
        assert await refusal(fetcher, url) == UNREACHABLE


async def test_a_caller_who_leaves_ends_the_fetch(upstream: FakeUpstream) -> None:
    asked = asyncio.Event()

    async def reply(request: web.Request) -> web.StreamResponse:
        asked.set()
        return await hang(request)

    upstream.replies["/a"] = reply
    async with fetching(upstream.url) as fetcher:
        task = asyncio.create_task(fetcher.fetch(upstream.url + "/a", param="p"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await upstream.cancelled.wait()


async def test_a_closed_fetcher_opens_again_and_closes_twice(upstream: FakeUpstream) -> None:
    async with fetching(upstream.url) as fetcher:
        await fetcher.close()
        for _ in range(2):
            await fetcher.fetch(upstream.url + "/i.png", param="p")
            await fetcher.close()
            await fetcher.close()
    assert len(upstream.connections) == 2
