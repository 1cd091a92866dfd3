"""Every request is told of once, when its answer has ended: with its id, what became of it, and where its time went."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from core.errors import UpstreamThrottled
from core.frame.tracing import TRACE, UNTRACED
from core.frame.types import JsonStream
from core.web.observed import LONGEST_ID, Observer, RequestRecord, observed_of, request_id
from core.web.sse import DataFrames, EventStream

OWN = re.compile("req_[0-9a-f]{32}")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

type App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Context:
    """Lambda's, as far as it matters here."""

    aws_request_id: Any = "lambda-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def scope(headers: list[tuple[bytes, bytes]] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "raw_path": b"/v1/models", "headers": headers or [], **more}


async def waits() -> Message:
    await asyncio.sleep(3600)
    raise AssertionError


async def gone() -> Message:
    return {"type": "http.disconnect"}


class World:
    """An app behind an observer; `records` and `sent` are what came of it."""

    def __init__(self, app: App) -> None:
        self.records: list[RequestRecord] = []
        self.sent: list[Message] = []
        self.observer = Observer(app, self.records.append)

    async def ask(
        self, asked: dict[str, Any] | None = None, receive: Receive = waits, pause: float = 0
    ) -> RequestRecord:
        async def send(message: Message) -> None:
            await asyncio.sleep(pause)
            self.sent.append(message)

        told = len(self.records)
        await self.observer(asked or scope(), receive, send)
        assert len(self.records) == told + 1
        return self.records[-1]


async def streams(*given: dict[str, Any] | Exception, pause: float = 0) -> JsonStream:
    for each in given:
        await asyncio.sleep(pause)
        if isinstance(each, Exception):
            raise each
        yield each


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"hello", 201)(scope, receive, send)


async def test_an_answer_is_told_of_with_what_was_noted_on_its_way() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        observed = observed_of(scope)
        observed.operation = "chat_completion"
        with observed.upstream:
            await asyncio.sleep(0.01)
        await Response(b"hello", 201)(scope, receive, send)

    told = await World(app).ask()
    assert (told.status, told.method, told.path, told.streamed) == (201, "GET", "/v1/models", False)
    assert told.observed.operation == "chat_completion"
    assert told.observed.upstream.seconds >= 0.009
    assert told.own + told.observed.upstream.seconds <= told.seconds
    assert told.first_byte is not None


async def test_the_id_is_answered_beside_the_apps_own_headers() -> None:
    response = Response(b"", headers={"x-mine": "1"})
    before = list(response.raw_headers)
    world = World(response)
    told = await world.ask()
    assert world.sent[0]["headers"] == [*before, (b"x-request-id", told.request_id.encode())]
    assert response.raw_headers == before
    assert told.first_byte is None
    assert (await world.ask()).request_id != told.request_id


async def test_without_a_sink_there_are_ids_all_the_same() -> None:
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    await Observer(hello)(scope(), waits, send)
    assert OWN.fullmatch(dict(sent[0]["headers"])[b"x-request-id"].decode())


async def test_only_the_first_request_is_cold() -> None:
    world = World(hello)
    assert [(await world.ask()).cold for _ in range(3)] == [True, False, False]


async def test_what_is_no_request_is_passed_on_untold() -> None:
    seen = list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope["type"])

    world = World(app)
    await world.observer({"type": "lifespan"}, waits, lambda _: asyncio.sleep(0))
    assert (seen, world.records) == (["lifespan"], [])


