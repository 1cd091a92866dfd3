"""What is special to blobs in S3: what it asks of it, what is left of an interrupted upload, and URLs for others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
import time
from typing import Any, override
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import ClientSession, web
import pytest

from core.config.state import S3Blobs as Record
from core.errors import NotFound, StateUnavailable
from core.frame.content import PresignedRequest
from core.stores.blobs import s3
from core.stores.blobs.s3 import Limits, S3Blobs
from tests.contract.blobs import MIB, content_of, read, streamed
from tests.parts.moto import aws_client

PART = 5 * MIB
type Reply = Callable[[web.Request], web.StreamResponse | None]


@dataclass
class Between:
    """Stands between the store and moto: notes what is asked, and answers by itself where `reply` does."""

    upstream: str
    url: str = ""
    reply: Reply = lambda _: None
    seen: list[str] = field(default_factory=list[str])  # operations
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    stuck_at: str | None = None  # operations whose names begin so get no answer
    slow: float = 0.0  # seconds
    is_stuck: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(operation(request))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        body = await request.read()
        if self.stuck_at is not None and operation(request).startswith(self.stuck_at):
            self.is_stuck.set()
            await asyncio.Event().wait()
        await asyncio.sleep(self.slow)
        if (own := self.reply(request)) is not None:
            return own
        async with ClientSession(auto_decompress=False) as session:
            url = self.upstream + request.raw_path
            async with session.request(request.method, url, data=BytesIO(body), headers=request.headers) as theirs:
                headers = {name: value for name, value in theirs.headers.items() if name != "Transfer-Encoding"}
                return web.Response(status=theirs.status, body=await theirs.read(), headers=headers)


def operation(request: web.Request) -> str:
    query = request.query
    match request.method:
        case "POST" if "uploads" in query:
            return "create"
        case "POST" if "uploadId" in query:
            return "complete"
        case "POST":
            return "delete-objects"
        case "PUT" if "partNumber" in query:
            return f"part {query['partNumber']}"
        case "DELETE" if "uploadId" in query:
            return "abort"
        case method:
            return method.lower()


def refusal(status: int, code: str, at: str = "") -> Reply:
    """To the operations whose names begin so."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"

    def reply(request: web.Request) -> web.StreamResponse | None:
        if not operation(request).startswith(at):
            return None
        return web.Response(status=status, text="" if request.method == "HEAD" else body, content_type="text/xml")

    return reply


@pytest.fixture
async def between(moto_endpoint: str) -> AsyncGenerator[Between]:
    between = Between(moto_endpoint)
    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", between.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    between.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield between
    finally:
        await runner.cleanup()


@asynccontextmanager
async def opened(bucket: str, endpoint: str, **more: Any) -> AsyncIterator[S3Blobs]:
    store = S3Blobs(bucket, endpoint_url=endpoint, **more)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(bucket: str, between: Between) -> AsyncIterator[S3Blobs]:
    async with opened(bucket, between.url) as store:
        yield store


