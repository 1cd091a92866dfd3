"""What Bedrock refuses, before a stream's first byte and after it, and which calls are made again."""

import logging
import socket
from typing import Any

import botocore
from botocore.exceptions import ParamValidationError
from botocore.session import Session
from botocore.validate import validate_parameters
import pytest

from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.platform.aws_errors import NEWEST_BOTOCORE
from core.providers.bedrock.errors import translate_errors
from infra.dependencies import LOCK
from tests.parts.bedrock import (
    EVENTS,
    HELLO,
    KEYS,
    chat,
    collected,
    events,
    exception,
    frames,
    refusal,
    serving,
    text_of,
    unmodelled,
)
from tests.parts.upstream import hang, in_turn, raw, status

STREAM_OF = "converse-stream"
CONVERSE: Any = Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
DOCUMENTED = [
    (400, "ValidationException", InvalidRequest),
    (403, "AccessDeniedException", UpstreamFailed),
    (403, "ExpiredTokenException", UpstreamFailed),
    (403, "InvalidSignatureException", UpstreamFailed),
    (403, "UnrecognizedClientException", UpstreamFailed),
    (403, "AnotherExceptionOfAProxy", UpstreamFailed),
    (404, "ResourceNotFoundException", NotFound),
    (400, "ServiceQuotaExceededException", UpstreamThrottled),
    (429, "ThrottlingException", UpstreamThrottled),
    (429, "ModelNotReadyException", UpstreamThrottled),
    (429, "SomethingNew", UpstreamThrottled),
    (408, "ModelTimeoutException", UpstreamTimeout),
    (424, "ModelErrorException", UpstreamFailed),
    (500, "InternalServerException", UpstreamFailed),
    (502, "SomethingNew", UpstreamFailed),
    (503, "ServiceUnavailableException", ProviderUnavailable),
    (504, "SomethingNew", UpstreamTimeout),
]
IN_STREAM = [
    ("throttlingException", UpstreamThrottled),
    ("modelStreamErrorException", UpstreamFailed),
    ("internalServerException", UpstreamFailed),
    ("serviceUnavailableException", ProviderUnavailable),
    ("validationException", InvalidRequest),
    ("somethingNewException", UpstreamFailed),  # not one of ConverseStream's: the SDK keeps nothing of it
]


@pytest.mark.parametrize(("code", "name", "kind"), DOCUMENTED, ids=[f"{name}-{code}" for code, name, _ in DOCUMENTED])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_refusal_becomes_our_own(code: int, name: str, kind: type[ApiError], *, streamed: bool) -> None:
    async with serving() as (fake, bedrock):
        # The service's URI may follow the name, as REST-JSON has it.
        fake.replies["converse"] = fake.replies[STREAM_OF] = refusal(code, f"{name}:http://internal.amazon.com/coral/")
        with pytest.raises(kind) as failure:
            await (bedrock.stream_chat_completion(chat()) if streamed else bedrock.chat_completion(chat()))
    assert type(failure.value) is kind
    assert (failure.value.message == "it went wrong") == (kind is InvalidRequest)
    assert fake.url not in failure.value.message


@pytest.mark.parametrize(("name", "kind"), IN_STREAM)
@pytest.mark.parametrize("first", [True, False])
async def test_an_exception_in_the_stream_becomes_our_own(name: str, kind: type[ApiError], *, first: bool) -> None:
    before = [] if first else events(EVENTS[:2])
    async with serving(total_max_attempts=3) as (fake, bedrock):
        fake.replies[STREAM_OF] = frames([*before, exception(name)])
        if first:
            with pytest.raises(kind) as failure:
                await bedrock.stream_chat_completion(chat(stream=True))
        else:
            chunks = await bedrock.stream_chat_completion(chat(stream=True))
            assert text_of([await anext(chunks), await anext(chunks)]) == "Hel"
            with pytest.raises(kind) as failure:
                await anext(chunks)
    assert type(failure.value) is kind
    assert (failure.value.message == "it went wrong") == (kind is InvalidRequest)
    assert fake.operations() == [STREAM_OF], "a stream that began is not asked for again"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InternalFailure", UpstreamFailed),
        ("throttlingException", UpstreamThrottled),
        ("SomethingNew", UpstreamFailed),
        ("", UpstreamFailed),
    ],
)
async def test_an_error_frame_that_the_service_does_not_describe_is_translated_too(
    code: str, kind: type[ApiError]
) -> None:
    async with serving() as (fake, bedrock):
        fake.replies[STREAM_OF] = frames([*events(EVENTS[:1]), unmodelled(code, "it went wrong")])
        chunks = await bedrock.stream_chat_completion(chat(stream=True))
        await anext(chunks)
        with pytest.raises(kind) as failure:
            await anext(chunks)
    assert "it went wrong" not in failure.value.message


