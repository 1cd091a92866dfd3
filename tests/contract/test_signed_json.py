"""Signed POSTs of JSON, over a real socket, to a double that checks their signatures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
import boto3
from botocore import exceptions as of_sdk
from botocore.credentials import ReadOnlyCredentials
import pytest

from core.platform import aws_sdk
from core.platform.aws_errors import EndpointInvalid, Fault, code_of, fault_of
from core.platform.bounded import AnswerTooLarge
from core.platform.signed_json import CallOptions, SignedJson, UnsignedRequest, sign
from core.providers.aws.clients import AwsClients, AwsConfig
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts.s3_vectors import BUCKET, S3VectorsDouble, running
from tests.parts.s3_vectors_model import Refusal

BODY = b'{"vectorBucketName":"%s"}' % BUCKET.encode()
KEYS = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}


@pytest.fixture
async def double() -> AsyncGenerator[S3VectorsDouble]:
    async with running() as double:
        yield double


@asynccontextmanager
async def calls(url: str | None, **options: Any) -> AsyncGenerator[SignedJson]:
    clients = AwsClients(AwsConfig.model_validate(KEYS))
    signed = SignedJson("s3vectors", clients, CallOptions(**({"region": REGION, "endpoint_url": url} | options)))
    try:
        yield signed
    finally:
        await signed.close()
        await clients.close()


@asynccontextmanager
async def serving(reply: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncGenerator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("token", [None, "a-session's-token"])
def test_a_signature_is_the_sdks_own(token: str | None) -> None:
    requests: list[Any] = []

    def leave_out(request: Any, **_: Any) -> None:
        for name in ("amz-sdk-invocation-id", "amz-sdk-request"):  # of the SDK's own bookkeeping
            del request.headers[name]

    def catch(request: Any, **_: Any) -> None:
        requests.append(request)
        raise of_sdk.HTTPClientError(error="caught")

    client = boto3.client(
        "s3vectors", REGION, aws_access_key_id="AKID", aws_secret_access_key="s", aws_session_token=token
    )
    client.meta.events.register("before-sign.s3vectors", leave_out)
    client.meta.events.register("before-send.s3vectors", catch)
    with pytest.raises(of_sdk.HTTPClientError):
        client.delete_vectors(vectorBucketName="bucket", indexName="index", keys=["ä", "b"])
    [theirs] = requests
    stamp = theirs.headers["X-Amz-Date"].decode()
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    credentials = ReadOnlyCredentials("AKID", "s", token)
    ours = sign(UnsignedRequest(theirs.url, theirs.body), credentials, scope=(REGION, "s3vectors"), at=at)
    assert ours["Authorization"] == theirs.headers["Authorization"].decode()
    assert ours["X-Amz-Date"] == stamp


async def test_a_connection_is_kept_for_the_next_call(double: S3VectorsDouble) -> None:
    async with calls(double.url) as signed:
        for _ in range(3):
            assert (await signed.post("GetVectorBucket", BODY))["vectorBucket"]["vectorBucketName"] == BUCKET
    assert len(double.connections) == 1


async def test_a_wrong_clock_is_put_right_once(double: S3VectorsDouble) -> None:
    double.skew = timedelta(hours=-3)
    async with calls(double.url) as signed:
        for _ in range(2):
            await signed.post("GetVectorBucket", BODY)
        assert len(double.operations) == 3
        double.skew = timedelta(hours=2)
        await signed.post("GetVectorBucket", BODY)
    assert len(double.operations) == 5


async def test_calls_at_once_put_a_wrong_clock_right_together(double: S3VectorsDouble) -> None:
    double.skew = timedelta(hours=1)
    async with calls(double.url) as signed:
        await asyncio.gather(*(signed.post("GetVectorBucket", BODY) for _ in range(8)))
        seen = len(double.operations)
        await signed.post("GetVectorBucket", BODY)
    assert len(double.operations) == seen + 1


async def test_wrong_keys_are_no_wrong_clock(double: S3VectorsDouble) -> None:
    clients = AwsClients(AwsConfig.model_validate(KEYS | {"aws_secret_access_key": "wrong"}))
    signed = SignedJson("s3vectors", clients, CallOptions(REGION, double.url))
    with pytest.raises(of_sdk.ClientError) as refused:
        await signed.post("GetVectorBucket", BODY)
    await signed.close()
    assert fault_of(refused.value) is Fault.CREDENTIALS
    assert len(double.operations) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(429, "TooManyRequestsException", "slower"),
        Refusal(503, "ServiceUnavailableException", "later"),
        Refusal(500, "InternalServerException", "oh"),
        Refusal(400, "ThrottlingException:http://internal.amazon.com/", "slower"),
        Refusal(502, "", ""),
    ],
)
async def test_what_passes_is_asked_again(double: S3VectorsDouble, refusal: Refusal) -> None:
    async with calls(double.url) as signed:
        double.refuse += [refusal]
        await signed.post("GetVectorBucket", BODY)
        assert len(double.operations) == 2


async def test_tries_have_an_end_and_the_last_refusal_is_raised(double: S3VectorsDouble) -> None:
    double.throttle(9)
    async with calls(double.url, tries=2) as signed:
        with pytest.raises(of_sdk.ClientError) as refused:
            await signed.post("GetVectorBucket", BODY)
    assert code_of(refused.value) == "TooManyRequestsException"
    assert fault_of(refused.value) is Fault.THROTTLED
    assert len(double.operations) == 2


async def test_a_refusal_has_its_type_and_its_message_and_is_not_asked_again(double: S3VectorsDouble) -> None:
    async with calls(double.url) as signed:
        with pytest.raises(of_sdk.ClientError, match="could not be found") as refused:
            await signed.post("GetVectorBucket", b'{"vectorBucketName":"another"}')
        double.refuse += [Refusal(402, "ServiceQuotaExceededException", "full")]
        with pytest.raises(of_sdk.ClientError, match="full"):
            await signed.post("GetVectorBucket", BODY)
    assert code_of(refused.value) == "NotFoundException"
    assert fault_of(refused.value) is Fault.MISSING
    assert len(double.operations) == 2


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ({"status": 404, "body": b'{"__type":"a.b#Gone","Message":"m"}'}, "Gone"),
        ({"status": 403, "body": b"<html>"}, "403"),
        ({"status": 307, "body": b"", "headers": {"location": "http://127.0.0.1:1/"}}, "307"),
    ],
)
async def test_what_another_server_answers_is_a_refusal_too(response: dict[str, Any], code: str) -> None:
    async def reply(_: web.Request) -> web.Response:
        return web.Response(**response)

    async with serving(reply) as url, calls(url) as signed:
        with pytest.raises(of_sdk.ClientError) as refused:
            await signed.post("GetVectorBucket", BODY)
    assert code_of(refused.value) == code


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"a": NaN}'])
async def test_an_answer_that_is_no_object_is_unreadable(content: bytes) -> None:
    async def reply(_: web.Request) -> web.Response:
        return web.Response(body=content)

    async with serving(reply) as url, calls(url) as signed:
        with pytest.raises(ValueError) as unreadable:  # noqa: PT011 - whatever it says
            await signed.post("GetVectorBucket", BODY)
    assert fault_of(unreadable.value) is Fault.UNREADABLE


async def test_an_answer_is_bounded() -> None:
    async def reply(_: web.Request) -> web.Response:
        return web.Response(body=b'{"a": "%s"}' % (b"x" * 5000))

    async with serving(reply) as url, calls(url, most_bytes=5000) as signed:
        with pytest.raises(AnswerTooLarge):
            await signed.post("GetVectorBucket", BODY)


async def test_a_service_that_says_nothing_is_slow_and_one_that_breaks_off_is_asked_again() -> None:
    count = 0

    async def reply(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        assert request.transport is not None
        if count < 2:
            request.transport.abort()
        elif count > 2:
            await asyncio.sleep(5)
        return web.Response(body=b"{}")

    async with serving(reply) as url, calls(url, read_timeout=0.2, tries=2) as signed:
        assert await signed.post("GetVectorBucket", BODY) == {}
        with pytest.raises(of_sdk.ReadTimeoutError) as slow:
            await signed.post("GetVectorBucket", BODY)
    assert fault_of(slow.value) is Fault.SLOW
    assert count == 4


async def test_nobody_there_is_unreachable() -> None:
    async with calls("http://127.0.0.1:1", tries=1) as signed:
        with pytest.raises(of_sdk.EndpointConnectionError) as failure:
            await signed.post("GetVectorBucket", BODY)
    assert fault_of(failure.value) is Fault.UNREACHABLE


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3VECTORS", "AWS_ENDPOINT_URL"])
async def test_the_environment_says_where(
    double: S3VectorsDouble, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, double.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    async with calls(None, region=None) as signed:
        assert "vectorBucket" in await signed.post("GetVectorBucket", BODY)
        assert await signed.region() == REGION


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"region": None}, of_sdk.NoRegionError),
        ({"region": "us east"}, of_sdk.InvalidRegionError),
        ({"endpoint_url": "nowhere"}, EndpointInvalid),
    ],
)
async def test_what_is_set_up_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], kind: type[Exception]
) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    async with calls("http://127.0.0.1:1", **options) as signed:
        with pytest.raises(kind) as failure:
            await signed.post("GetVectorBucket", BODY)
    assert fault_of(failure.value) is Fault.UNUSABLE


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize(
    ("service", "operation", "path", "dual"),
    [
        ("s3vectors", "list_vector_buckets", "/ListVectorBuckets", True),
        ("lambda", "list_functions", "/2015-03-31/functions", False),
    ],
)
def test_awss_own_endpoint_is_the_sdks(region: str, service: str, operation: str, path: str, dual: bool) -> None:  # noqa: FBT001
    urls: list[str] = []

    def catch(request: Any, **_: Any) -> None:
        urls.append(request.url)
        raise of_sdk.HTTPClientError(error="caught")

    client: Any = boto3.client(service, region, aws_access_key_id="AKID", aws_secret_access_key="s")
    client.meta.events.register(f"before-send.{service}", catch)
    with pytest.raises(of_sdk.HTTPClientError):
        getattr(client, operation)()
    own = aws_sdk.own_endpoint(aws_sdk.session(), service, region, dual_stack=dual)
    assert urls[0].rstrip("/") == f"{own}{path}"