def unfinished(bucket: str, endpoint: str) -> list[str]:
    with aws_client("s3", endpoint) as client:
        return [upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


class Interrupted(Exception):
    pass


async def interrupted(content: bytes, go_on: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    async for chunk in streamed(content):
        yield chunk
    if go_on is None:
        raise Interrupted
    go_on.set()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("size", "asked"),
    [
        (0, ["put"]),
        (PART - 1, ["put"]),
        (PART, ["create", "part 1", "complete"]),
        (2 * PART + 1, ["create", "part 1", "part 2", "part 3", "complete"]),
    ],
)
async def test_a_short_stream_is_one_request_and_a_long_one_parts(
    store: S3Blobs, between: Between, size: int, asked: list[str]
) -> None:
    await store.put("a", streamed(content_of(size)))
    assert sorted(between.seen) == sorted(asked)
    between.seen.clear()
    await store.put("a", content_of(size))
    assert between.seen == ["put"]


@pytest.mark.parametrize("size", [2 * PART, 3 * PART + 1])
async def test_an_interrupted_upload_is_aborted(store: S3Blobs, between: Between, bucket: str, size: int) -> None:
    with pytest.raises(Interrupted):
        await store.put("a", interrupted(content_of(size)))
    go_on = asyncio.Event()
    task = asyncio.create_task(store.put("b", interrupted(content_of(size), go_on)))
    await go_on.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert between.seen.count("abort") == 2
    assert unfinished(bucket, between.upstream) == []


@pytest.mark.parametrize(("at", "size"), [("put", 1), ("part", 4 * PART), ("complete", PART)])
async def test_cancelled_while_requests_are_on_their_way_it_waits_for_none(
    store: S3Blobs, between: Between, bucket: str, at: str, size: int
) -> None:
    between.stuck_at = at
    task = asyncio.create_task(store.put("a", streamed(content_of(size))))
    await between.is_stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            await task
    assert unfinished(bucket, between.upstream) == []


async def test_a_part_that_fails_takes_those_along_that_are_on_their_way(
    store: S3Blobs, between: Between, bucket: str
) -> None:
    between.stuck_at = "part 1"
    between.reply = refusal(403, "AccessDenied", "part 2")
    with pytest.raises(StateUnavailable, match="permissions"):
        async with asyncio.timeout(10):
            await store.put("a", streamed(content_of(3 * PART)))
    assert not [task for task in asyncio.all_tasks() if "_make_api_call" in str(task.get_coro())]
    assert unfinished(bucket, between.upstream) == []


@pytest.mark.parametrize("at", ["create", "part 1", "part 2", "part 3", "part", "complete"])
async def test_what_fails_on_the_way_is_a_503_and_leaves_nothing(
    store: S3Blobs, between: Between, bucket: str, at: str
) -> None:
    between.reply = refusal(403, "AccessDenied", at)
    between.slow = 0.2  # so that several parts are on their way, and the next is waited for
    async with asyncio.timeout(30):
        with pytest.raises(StateUnavailable, match="may not be used with this deployment's permissions"):
            await store.put("a", streamed(content_of(6 * PART)))
    between.reply = lambda _: None
    assert await store.head("a") is None
    assert unfinished(bucket, between.upstream) == []


async def test_an_upload_that_cannot_even_be_aborted_says_why_it_failed(store: S3Blobs, between: Between) -> None:
    between.reply = refusal(403, "AccessDenied", "")
    between.reply = lambda request: (
        refusal(403, "AccessDenied", "part")(request) or refusal(400, "InvalidRequest", "abort")(request)
    )
    with pytest.raises(StateUnavailable, match="permissions"):
        await store.put("a", streamed(content_of(2 * PART)))


REFUSALS = [
    (403, "AccessDenied", "may not be used with this deployment's permissions"),
    (403, "InvalidAccessKeyId", "refused this deployment's credentials"),
    (403, "SignatureDoesNotMatch", "refused this deployment's credentials"),
    (400, "ExpiredToken", "refused this deployment's credentials"),
    (404, "NoSuchBucket", "does not exist in this account and region"),
    (400, "AuthorizationHeaderMalformed", "is in another region"),
    (400, "SomethingNew", "answered with an error: SomethingNew"),
]


@pytest.mark.parametrize(("status", "code", "reason"), REFUSALS, ids=[code for _, code, _ in REFUSALS])
async def test_a_refusal_names_what_is_wrong_with_the_bucket(
    store: S3Blobs, between: Between, bucket: str, status: int, code: str, reason: str
) -> None:
    between.reply = refusal(status, code)
    for call in (store.put("a", b"x"), read(store, "a"), store.delete("a"), store.delete_below("a/")):
        with pytest.raises(StateUnavailable, match=rf"The S3 bucket `{bucket}` {reason}") as failure:
            await call
        assert failure.value.headers == {"retry-after": "5"}
        assert between.url not in failure.value.message


async def test_throttling_says_so(store: S3Blobs, between: Between) -> None:
    between.reply = refusal(503, "SlowDown")
    with pytest.raises(StateUnavailable, match="is throttling; try again in a moment"):
        await store.put("a", b"x")


async def test_a_head_whose_answer_has_no_body_tells_a_bucket_from_a_blob(
    bucket: str, store: S3Blobs, between: Between
) -> None:
    async with opened(f"{bucket}-not", between.url) as other:
        for call in (other.head("a"), other.read("a", start=3, stop=3).__anext__()):
            with pytest.raises(StateUnavailable, match=f"`{bucket}-not` does not exist in this account and region"):
                await call
    between.seen.clear()
    assert [await store.head("a"), await store.head("a")] == [None, None]
    assert between.seen == ["head", "head", "head"]  # it asked for the bucket once
    between.reply = refusal(403, "")
    with pytest.raises(StateUnavailable, match="may not be used with this deployment's permissions"):
        await store.head("a")


async def test_a_stream_that_breaks_off_is_a_503_and_not_a_short_blob(store: S3Blobs, between: Between) -> None:
    await store.put("a", content_of(MIB))

    def cut(request: web.Request) -> web.StreamResponse | None:
        if request.method != "GET":
            return None

        class Cut(web.Response):
            @override
            async def write_eof(self, *_: Any) -> None:
                assert request.transport is not None
                request.transport.abort()

        return Cut(body=content_of(MIB), headers={"etag": '"e"'})

    between.reply = cut
    with pytest.raises(StateUnavailable):
        await read(store, "a")


async def test_what_is_not_removed_is_said(store: S3Blobs, between: Between) -> None:
    errors = "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    between.reply = lambda request: (
        web.Response(text=errors, content_type="text/xml") if operation(request) == "delete-objects" else None
    )
    with pytest.raises(StateUnavailable, match="refused to remove 1 blobs: AccessDenied"):
        await store.delete("a", "b")