@pytest.mark.parametrize("begun", [False, True])
async def test_an_app_that_fails_is_a_500_and_still_fails(*, begun: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError

    world = World(app)
    with pytest.raises(KeyError):
        await world.ask()
    assert [record.status for record in world.records] == [500]


async def test_an_app_that_is_cancelled_is_told_of_as_a_client_that_left() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        await receive()

    world = World(app)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await world.ask()
    assert [record.status for record in world.records] == [499]


async def test_a_stream_is_told_of_at_its_end_with_when_it_began() -> None:
    told = await World(EventStream(streams({"a": 1}, {"a": 2}, pause=0.01), DataFrames(done=True))).ask()
    assert (told.status, told.streamed) == (200, True)
    assert told.first_byte is not None
    assert 0.009 <= told.first_byte <= told.seconds - 0.009


async def test_a_stream_that_fails_has_the_status_that_it_could_not_answer_with() -> None:
    world = World(EventStream(streams({"a": 1}, UpstreamThrottled("no")), DataFrames(done=True)))
    assert (await world.ask()).status == 429
    assert world.sent[0]["status"] == 200


async def test_a_stream_whose_client_leaves_is_a_499() -> None:
    world = World(EventStream(streams({"a": 1}, pause=3600), DataFrames(done=True)))
    assert (await world.ask(receive=gone)).status == 499


async def test_what_a_client_is_slow_to_take_is_not_our_own_time() -> None:
    told = await World(hello).ask(pause=0.02)
    assert told.seconds >= 0.038
    assert told.own <= told.seconds - 0.038


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"aws.event": {"requestContext": {"requestId": "gateway-1"}}, "aws.context": Context()}, "gateway-1"),
        ({"aws.event": {"requestContext": {}}, "aws.context": Context()}, "lambda-1"),
        ({"aws.event": {"requestContext": {"requestId": 7}}, "aws.context": Context()}, "lambda-1"),
        ({"aws.event": {"requestContext": {"requestId": "a\r\nb:c"}}, "aws.context": Context()}, "lambda-1"),
        ({"aws.event": {"requestContext": {"requestId": "x" * (LONGEST_ID + 1)}}}, None),
        ({"aws.event": None, "aws.context": Context("")}, None),
        ({"aws.event": [], "aws.context": Context(None)}, None),
        ({"headers": [(b"x-request-id", b"the-callers")]}, None),
        ({}, None),
    ],
)
def test_the_id_is_the_gateways_else_lambdas_else_our_own(more: dict[str, Any], found: str | None) -> None:
    identity = request_id(more)
    assert identity == found if found else OWN.fullmatch(identity)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda part: st.dictionaries(st.text(), part), max_leaves=4))
def test_whatever_is_given_as_an_id_the_header_can_be_sent(identity: object) -> None:
    found = request_id({"aws.event": {"requestContext": {"requestId": identity}}})
    assert 0 < len(found) <= LONGEST_ID
    assert all("!" <= character <= "~" for character in found)


@pytest.mark.parametrize(
    ("asked", "headers", "trace"),
    [
        (scope([(b"traceparent", TRACEPARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]),
         {"traceparent": TRACEPARENT, "tracestate": "a=1,b=2"}, TRACEPARENT[3:35]),
        (scope([(b"traceparent", TRACEPARENT.encode())] * 2), {}, ""),
        (scope([(b"traceparent", b"\xff")]), {}, ""),
        (scope([(b"x-amzn-trace-id", XRAY.encode())]),
         {"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"}, "5759e988bd862e3fe1be46a994272793"),
        (scope([(b"x-amzn-trace-id", XRAY.encode())], **{"aws.trace_id": XRAY.replace("53", "11")}),
         {"traceparent": "00-5759e988bd862e3fe1be46a994272793-11995c3f42cd8ad8-01"}, "5759e988bd862e3fe1be46a994272793"),
        (scope([(b"authorization", b"Bearer x"), (b"baggage", b"a=1")]), {}, ""),
    ],
)  # fmt: skip
async def test_the_trace_is_there_for_the_request_and_for_no_other(
    asked: dict[str, Any], headers: dict[str, str], trace: str
) -> None:
    seen = list[object]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await asyncio.create_task(within()))
        await hello(scope, receive, send)

    async def within() -> object:
        return TRACE.get().headers

    world = World(app)
    assert (await world.ask(asked)).trace_id == trace
    assert TRACE.get() is UNTRACED
    assert (await world.ask()).trace_id == ""
    assert seen == [headers, {}]


def test_without_an_observer_facts_are_noted_for_nobody() -> None:
    bare: dict[str, Any] = {}
    observed_of(bare).model = "m"
    assert observed_of(bare).model == ""
