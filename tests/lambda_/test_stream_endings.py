"""What the streaming runtime does when time is up, when nobody listens, and when the Runtime API misbehaves."""

import asyncio
import logging
import os
import signal

import pytest
from starlette.types import Receive, Scope, Send

from core.runtime import asgi_cycle, stream
from core.runtime.invocations import Failure, Invocation, RuntimeApi, RuntimeApiFailed
from core.runtime.stream import ExecutionEnvironment
from tests.lambda_.environment import GET, begin, ended_badly, error_of, hang, hello, say, serving, until
from tests.lambda_.runtime_api import RuntimeApiDouble, listening


@pytest.mark.parametrize("headers", [[("a", "b")], [(b"a",)], [(b"a", None)], [b"ab"]])
async def test_headers_that_are_none_are_the_apps_fault(headers: list[object]) -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async with serving(app) as double:
        outcome = await double.invoke(GET).whole()
        assert (await double.invoke(GET).whole()).over
    assert (outcome.prelude["statusCode"], outcome.trailers) == (500, {})


async def test_deadline_before_the_answer_is_504_in_the_error_body() -> None:
    async with serving(hang) as double:
        outcome = await double.invoke(GET, seconds=0.4).whole()
        assert (await double.invoke(GET, seconds=0.4).whole()).over
    assert outcome.prelude["statusCode"] == 504
    assert error_of(outcome.body)["code"] == "upstream_timeout"


async def test_last_resort_leaves_time_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MARGIN_SECONDS", 60)
    async with serving(hang) as double, asyncio.timeout(10):
        assert (await double.invoke(GET, seconds=60).whole()).prelude["statusCode"] == 504


async def test_app_that_answers_when_it_is_cancelled_has_the_last_word() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await hang(scope, receive, send)
        except asyncio.CancelledError:
            await hello(scope, receive, send)

    async with serving(app) as double:
        assert (await double.invoke(GET, seconds=0.4).whole()).body == b"hello"


async def test_deadline_in_events_is_an_error_event_and_a_clean_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"text/event-stream; charset=utf-8")
        await say(send, b"data: 1\n\n")
        await hang(scope, receive, send)

    async with serving(app) as double:
        outcome = await double.invoke(GET, seconds=1.5).whole()
    one, two, rest = outcome.body.split(b"\n\n")
    assert (one, rest) == (b"data: 1", b"")
    assert error_of(two.removeprefix(b"data: "))["code"] == "upstream_timeout"
    assert (outcome.trailers, outcome.cut) == ({}, False)


async def test_deadline_in_any_other_answer_is_an_error_in_trailers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, b"application/json")
        await say(send, b"[1,")
        await hang(scope, receive, send)

    async with serving(app) as double:
        outcome = await double.invoke(GET, seconds=1.5).whole()
    assert outcome.trailer is not None
    assert outcome.trailer["errorType"] == "IncompleteAnswer"


async def test_runtime_api_that_hangs_up_in_an_answer_tells_the_app_which_may_tidy_up() -> None:
    seen = list[str]()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await begin(send)
        leaving = asyncio.create_task(said(receive))
        while not leaving.done():
            await say(send, b"more")
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)  # there is time
        seen.append(await leaving)
        await say(send, b"nobody reads this", more=False)

    async def said(receive: Receive) -> str:
        return str((await receive())["type"])

    async with serving(app, RuntimeApiDouble(hang_up=3)) as double, asyncio.timeout(10):
        assert (await double.invoke(GET).whole()).cut
        double.hang_up = None
        double.early = True  # and one that replies too early has left as well
        await double.invoke(GET).whole()
        double.early = False
        double.invoke(b"null")
        await until(lambda: bool(double.heard))
    assert seen == ["http.disconnect"] * 2


async def test_app_that_does_not_hear_that_its_client_left_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_cycle, "GRACE_SECONDS", 0.05)
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        try:
            await hang(scope, receive, send)
        finally:
            cancelled.set()

    async with serving(app, RuntimeApiDouble(hang_up=0)) as double, asyncio.timeout(10):
        await double.invoke(GET).whole()
        await cancelled.wait()
        double.hang_up = None
        double.invoke(b"null")
        await until(lambda: bool(double.heard))


