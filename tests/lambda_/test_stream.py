"""The streaming runtime against a double of Lambda's Runtime API: what leaves, when, and what outlives a request."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
import json
import os
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from core.runtime import asgi_cycle
from tests.lambda_.environment import GET, begin, error_of, everywhere, hello, say, serving, until
from tests.lambda_.events import SHAPES, Call, event
from tests.lambda_.runtime_api import RuntimeApiDouble

every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
async def test_answer_has_its_status_headers_and_body(shape: str) -> None:
    async with serving(everywhere(echo)) as double:
        outcome = await double.invoke(event(shape, Call("POST", "/v1/models", "Grüße 👋"))).whole()
    assert outcome.prelude["statusCode"] == 201
    assert outcome.prelude["headers"] == {"content-type": "application/json", "content-length": str(len(outcome.body))}
    assert json.loads(outcome.body) == {"method": "POST", "path": "/v1/models", "body": "Grüße 👋"}
    assert (outcome.trailers, outcome.error) == ({}, None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    said = {"method": request.method, "path": scope["path"], "body": (await request.body()).decode()}
    await JSONResponse(said, status_code=201)(scope, receive, send)


async def test_each_chunk_leaves_before_the_next_is_made() -> None:
    """The app goes on only when the double has what it sent: one that collects would wait for ever."""
    turn = asyncio.Queue[bytes]()

    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        while text := await turn.get():
            await say(send, text)
        await say(send, b"", more=False)

    async with serving(app) as double, asyncio.timeout(10):
        outcome = double.invoke(GET)
        for count, text in enumerate([b"one", b"two", b"three"], 1):
            turn.put_nowait(text)
            assert (await outcome.until(count))[-1] == text
            assert not outcome.over
        turn.put_nowait(b"")
        assert (await outcome.whole()).body == b"onetwothree"


async def test_prelude_leaves_before_there_is_a_body() -> None:
    go = asyncio.Event()

    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, b"")  # which is no end
        await go.wait()
        await say(send, b"late", more=False)

    async with serving(app) as double, asyncio.timeout(10):
        outcome = double.invoke(GET)
        assert await outcome.until(0) == []
        assert outcome.prelude["statusCode"] == 200
        assert not outcome.over
        go.set()
        assert (await outcome.whole()).body == b"late"


async def test_app_waits_while_nobody_reads() -> None:
    sent = 0
    megabyte = bytes(1024 * 1024)

    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await begin(send)
        for _n in range(64):
            await say(send, megabyte)
            sent += 1
        await say(send, b"", more=False)

    double = RuntimeApiDouble()
    async with serving(app, double), asyncio.timeout(60):
        double.reading.clear()
        outcome = double.invoke(GET)
        before = -1
        while sent > before or not sent:  # until it makes no progress
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 64
        double.reading.set()
        assert len((await outcome.whole()).body) == 64 * len(megabyte)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answer_that_has_no_body_sends_none(method: str, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"ignored", status)(scope, receive, send)

    async with serving(app) as double:
        outcome = await double.invoke(event("rest", Call(method))).whole()
    assert (outcome.prelude["statusCode"], outcome.body) == (status, b"")


@every_shape
async def test_cookies_and_repeated_headers_are_kept_apart(shape: str) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"X-Many", b"1"), (b"x-many", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"x-odd", b"caf\xe9\xff")]})
        await send({"type": "http.response.body"})

    async with serving(app) as double:
        prelude = (await double.invoke(event(shape, Call())).whole()).prelude
    assert prelude["cookies"] == ["a=1", "b=2"]
    assert prelude["headers"]["x-odd"] == "café\u00ff"
    many = prelude["multiValueHeaders"]["x-many"] if shape == "rest" else prelude["headers"]["x-many"].split(",")
    assert many == ["1", "2"]


async def test_app_that_raises_before_its_answer_is_500_without_what_it_raised() -> None:
    async def app(_: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError("an-inner-matter")

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
        assert (await double.invoke(GET).whole()).prelude["statusCode"] == 500  # it lives on
    assert outcome.prelude["statusCode"] == 500
    assert error_of(outcome.body)["code"] == "internal_error"
    assert b"an-inner-matter" not in outcome.body


async def test_app_that_raises_in_its_answer_ends_it_with_an_error_in_trailers() -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, b"half")
        raise LookupError("an-inner-matter")

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
        assert (await double.invoke(GET).whole()).over
    assert outcome.body == b"half"
    assert outcome.headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    assert outcome.trailer is not None
    assert outcome.trailer["errorType"] == "LookupError"
    assert "an-inner-matter" not in str(outcome.trailer)


async def test_error_class_with_a_foreign_name_still_fits_in_a_header() -> None:
    kind = type("Störung", (Exception,), {})

    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        raise kind

    async with serving(app) as double:
        trailer = (await double.invoke(GET).whole()).trailer
    assert trailer is not None
    assert trailer["errorType"] == "St?rung"


async def test_app_that_returns_without_an_answer_is_500() -> None:
    async def app(_: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
    assert outcome.prelude["statusCode"] == 500
    assert error_of(outcome.body)["type"] == "server_error"


async def test_app_that_returns_in_its_answer_ends_it_with_an_error() -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, b"half")

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
    assert outcome.trailer is not None
    assert outcome.trailer["errorType"] == "IncompleteAnswer"


@pytest.mark.parametrize("first", ["http.response.body", "http.nonsense"])
async def test_messages_in_the_wrong_order_are_the_apps_fault(first: str) -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": first})

    async with serving(app) as double:
        assert (await double.invoke(GET).whole()).prelude["statusCode"] == 500


async def test_app_that_fails_after_its_answer_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await say(send, b"more")

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
        assert (await double.invoke(GET).whole()).body == b"hello"
    assert (outcome.body, outcome.trailers) == (b"hello", {})
    assert "the app failed" in caplog.text


async def test_what_an_app_does_after_its_answer_is_done_before_the_next_invocation() -> None:
    order = list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        order.append("begin")
        await hello(scope, receive, send)
        await asyncio.sleep(0)
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        order.append("end")

    async with serving(app) as double:
        first, second = double.invoke(GET), double.invoke(GET)
        await first.whole()
        await second.whole()
        await until(lambda: len(order) == 4)
    assert order == ["begin", "end"] * 2


async def test_starlettes_own_streaming_works() -> None:
    async def words() -> AsyncIterator[str]:
        for word in ("a", "b", "c"):
            yield word

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(words())(scope, receive, send)

    async with serving(everywhere(app)) as double:
        outcome = await double.invoke(GET).whole()
        assert await outcome.until(3) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("payload", [b"", b"{", b"null", b"[]", b'"x"', b"{}", b"\xff\xfe", b"[" * 100_000])
async def test_event_that_is_no_http_request_is_an_error_and_the_runtime_lives_on(payload: bytes) -> None:
    async with serving(hello) as double:
        refused = await double.invoke(payload).whole()
        assert (await double.invoke(GET).whole()).body == b"hello"
    assert refused.chunks == []
    assert refused.error is not None
    assert refused.error["errorType"] == refused.error["header"] == "Runtime.NotHttp"
    assert refused.error["errorMessage"]


@pytest.mark.parametrize("chunked", [True, False])
async def test_body_of_6_megabytes_arrives(*, chunked: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"{len(body)} {sum(body)}")(scope, receive, send)

    async with serving(app, RuntimeApiDouble(chunked=chunked)) as double:
        outcome = await double.invoke(event("http", Call("POST", body="x" * 6_000_000))).whole()
    assert outcome.body == f"6000000 {6_000_000 * ord('x')}".encode()


async def test_scope_has_what_aws_says_of_the_invocation() -> None:
    seen = dict[str, Any]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope)
        await hello(scope, receive, send)

    async with serving(app) as double:
        await double.invoke(GET, seconds=20, Lambda_Runtime_Aws_Tenant_Id="tenant").whole()
    context = seen["aws.context"]
    assert seen["aws.event"] == GET
    assert seen["aws.trace_id"].startswith("Root=1-")
    assert os.environ["_X_AMZN_TRACE_ID"] == seen["aws.trace_id"]
    assert context.aws_request_id.startswith("8476a536")
    assert (context.function_name, context.tenant_id) == ("f", "tenant")
    assert 0 < context.get_remaining_time_in_millis() <= 20_000


async def test_nothing_of_a_request_survives_into_the_next() -> None:
    variable = ContextVar("variable", default="nothing")
    cancelled = list[str]()
    seen = list[str]()

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append("lingering")
            raise

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        variable.set("something")
        scope["task"] = asyncio.create_task(linger())
        await asyncio.sleep(0)
        await hello(scope, receive, send)

    before = len(asyncio.all_tasks())
    async with serving(app) as double:
        during = None
        for number in range(50):
            await double.invoke(GET).whole()
            await double.invoke(GET).whole()
            during = during or len(asyncio.all_tasks())
            assert len(asyncio.all_tasks()) <= during + 1, number
        assert double.connections == 1
    assert seen == ["nothing"] * 100
    assert cancelled == ["lingering"] * 100
    await until(lambda: len(asyncio.all_tasks()) <= before)  # the double's own end too


async def test_task_that_does_not_end_is_logged_and_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi_cycle, "GRACE_SECONDS", 0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["task"] = asyncio.create_task(stubborn(), name="stubborn")
        await asyncio.sleep(0)
        await hello(scope, receive, send)

    async with serving(app) as double, asyncio.timeout(10):
        await double.invoke(GET).whole()
        assert (await double.invoke(GET).whole()).body == b"hello"
        release.set()
    assert "stubborn does not end" in caplog.text