@pytest.mark.parametrize("operation", ["converse", STREAM_OF])
@pytest.mark.parametrize("code", [429, 503])
async def test_a_throttled_call_is_made_again_as_often_as_configured(operation: str, code: int) -> None:
    names = {429: "ThrottlingException", 503: "ServiceUnavailableException"}
    refused = refusal(code, names[code], headers={"retry-after": "7"})
    async with serving(total_max_attempts=2) as (fake, bedrock):
        passing = status(200, HELLO) if operation == "converse" else frames(events(EVENTS))
        fake.replies[operation] = in_turn(refused, passing)
        if operation == "converse":
            assert (await bedrock.chat_completion(chat()))["choices"]
        else:
            assert text_of(await collected(bedrock)) == "Hello"
        assert fake.operations() == [operation] * 2
        fake.replies[operation] = refused
        with pytest.raises(UpstreamThrottled if code == 429 else ProviderUnavailable) as failure:
            await (bedrock.chat_completion(chat()) if operation == "converse" else collected(bedrock))
        assert fake.operations() == [operation] * 4
    assert failure.value.headers == {"retry-after": "7"}


async def test_a_refusal_of_the_request_or_our_key_is_not_asked_again() -> None:
    async with serving(total_max_attempts=5) as (fake, bedrock):
        for code, name in ((400, "ValidationException"), (403, "AccessDeniedException")):
            fake.replies["converse"] = refusal(code, name)
            with pytest.raises(ApiError):
                await bedrock.chat_completion(chat())
    assert len(fake.seen) == 2


async def test_refused_credentials_are_said_to_be_the_stacks_and_quoted_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = f"The key {KEYS['aws_access_key_id']} with {KEYS['aws_secret_access_key']} is not one of account 123"
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = refusal(403, "UnrecognizedClientException", said)
        with caplog.at_level(logging.INFO), pytest.raises(UpstreamFailed, match="refused the stack's cred") as failure:
            await bedrock.chat_completion(chat())
    shown = failure.value.message + caplog.text
    assert "UnrecognizedClientException" in caplog.text
    assert not [secret for secret in KEYS.values() if secret in shown]


async def test_a_message_of_bedrocks_is_quoted_in_bounds() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = refusal(400, "ValidationException", "x" * 10_000)
        with pytest.raises(InvalidRequest) as failure:
            await bedrock.chat_completion(chat())
    assert failure.value.message == "x" * 500


def test_what_the_sdk_refuses_to_send_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest, match="modelId"), translate_errors("b"):
        raise ParamValidationError(report="Invalid length for parameter modelId")


def test_a_field_that_this_sdk_is_too_old_for_is_a_400_that_says_what_to_install() -> None:
    body = {"modelId": "m", "messages": [], "futureConfig": {}, "toolConfig": {"tools": [{"toolSpec": {"lazy": True}}]}}
    with pytest.raises(InvalidRequest) as failure, translate_errors("b"):
        validate_parameters(body, CONVERSE)
    message = (
        "The request uses `futureConfig`, `toolConfig.tools[0].toolSpec.lazy`, which needs botocore 1.43 or newer; "
        f"this installation has {botocore.__version__}: pip install -U aiobotocore boto3"
    )
    assert failure.value.message == message


def test_the_version_to_install_is_the_one_of_the_locks() -> None:
    assert f"botocore=={NEWEST_BOTOCORE}." in LOCK.read_text("utf-8")


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"\xff\xfe", b"<html>"])
async def test_an_answer_that_is_no_converse_reply_is_the_upstreams_failure(body: bytes) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = raw(body)
        with pytest.raises(UpstreamFailed):
            await bedrock.chat_completion(chat())


async def test_an_endpoint_that_refuses_the_connection_is_unavailable_without_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with serving(endpoint_url=f"http://127.0.0.1:{port}") as (_, bedrock):
        for call in (bedrock.chat_completion, bedrock.stream_chat_completion):
            with pytest.raises(ProviderUnavailable, match="could not be reached") as failure:
                await call(chat())
            assert str(port) not in failure.value.message
        health = await bedrock.health()
    assert health == {
        "status": "Error",
        "message": "Provider `b` could not be reached; check its region_name, and endpoint_url if it has one.",
    }


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_timed_out_is_not_made_again(*, streamed: bool) -> None:
    """The answer that nobody waited for is paid for all the same."""
    async with serving(read_timeout=0.3, total_max_attempts=5) as (fake, bedrock):
        fake.replies["converse"] = fake.replies[STREAM_OF] = hang
        with pytest.raises(UpstreamTimeout):
            await (bedrock.stream_chat_completion(chat()) if streamed else bedrock.chat_completion(chat()))
        await fake.cancelled.wait()
    assert len(fake.seen) == 1


async def test_json_of_another_shape_is_the_upstreams_failure() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = status(200, [1, 2])
        with pytest.raises(UpstreamFailed):
            await bedrock.chat_completion(chat())
