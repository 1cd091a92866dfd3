"""Where rows of a dataset come from: the web through the guarded fetcher, configured buckets, and the uri itself."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
from typing import Any
from urllib.parse import quote, urlsplit

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.datasets import SourceContent
from core.errors import ApiError, InvalidRequest, StateUnavailable, UpstreamFailed, UpstreamTimeout
from core.providers.datasets import s3
from core.providers.datasets.inlined import open_inlined
from core.providers.datasets.places import SourcePlaces, SourcesConfig
from core.providers.http.fetch import UNREACHABLE
from core.services.datasets.formats.reader import read_rows
from core.services.datasets.formats.rules import RowBounds
from tests.contract.fetching import serving, to, writes
from tests.parts.moto import aws_client
from tests.parts.upstream import FakeUpstream, in_turn, raw, running, status

LINES = b'{"question": "a", "answer": "b"}\n' * 3
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n"
GB = 1_000_000_000


@asynccontextmanager
async def opening(url: str, **fetch: Any) -> AsyncIterator[SourcePlaces]:
    """What may fetch from the port of `url`, on loopback unless it is told otherwise."""
    limits = {"allow_private_addresses": True, "allowed_ports": [urlsplit(url).port], **fetch}
    places = SourcePlaces(SourcesConfig.model_validate({"fetch": limits}))
    try:
        yield places
    finally:
        await places.close()


async def bytes_of(content: SourceContent) -> bytes:
    return b"".join([chunk async for chunk in content.chunks])


async def failure(places: SourcePlaces, uri: str) -> ApiError:
    with pytest.raises(ApiError) as failed:
        await bytes_of(await places.open(uri))
    return failed.value


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        upstream.replies["/rows.jsonl"] = raw(LINES, "text/plain")
        yield upstream


async def test_a_file_of_the_web_comes_with_its_name_its_type_and_its_size(upstream: FakeUpstream) -> None:
    upstream.replies["/old"] = to("/rows.jsonl")
    async with opening(upstream.url) as places:
        content = await places.open(f"{upstream.url}/rows.jsonl?version=2")
        assert (content.name, content.media_type, content.size) == ("rows.jsonl", "text/plain", len(LINES))
        assert await bytes_of(content) == LINES
        assert await bytes_of(await places.open(f"{upstream.url}/old")) == LINES
    assert not any("authorization" in seen.headers or "cookie" in seen.headers for seen in upstream.seen)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[64:ff9b::7f00:1]",
        "0",
    ],
)
async def test_a_private_address_is_not_fetched_from_in_any_form(host: str) -> None:
    async with serving(writes(HEAD, b"\r\n", LINES)) as (url, accepted):
        async with opening(url, allow_private_addresses=False, timeout=5) as places:
            refused = await failure(places, f"http://{host}:{urlsplit(url).port}/rows.jsonl")
        assert isinstance(refused, InvalidRequest)
        assert refused.message == f"source.uri: {UNREACHABLE}"
        assert not accepted


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "http://user:word@{host}/rows.jsonl", "ftp://a/b", "http://["]
)
async def test_a_redirect_leads_to_no_other_place_than_a_uri_may(upstream: FakeUpstream, target: str) -> None:
    upstream.replies["/rows.jsonl"] = to(target.format(host=urlsplit(upstream.url).netloc))
    async with opening(upstream.url) as places:
        refused = await failure(places, f"{upstream.url}/rows.jsonl")
    assert refused.message == "source.uri: redirects to a place that may not be fetched."


async def test_what_is_not_there_is_refused_and_what_may_be_later_is_a_failure(upstream: FakeUpstream) -> None:
    upstream.replies |= {f"/{code}": status(code) for code in (403, 404, 429, 503)}
    upstream.replies["/loop"] = to("/loop")
    async with opening(upstream.url) as places:
        for code, kind in ((403, InvalidRequest), (404, InvalidRequest), (429, UpstreamFailed), (503, UpstreamFailed)):
            failed = await failure(places, f"{upstream.url}/{code}")
            assert isinstance(failed, kind)
            assert f"was answered with HTTP status {code}." in failed.message
        assert (await failure(places, f"{upstream.url}/loop")).message == "source.uri: redirects more than 3 times."


async def test_five_gigabytes_are_refused_by_the_bound_and_streamed_within_it() -> None:
    size = f"content-length: {5 * GB}\r\n\r\n".encode()
    async with serving(writes(HEAD, size, LINES)) as (url, _), opening(url) as places:
        refused = await failure(places, f"{url}/rows.jsonl")
        assert (
            refused.message
            == "source.uri: holds more than 1073741824 bytes, which is the limit: split it, or let the operator raise `fetch.max_bytes`."
        )
    async with serving(writes(HEAD, size, LINES)) as (url, _), opening(url, max_bytes=6 * GB) as places:
        content = await places.open(f"{url}/rows.jsonl")
        assert (content.size, await anext(content.chunks)) == (
            5 * GB,
            LINES,
        )  # the first rows are there before the last
        with pytest.raises(UpstreamFailed, match="broke off"):
            await bytes_of(content)


async def test_a_body_without_an_end_is_read_no_further_than_the_bound() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(LINES * 1000)
            await writer.drain()

    async with serving(endless) as (url, _), opening(url, max_bytes=500_000) as places:
        refused = await failure(places, f"{url}/rows.jsonl")
    assert (
        refused.message
        == "source.uri: holds more than 500000 bytes, which is the limit: split it, or let the operator raise `fetch.max_bytes`."
    )


async def test_a_server_that_falls_silent_is_left() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n" + LINES)
        await asyncio.sleep(3600)

    async with serving(silent) as (url, _), opening(url, timeout=0.3) as places:
        assert isinstance(await failure(places, f"{url}/rows.jsonl"), UpstreamTimeout)
    async with serving(writes()) as (url, _), opening(url, timeout=0.3) as places:
        refused = await failure(places, f"{url}/rows.jsonl")
    assert isinstance(refused, InvalidRequest)


async def test_what_the_server_compressed_is_read_as_rows(upstream: FakeUpstream) -> None:
    import gzip

    async def packed(_: Any) -> Any:
        from aiohttp import web

        return web.Response(body=gzip.compress(LINES), headers={"content-encoding": "gzip"})

    upstream.replies["/rows.jsonl"] = packed
    async with opening(upstream.url) as places:
        content = await places.open(f"{upstream.url}/rows.jsonl")
        rows = read_rows(content.chunks, content.name, content.media_type, limit=RowBounds())
        assert [row["answer"] async for row in rows] == ["b"] * 3


async def test_a_failure_of_a_moment_is_none_of_the_uris(upstream: FakeUpstream) -> None:
    upstream.replies["/rows.jsonl"] = in_turn(status(503), raw(LINES))
    async with opening(upstream.url) as places:
        assert isinstance(await failure(places, f"{upstream.url}/rows.jsonl"), UpstreamFailed)
        assert await bytes_of(await places.open(f"{upstream.url}/rows.jsonl")) == LINES


@pytest.mark.parametrize("uri", ["", "rows.jsonl", "ftp://host/x", "file:///etc/passwd", "gs://bucket/x", "//host/x"])
def test_other_uris_are_refused_with_those_that_there_are(uri: str) -> None:
    with pytest.raises(InvalidRequest, match="one of https:, http:, data:, s3:, lsfs:") as refused:
        SourcePlaces(SourcesConfig(), ("lsfs",)).check_source(uri)
    assert refused.value.param == "source.uri"


@pytest.mark.parametrize(
    "uri", ["https://", "https://a:b@host/x", "https://host:22/x", "https://" + "a" * 9000, "s3://b/k"]
)
def test_a_uri_that_would_never_be_opened_is_refused_without_asking(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        SourcePlaces(SourcesConfig()).check_source(uri)
    SourcePlaces(SourcesConfig()).check_source("https://example.com/rows.jsonl")


@given(content=st.binary(max_size=300), form=st.sampled_from(["base64", "urlsafe", "bare", "percent"]))
def test_a_data_uri_has_the_bytes_that_were_put_in(content: bytes, form: str) -> None:
    text = {
        "base64": ";base64," + b64encode(content).decode(),
        "urlsafe": ";BASE64," + b64encode(content, b"-_").decode(),
        "bare": ";base64," + quote(b64encode(content).decode().rstrip("=")),
        "percent": "," + quote(content),
    }[form]
    opened = open_inlined(f"data:None{text}")
    assert asyncio.run(bytes_of(opened)) == content
    assert (opened.media_type, opened.size) == ("None", len(content))


@pytest.mark.parametrize("uri", ["data:text/csv;base64", "data:;base64,a", "data:;base64,*!", "data:;base64,\u00e9"])
def test_a_broken_data_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match="data: uri"):
        open_inlined(uri)


@pytest.fixture
async def bucket_provider(bucket: str, moto_endpoint: str) -> AsyncIterator[Any]:
    with aws_client("s3", moto_endpoint) as client:
        for key in ("sets/rows.jsonl", "sets/é +%.csv", "setsother/rows.jsonl", "rows.jsonl"):
            client.put_object(Bucket=bucket, Key=key, Body=LINES, ContentType="text/plain", Metadata={"v": "9"})
    config = s3.Config(bucket_name=bucket, key_prefix="/sets/", endpoint_url=moto_endpoint, max_bytes=1000)
    provider = s3.connect("s3", config, {})
    yield provider
    await provider.close()  # type: ignore[attr-defined]


async def test_an_object_of_a_configured_bucket_is_read(bucket: str, bucket_provider: Any) -> None:
    content = await bucket_provider.open(f"s3://{bucket}/sets/rows.jsonl")
    assert (content.name, content.media_type, content.size) == ("rows.jsonl", "text/plain", len(LINES))
    assert await bytes_of(content) == LINES
    assert await bytes_of(await bucket_provider.open(f"s3://{bucket}/sets/" + quote("é +%.csv"))) == LINES
    assert await bucket_provider.health() == {"status": "OK"}


@pytest.mark.parametrize(
    "place", ["other-bucket/sets/rows.jsonl", "{}/rows.jsonl", "{}/setsother/rows.jsonl", "{}/sets", "{}", "{}/%2e"]
)
async def test_no_other_object_is_read(bucket: str, bucket_provider: Any, place: str) -> None:
    uri = f"s3://{place.format(bucket)}"
    with pytest.raises(InvalidRequest):
        bucket_provider.check_source(uri)
    with pytest.raises(InvalidRequest):
        await bucket_provider.open(uri)


async def test_an_object_that_is_missing_or_too_large_is_refused(
    bucket: str, bucket_provider: Any, moto_endpoint: str
) -> None:
    with aws_client("s3", moto_endpoint) as client:
        client.put_object(Bucket=bucket, Key="sets/large", Body=bytes(1001))
    with pytest.raises(InvalidRequest, match="There is no object `sets/none`"):
        await bucket_provider.open(f"s3://{bucket}/sets/none")
    with pytest.raises(InvalidRequest, match="holds 1001 bytes, more than 1000"):
        await bucket_provider.open(f"s3://{bucket}/sets/large")
    with aws_client("s3", moto_endpoint) as client:
        client.put_object(Bucket=bucket, Key="sets/large", Body=bytes(1000))
    assert await bytes_of(await bucket_provider.open(f"s3://{bucket}/sets/large")) == bytes(1000)


@pytest.mark.parametrize("key", ["", "/", f"/sets/{'k' * 1020}"])
async def test_what_names_no_object_says_how_one_is_named(bucket: str, bucket_provider: Any, key: str) -> None:
    with pytest.raises(InvalidRequest, match="named as s3://BUCKET/KEY"):
        bucket_provider.check_source(f"s3://{bucket}{key}")
    bucket_provider.check_source(f"s3://{bucket}/sets/{'k' * 1019}")


async def test_rows_within_a_uri_are_read_beside_a_bucket(bucket_provider: Any) -> None:
    assert await bytes_of(await bucket_provider.open(f"data:,{quote(LINES)}")) == LINES


async def test_a_bucket_that_cannot_be_asked_is_a_failure_of_the_stacks(
    aws_credentials: None, moto_endpoint: str
) -> None:
    del aws_credentials
    provider: Any = s3.connect("s3", s3.Config(bucket_name="no-such-bucket", endpoint_url=moto_endpoint), {})
    with pytest.raises(StateUnavailable):
        await provider.open("s3://no-such-bucket/rows.jsonl")
    assert (await provider.health())["status"] == "Error"
    await provider.close()


def test_a_key_of_the_config_is_in_no_text_of_it() -> None:
    config = s3.Config.model_validate(
        {"bucket_name": "b" * 5, "aws_access_key_id": "AKIA1", "aws_secret_access_key": "hidden"}
    )
    assert "hidden" not in repr(config)
    assert "hidden" not in json.dumps(config.model_dump(mode="json"))
