"""A function's time bounds every answer, and silence in a stream is broken before a gateway takes it for the end."""

import asyncio
from dataclasses import dataclass, field
import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from core.errors import ApiError, UpstreamTimeout
from core.frame.callers import Principal
from core.frame.types import EventSource, JsonStream, NamedEvent, Wire
from core.web import sse
from core.web.authentication import AuthenticationMiddleware
from core.web.exchange import Exchange, Middleware, chain, endpoint
from core.web.failures import Bug, ClientLeft, attempt, deadline, while_there
from core.web.quota import QuotaMiddleware
from core.web.sse import DataFrames, EventFrames, EventStream

SOON = 0.05  # seconds


@dataclass
class Time:
    """Lambda's context, as far as it matters here."""

    left_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@dataclass
class Source:
    """A stream that says `given`, each after `pause` seconds, then waits for ever or ends."""

    given: list[dict[str, Any]]
    pause: float = 0
    hangs: bool = False
    closed: bool = field(default=False)

    async def stream(self) -> JsonStream:
        try:
            for each in self.given:
                await asyncio.sleep(self.pause)
                yield each
            if self.hangs:
                await asyncio.sleep(3600)
        finally:
            self.closed = True


async def sent(stream: EventStream, scope: dict[str, Any]) -> list[bytes]:
    bodies = list[bytes]()

    async def send(message: Any) -> None:
        bodies.append(message.get("body", b""))
        await asyncio.sleep(0)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    await stream(scope, receive, send)
    return bodies[1:]


async def test_deadline_is_before_lambdas_and_there_is_none_elsewhere() -> None:
    now = asyncio.get_running_loop().time()
    until = deadline({"aws.context": Time(10_000)})
    assert until is not None
    assert now < until < now + 10
    assert deadline({}) is None
    assert deadline({"aws.context": None}) is None


async def test_work_that_outlives_the_time_is_cancelled_and_is_504() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    outcome = await attempt(work(), asyncio.get_running_loop().time() + SOON)
    assert isinstance(outcome, UpstreamTimeout)
    assert cancelled.is_set()


async def test_timeout_within_the_work_is_no_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise TimeoutError

    outcome = await attempt(work(), asyncio.get_running_loop().time() + 3600)
    assert isinstance(outcome, Bug)
    assert "a request failed" in caplog.text


async def test_work_in_time_is_what_it_is() -> None:
    async def work() -> int:
        return 1

    assert await attempt(work(), asyncio.get_running_loop().time() + 3600) == 1


class Stuck:
    """An issuer, a body, counters or a provider that never answers."""

    async def authenticate(self, _: Request) -> Principal:
        await asyncio.sleep(3600)
        raise AssertionError

    async def admit(self, *_: object) -> Any:
        await asyncio.sleep(3600)

    async def __call__(self, *_: object) -> Any:
        await asyncio.sleep(3600)
        raise AssertionError


async def fine(_: Exchange) -> Response:
    return Response("fine")


async def reads(exchange: Exchange) -> Response:
    return Response(str(await exchange.body()))


STUCK: Any = Stuck()


@pytest.mark.parametrize(
    ("handler", "middleware"),
    [
        (fine, AuthenticationMiddleware(STUCK)),
        (reads, AuthenticationMiddleware()),
        (fine, QuotaMiddleware(STUCK)),
        (STUCK, AuthenticationMiddleware()),
    ],
    ids=["who calls", "what they ask", "how much is left", "the work"],
)
async def test_every_step_of_an_answer_is_bounded(handler: Any, middleware: Middleware) -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [], "client": None, "aws.context": Time(500 + int(1000 * SOON))}
    answers = endpoint(chain(handler, [AuthenticationMiddleware(), middleware]), lambda: Wire)
    async with asyncio.timeout(10):
        answer = await answers(Request(scope, STUCK))
    assert answer.status_code == 504


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_client_that_leaves_as_the_work_ends_gets_the_answer_and_cancels_nothing_more(*, leaves: bool) -> None:
    leave = asyncio.Event()

    async def receive() -> Any:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def work() -> int:
        await asyncio.sleep(0)
        if leaves:
            leave.set()
            while len(asyncio.all_tasks()) > before:  # until the one that watches has seen it  # noqa: ASYNC110
                await asyncio.sleep(0)
        return 1

    before = len(asyncio.all_tasks())
    outcome = await attempt(while_there(Request({"type": "http"}, receive), work()))
    await asyncio.sleep(0)
    assert outcome == 1 or (leaves and isinstance(outcome, ClientLeft))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_whoever_cancels_the_work_is_not_taken_for_the_client() -> None:
    async def receive() -> Any:
        await asyncio.sleep(3600)

    outcome = await attempt(
        while_there(Request({"type": "http"}, receive), asyncio.sleep(3600)), asyncio.get_running_loop().time() + SOON
    )
    assert isinstance(outcome, UpstreamTimeout)
    stopped = asyncio.create_task(while_there(Request({"type": "http"}, receive), asyncio.sleep(3600)))
    await asyncio.sleep(0)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped


async def test_stream_that_outlives_the_time_ends_with_the_error_event() -> None:
    source = Source([{"a": 1}], hangs=True)
    stream = EventStream(source.stream(), DataFrames(done=True))
    first, last, end = await sent(stream, {"aws.context": Time(1_000)})
    assert (first, end) == (b'data: {"a":1}\n\n', b"data: [DONE]\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_timeout"
    assert source.closed
    assert stream.failed


async def test_a_stream_of_named_events_that_outlives_the_time_ends_with_one_of_its_own() -> None:
    async def events() -> EventSource:
        yield NamedEvent("step", {}, "7")
        await asyncio.sleep(3600)

    def tell(failure: ApiError, last: NamedEvent | None) -> NamedEvent:
        assert last is not None
        return NamedEvent("failed", {"after": last.id, "code": failure.code})

    _, last, end = await sent(EventStream(events(), EventFrames(tell)), {"aws.context": Time(1_000)})
    assert (last, end) == (b'event: failed\ndata: {"after":"7","code":"upstream_timeout"}\n\n', b"")


async def test_silence_is_broken_by_comments_and_no_event_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SILENCE_SECONDS", SOON)
    given = [{"n": number} for number in range(3)]
    bodies = await sent(EventStream(Source(given, pause=SOON * 5).stream(), DataFrames(done=True)), {})
    assert bodies.count(sse.PING) >= 3
    assert sse.PING.startswith(b":")
    assert sse.PING.find(b"\n") == len(sse.PING) - 1  # an empty line would end an event of no data, for openai-go
    assert [body for body in bodies if body != sse.PING] == [
        *(b'data: {"n":%d}\n\n' % number for number in range(3)),
        b"data: [DONE]\n\n",
    ]
    assert bodies[0] == sse.PING


async def test_comments_are_sent_after_silence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SILENCE_SECONDS", SOON * 4)
    said_at = asyncio.get_running_loop().time()
    silences = list[float]()

    async def send(message: Any) -> None:
        nonlocal said_at
        before, said_at = said_at, asyncio.get_running_loop().time()
        if message.get("body") == sse.PING:
            silences.append(said_at - before)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    given = [{"n": number} for number in range(12)]
    await EventStream(Source(given, pause=SOON).stream(), DataFrames(done=False))({}, receive, send)
    assert all(silence >= SOON * 4 for silence in silences)


async def test_comments_end_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SILENCE_SECONDS", SOON)
    before = asyncio.all_tasks()
    await sent(EventStream(Source([{"n": 1}]).stream(), DataFrames(done=True)), {})
    assert asyncio.all_tasks() == before