async def test_app_that_goes_on_without_its_client_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_cycle, "GRACE_SECONDS", 0.05)
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        scope[asgi_cycle.GO_ON]()
        await begin(send)
        await asyncio.sleep(0.3)
        ended.set()

    async with serving(app, RuntimeApiDouble(hang_up=0)) as double, asyncio.timeout(10):
        await double.invoke(GET).whole()
        await ended.wait()
        double.hang_up = None
        double.invoke(b"null")
        await until(lambda: bool(double.heard))


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("status", [400, 403, 413])
async def test_answer_that_is_refused_is_logged_and_the_runtime_lives_on(
    status: int, caplog: pytest.LogCaptureFixture, *, early: bool
) -> None:
    async with serving(hello, RuntimeApiDouble(statuses={"response": status}, early=early)) as double:
        await double.invoke(GET).whole()
        double.statuses.clear()
        double.early = False
        assert (await double.invoke(GET).whole()).body == b"hello"
    assert f"refused a response with {status}" in caplog.text


async def test_refused_error_is_logged_and_the_runtime_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(hello, RuntimeApiDouble(statuses={"error": 403})) as double:
        await double.invoke(b"null").whole()
        assert (await double.invoke(GET).whole()).body == b"hello"
    assert "refused a response with 403" in caplog.text


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_answer_that_fails_otherwise_ends_the_environment(status: int) -> None:
    said = await ended_badly(hello, RuntimeApiDouble(statuses={"response": status}))
    assert str(status) in said


async def test_environment_that_is_given_up_in_an_answer_ends() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        while (await receive())["type"] != "http.disconnect":
            pass

    assert "500" in await ended_badly(app, RuntimeApiDouble(statuses={"response": 500}, early=True))


@pytest.mark.parametrize(
    ("status", "word"),
    [(403, "403"), (500, "500"), (204, "204"), (299, "299"), *((odd, "gone") for odd in (0, -1, -2, -3, -4, -5))],
)
async def test_no_further_invocation_ends_the_environment_with_a_clear_message(status: int, word: str) -> None:
    assert word in await ended_badly(hello, RuntimeApiDouble(statuses={"next": status}))


async def test_invocation_without_an_id_ends_the_environment() -> None:
    assert "lambda-runtime-aws-request-id" in await ended_badly(hello, RuntimeApiDouble(statuses={"next": 200}))


async def test_runtime_api_that_goes_away_during_a_request_ends_the_environment() -> None:
    double = RuntimeApiDouble(close_after=True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert double.server is not None
        double.server.close()
        await hello(scope, receive, send)
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    assert "gone" in await ended_badly(app, double)


async def test_reply_that_does_not_come_is_logged_and_the_runtime_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(hello, RuntimeApiDouble(statuses={"response": 0})) as double:
        assert (await double.invoke(GET).whole()).body == b"hello"
        double.statuses.clear()
        assert (await double.invoke(GET).whole()).body == b"hello"
    assert "the client left before the end of the answer" in caplog.text


@pytest.mark.parametrize("address", ["", "127.0.0.1:1", "127.0.0.1", "127.0.0.1:port"])
async def test_runtime_api_that_is_not_there_ends_the_environment(address: str) -> None:
    with pytest.raises(RuntimeApiFailed, match="gone"):
        await ExecutionEnvironment(hello, RuntimeApi(address), {}).run()


async def test_runtime_api_that_closes_each_connection_is_served_over_new_ones() -> None:
    async with serving(hello, RuntimeApiDouble(close_after=True)) as double:
        for _ in range(3):
            assert (await double.invoke(GET).whole()).body == b"hello"
    assert double.connections > 3


async def test_request_over_a_kept_connection_that_turns_out_to_be_closed_is_sent_again() -> None:
    async with listening(RuntimeApiDouble(statuses={"error": 0})) as double:
        api = RuntimeApi(double.address)
        outcome = double.invoke(GET)
        invocation = await api.next()
        await api.report_invocation_error(invocation.request_id, Failure("T", "m"))
        await api.close()
    assert outcome.error is not None
    assert [path for path, _ in double.heard] == [f"invocation/{invocation.request_id}/error"] * 2


async def test_sigterm_lets_the_request_under_way_finish() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await go.wait()
        await hello(scope, receive, send)

    async with listening() as double, asyncio.timeout(10):
        outcome = double.invoke(GET)
        double.invoke(GET)
        api = RuntimeApi(double.address)
        running = asyncio.create_task(ExecutionEnvironment(app, api, {}).run())
        asyncio.get_running_loop().call_later(0.1, go.set)
        await running
        await api.close()
    assert outcome.body == b"hello"
    assert sum(asked.startswith("GET") for asked in double.asked) == 1
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


def test_logging_is_quiet_about_payloads() -> None:
    shown = repr(Invocation("id", 1, "arn", "", None, b"a-callers-words"))
    assert "a-callers-words" not in shown
    assert logging.getLogger("core.runtime").name == "core.runtime"