async def test_more_blobs_than_a_page_or_a_request_has_are_removed(between: Between, bucket: str) -> None:
    async with opened(bucket, between.url, limits=Limits(at_once=3)) as store:
        for number in range(7):
            await store.put(f"a/{number}", b"")
        between.seen.clear()
        assert await store.delete_below("a/") == 7
        assert between.seen == ["get", "delete-objects"] * 3
        await store.delete(*(f"a/{number}" for number in range(4)))
        assert between.seen[6:] == ["delete-objects"] * 2


async def test_a_thousand_go_in_one_request_as_s3_takes_them(store: S3Blobs, between: Between) -> None:
    await store.delete(*(f"a/{number}" for number in range(1001)))
    assert between.seen == ["delete-objects"] * 2


async def test_a_key_of_kms_goes_with_every_write(bucket: str, between: Between) -> None:
    async with opened(bucket, between.url, kms_key_id="alias/blobs") as store:
        await store.put("a", b"x")
        await store.put("a", streamed(b"x"))
        await store.put("a", streamed(content_of(PART)))
        url = await store.upload_url("a", seconds=60, size=1, media_type="a/b")
    assert url is not None
    expected = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/blobs",
    }
    begun = [headers for name, headers in zip(between.seen, between.headers, strict=True) if name in {"put", "create"}]
    assert len(begun) == 3
    for headers in (*begun, url.headers):
        assert expected.items() <= headers.items()


async def test_no_checksum_comes_as_a_trailer_which_others_that_speak_s3_do_not_know(
    store: S3Blobs, between: Between
) -> None:
    await store.put("a", b"x")
    await store.put("a", streamed(content_of(2 * PART)))
    assert not [name for headers in between.headers for name in headers if "checksum" in name or "trailer" in name]


