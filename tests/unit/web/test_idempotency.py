"""What a key is, how long it is held, and that it is given back or kept whatever becomes of the call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self, override

import httpx
from hypothesis import given
from hypothesis import strategies as st
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from core.config.security import IdempotencyConfig
from core.errors import ApiError, ProviderUnavailable, UpstreamFailed
from core.frame.callers import Call, Principal
from core.frame.types import JsonStream, Wire
from core.quota.identity import identity
from core.stores.answers.port import Answer, Lease
from core.web.authentication import AuthenticationMiddleware
from core.web.exchange import Exchange, chain, endpoint
from core.web.idempotency import LONGEST_LEASE, SPARE_SECONDS, IdempotencyMiddleware, LeaseHolder, _digest
from core.web.sse import DataFrames, EventStream
from tests.fakes import Clock
from tests.unit.web.fakes import MemoryAnswers

LIMIT = 100
TTL = 50
REPLAYED = "idempotent-replayed"


@dataclass
class Function:
    """Lambda's context, as far as it matters here."""

    left_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


class Unread(Wire):
    """A body of any form."""

    @classmethod
    @override
    def model_validate_json(cls, *_: Any, **__: Any) -> Self:
        return cls()


@dataclass
class World:
    """An endpoint that answers with its body, or does what `does` says; `asked` has the bodies that came so far."""

    store: MemoryAnswers = field(default_factory=MemoryAnswers)
    clock: Clock = field(default_factory=Clock)
    asked: list[bytes] = field(default_factory=list[bytes])
    does: Callable[[bytes], Any] | None = None
    function: Function | None = None

    def idempotency(self) -> IdempotencyMiddleware:
        config = IdempotencyConfig.model_validate(
            {"kvstore": {"type": "sqlite", "db_path": "x"}, "ttl_seconds": TTL, "max_answer_bytes": 1024}
        )
        return IdempotencyMiddleware(self.store, config, self.clock)

    async def perform(self, exchange: Exchange) -> Response:
        self.asked.append(body := await exchange.content())
        done = self.does(body) if self.does is not None else None
        if asyncio.iscoroutine(done):
            done = await done
        return done if isinstance(done, Response) else Response(body, media_type="text/plain")

    def app(self) -> Starlette:
        handle = chain(self.perform, [AuthenticationMiddleware(), self.idempotency()])
        return Starlette(routes=[Route("/x", endpoint(handle, lambda: Unread, limit=LIMIT), methods=["POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app()({**scope, "aws.context": self.function}, receive, send)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world), base_url="http://t") as client:
        yield client


async def post(client: httpx.AsyncClient, body: bytes = b"a", key: str = "k") -> httpx.Response:
    return await client.post("/x", content=body, headers={"idempotency-key": key})


async def happened(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is what another task does that is waited for
            await asyncio.sleep(0.001)


def raises(failure: Exception) -> Callable[[bytes], Any]:
    def does(_: bytes) -> Any:
        raise failure

    return does


async def test_an_answer_is_kept_for_its_time_and_then_asked_for_anew(client: httpx.AsyncClient, world: World) -> None:
    assert (await post(client)).content == b"a"
    world.clock.now = TTL - 1
    assert REPLAYED in (await post(client)).headers
    world.clock.now = TTL
    assert REPLAYED not in (await post(client, b"other")).headers
    assert world.asked == [b"a", b"other"]


async def test_the_body_is_bounded_and_kept_whole_in_every_chunking(client: httpx.AsyncClient, world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b"ab", b"", b"c"):
            yield part

    headers = {"idempotency-key": "k"}
    assert (await client.post("/x", content=chunks(), headers=headers)).content == b"abc"
    assert REPLAYED in (await post(client, b"abc")).headers
    assert (await post(client, b"a" * (LIMIT + 1), "l")).status_code == 413
    assert world.asked == [b"abc"]


async def test_no_more_of_a_body_is_read_than_is_allowed(world: World) -> None:
    received = count(1)
    statuses: list[int] = []

    async def receive() -> Message:
        more = next(received) < 50
        return {"type": "http.request", "body": b"a" * 10, "more_body": more}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    headers = [(b"idempotency-key", b"k")]
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers, "query_string": b"", "root_path": ""}
    await world(scope, receive, send)
    assert statuses[0] == 413
    assert next(received) == LIMIT / 10 + 2


@pytest.mark.parametrize("failure", [UpstreamFailed("no"), ProviderUnavailable("no"), ZeroDivisionError("bug")])
async def test_every_failure_frees_the_key(client: httpx.AsyncClient, world: World, failure: Exception) -> None:
    world.does = raises(failure)
    status = failure.status if isinstance(failure, ApiError) else 500
    assert (await post(client)).status_code == status
    assert world.store.rows == {}


@pytest.mark.parametrize("status", [199, 300, 404, 500])
async def test_only_what_succeeded_is_kept(client: httpx.AsyncClient, world: World, status: int) -> None:
    world.does = lambda _: Response(b"no", status, media_type="text/plain")
    await post(client)
    assert world.store.rows == {}


@pytest.mark.parametrize("status", [200, 202, 299])
async def test_a_success_keeps_its_status_and_type(client: httpx.AsyncClient, world: World, status: int) -> None:
    world.does = lambda _: Response(b"yes", status, media_type="a/b")
    await post(client)
    again = await post(client)
    assert (again.status_code, again.headers["content-type"], again.content) == (status, "a/b", b"yes")


@pytest.mark.parametrize(("size", "kept"), [(1024, True), (1025, False)])
async def test_the_largest_answer_that_is_kept(
    client: httpx.AsyncClient, world: World, size: int, *, kept: bool
) -> None:
    world.does = lambda _: Response(b"x" * size, media_type="a/b")
    assert len((await post(client)).content) == size
    assert bool(world.store.rows) is kept


def events(sizes: list[int]) -> Callable[[bytes], Response]:
    """A stream of events of these sizes, with their frames."""

    async def chunks() -> JsonStream:
        for size in sizes:
            yield {"x": "y" * (size - len('data: {"x":""}\n\n'))}

    return lambda _: EventStream(chunks(), DataFrames(done=True))


@pytest.mark.parametrize(
    ("sizes", "kept"), [([], True), ([512, 512], True), ([512, 513], False), ([2000, 20], False), ([20, 2000], False)]
)
async def test_the_largest_stream_that_is_kept(
    client: httpx.AsyncClient, world: World, sizes: list[int], *, kept: bool
) -> None:
    world.does = events(sizes)
    first = await post(client)
    assert len(first.content) == sum(sizes) + len("data: [DONE]\n\n")
    again = await post(client)
    assert (REPLAYED in again.headers) is kept
    assert again.content == first.content


async def test_pings_are_no_part_of_what_is_kept(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.web.sse.SILENCE_SECONDS", 0.01)

    async def slow() -> JsonStream:
        yield {"n": 1}
        await asyncio.sleep(0.1)
        yield {"n": 2}

    world.does = lambda _: EventStream(slow(), DataFrames(done=True))
    assert b": ping\n" in (await post(client)).content
    assert (await post(client)).content == b'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n'


async def test_a_lease_is_as_long_as_the_function_has_or_a_quarter_of_an_hour(
    client: httpx.AsyncClient, world: World
) -> None:
    world.clock.now = 1000.5
    for left in (None, 30_000, 0, 5_000_000):
        world.function = Function(left) if left is not None else None
        await post(client, key=f"k{left}")
    none, half_minute, over, long = [until - 1000 for until in world.store.until]
    assert (none, long) == (LONGEST_LEASE + 1, LONGEST_LEASE + 1)  # the next whole second
    assert 30 < half_minute <= 30 + SPARE_SECONDS + 1
    assert over == SPARE_SECONDS + 1


async def test_a_key_whose_holder_is_gone_is_taken_over_when_the_lease_has_ended(
    client: httpx.AsyncClient, world: World
) -> None:
    world.function = Function(30_000)

    async def die(_: bytes) -> None:
        world.store.down = True
        raise UpstreamFailed("no")

    world.does = die
    assert (await post(client)).status_code == 502
    world.store.down, world.does = False, None
    waiting = await post(client)
    assert (waiting.status_code, waiting.headers["retry-after"]) == (409, "2")
    world.clock.now = 30 + SPARE_SECONDS + 1
    assert (await post(client)).status_code == 200
    assert len(world.asked) == 2


async def test_an_answer_after_a_takeover_is_given_but_not_kept(
    client: httpx.AsyncClient, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    async def wait(body: bytes) -> Response:
        await go.wait()
        return Response(body + b" late", media_type="a/b")

    world.does = wait
    slow = asyncio.create_task(post(client))
    await happened(lambda: bool(world.asked))
    world.does = None
    world.clock.now = LONGEST_LEASE
    assert (await post(client)).content == b"a"
    go.set()
    assert (await slow).content == b"a late"
    assert (await post(client)).content == b"a"
    assert "its lease had ended" in caplog.text


async def test_a_store_that_is_down_before_is_a_503_and_after_a_warning(
    client: httpx.AsyncClient, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.down = True
    assert (await post(client)).status_code == 503
    assert world.asked == []
    world.store.down = False

    def fail(_: bytes) -> None:
        world.store.down = True

    world.does = fail
    assert (await post(client, key="secret-key")).content == b"a"
    assert "a key stays taken" in caplog.text
    assert "secret-key" not in caplog.text


class Hanging(MemoryAnswers):
    """Its `finish` and `release` wait for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    @override
    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        await self.go.wait()
        return await super().finish(lease, answer, expires=expires)

    @override
    async def release(self, lease: Lease) -> None:
        await self.go.wait()
        await super().release(lease)


@pytest.mark.parametrize("failure", [None, UpstreamFailed("no")])
async def test_a_store_that_hangs_at_the_end_does_not_outlive_the_function(
    client: httpx.AsyncClient, world: World, failure: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    world.store = Hanging()
    world.function = Function(1500)
    world.does = raises(failure) if failure is not None else events([20])
    answer = await asyncio.wait_for(post(client), 30)
    assert answer.status_code == (502 if failure is not None else 200)
    await happened(lambda: "the function's time is up" in caplog.text)


async def test_a_slow_store_is_waited_for_while_the_function_has_time(client: httpx.AsyncClient, world: World) -> None:
    store = world.store = Hanging()
    world.function = Function(60_000)
    world.does = events([20])
    asyncio.get_running_loop().call_later(0.05, store.go.set)
    await post(client)
    assert [row.answer is not None for row in store.rows.values()] == [True]


async def test_what_was_sent_whole_is_kept_though_the_client_leaves_meanwhile(world: World) -> None:
    store = world.store = Hanging()
    world.does = events([20, 20])
    messages: list[Message] = [{"type": "http.request", "body": b"a", "more_body": False}]
    leave = asyncio.Event()
    bodies: list[bytes] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        bodies.append(message.get("body", b""))

    headers = [(b"idempotency-key", b"k")]
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers, "query_string": b"", "root_path": ""}
    serving = asyncio.create_task(world(scope, receive, send))
    await happened(lambda: len(bodies) == 3)
    leave.set()
    for _ in range(20):
        await asyncio.sleep(0)
    store.go.set()
    await asyncio.wait_for(serving, 30)
    (row,) = store.rows.values()
    assert row.answer is not None
    assert row.answer.body == b"".join(bodies[1:3])


async def test_the_first_end_of_a_call_decides(world: World) -> None:
    lease = await world.store.begin("k", "f", now=0, until=9)
    assert isinstance(lease, Lease)
    keeper = LeaseHolder(world.idempotency(), lease, None)
    keeper.add(b"data: 1\n\n")
    await keeper.close(whole=True)
    await keeper.close(whole=False)
    assert world.store.rows["k"].answer == Answer(200, "text/event-stream; charset=utf-8", b"data: 1\n\n")


async def test_a_server_that_stops_waits_until_the_key_is_free(world: World) -> None:
    gate = asyncio.Event()

    @dataclass
    class SlowAnswers(MemoryAnswers):
        @override
        async def release(self, lease: Lease) -> None:
            await gate.wait()
            await super().release(lease)

    world.store = SlowAnswers()
    lease = await world.store.begin("k", "f", now=0, until=9)
    assert isinstance(lease, Lease)
    ending = asyncio.create_task(LeaseHolder(world.idempotency(), lease, None).end(None))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.sleep(0)
    assert not ending.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert not world.store.rows


KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=6)
NAMES = st.tuples(st.text(max_size=4), st.text(min_size=1, max_size=4), st.sampled_from(["/v1/a", "/v1/b"]), KEYS)


@given(NAMES, NAMES)
def test_no_two_callers_paths_or_keys_share_a_name(one: Any, two: Any) -> None:
    def name(vouched_by: str, caller: str, path: str, key: str) -> str:
        return _digest(identity(Call(Principal(caller, {}, vouched_by))), path, key)

    assert (name(*one) == name(*two)) == (one == two)