async def test_a_blob_of_a_newer_version_is_not_read_as_one_of_this(
    store: S3Blobs, between: Between, bucket: str
) -> None:
    with aws_client("s3", between.upstream) as client:
        client.put_object(Bucket=bucket, Key="a", Body=b"x", Metadata={"v": "2"})
    for call in (store.head("a"), read(store, "a")):
        with pytest.raises(StateUnavailable, match="`a` was written by a newer llambda; this one knows version 1"):
            await call


async def test_a_blob_that_version_1_has_written_is_read(bucket: str, moto_endpoint: str) -> None:
    with aws_client("s3", moto_endpoint) as client:
        client.put_object(Bucket=bucket, Key="p/ns%2F1/a", Body=b"content", ContentType="a/b")
    store = s3.connect(bucket, prefix="p/", endpoint_url=moto_endpoint, namespace="ns/1")
    blob = await store.head("a")
    assert blob is not None
    assert (blob.size, blob.media_type) == (7, "a/b")
    assert await read(store, "a", 3) == b"tent"
    await store.close()


def parameters(request: PresignedRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


async def test_whoever_has_the_url_of_a_download_gets_the_blob(bucket: str, moto_endpoint: str) -> None:
    async with opened(bucket, moto_endpoint) as store:
        await store.put("a/b", b"0123456789")
        plain = await store.download_url("a/b", seconds=60)
        named = await store.download_url("a/b", seconds=60, filename='Zoë "x"\r\n.txt', media_type="text/plain")
    assert plain is not None
    assert named is not None
    assert (plain.method, plain.headers) == ("GET", {})
    assert abs(plain.expires - time.time() - 60) < 10
    assert parameters(plain)["X-Amz-Expires"] == ["60"]
    assert parameters(plain)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert plain.url not in repr(plain)
    async with ClientSession() as session:
        async with session.get(plain.url, headers={"range": "bytes=2-4"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"234")
        async with session.get(named.url) as answer:
            assert answer.content_type == "text/plain"
            assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{quote('Zoë "x"\r\n.txt')}"


async def test_whoever_has_the_url_of_an_upload_puts_that_size_and_type(bucket: str, moto_endpoint: str) -> None:
    async with opened(bucket, moto_endpoint) as store:
        request = await store.upload_url("a/b", seconds=60, size=7, media_type="text/csv")
        assert request is not None
        assert request.method == "PUT"
        assert request.headers == {"content-type": "text/csv", "content-length": "7"}
        # Which S3 holds the request to: it is signed with them.
        assert parameters(request)["X-Amz-SignedHeaders"] == ["content-length;content-type;host"]
        async with (
            ClientSession() as session,
            session.put(request.url, data=b"content", headers=request.headers) as answer,
        ):
            assert answer.status == 200
        blob = await store.head("a/b")
        assert blob is not None
        assert (blob.size, blob.media_type) == (7, "text/csv")


@pytest.mark.parametrize(("seconds", "signed"), [(0, "1"), (10**9, str(7 * 86_400))])
async def test_a_url_holds_for_a_second_to_a_week(bucket: str, moto_endpoint: str, seconds: int, signed: str) -> None:
    async with opened(bucket, moto_endpoint) as store:
        request = await store.download_url("a", seconds=seconds)
    assert request is not None
    assert parameters(request)["X-Amz-Expires"] == [signed]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record(bucket="blobs", endpoint_url="not a url"), "its endpoint_url is not a URL"),
        (Record(bucket="blobs", region="no region!", prefix="a/b", kms_key_id="k"), "is not the name of a region"),
    ],
)
async def test_it_is_connected_by_the_fields_of_its_record(record: Record, reason: str, aws_credentials: None) -> None:
    del aws_credentials
    store = s3.connect(**record.model_dump(exclude={"type"}))
    with pytest.raises(StateUnavailable, match=reason):
        await store.head("a")


async def test_a_missing_blob_is_not_found_whatever_the_range(store: S3Blobs) -> None:
    with pytest.raises(NotFound):
        await read(store, "a", 5, 6)
