"""Idempotency-Key through a whole stack: the model is asked once, whoever asks again gets what was answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
import json
from pathlib import Path
import sqlite3
from typing import Any

from aiohttp import web
import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.runtime.function import app_of_stack
from core.web.observed import Sink
from infra.local.dynamodb import REGION
from tests.parts import upstream as upstreams
from tests.parts.upstream import CHAT, FakeUpstream, Reply, chunk, status, stream

CHAT_PATH = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "p/m", "messages": [{"role": "user", "content": "Hi"}]}
KINDS = ("sqlite", "dynamodb")
REPLAYED = "idempotent-replayed"
VECTORS = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}


@dataclass
class World:
    """The upstream is also the auth endpoint: a token is its bearer's name."""

    upstream: FakeUpstream
    folder: Path
    kvstore: dict[str, Any]
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def stack(self, *, auth: bool = True, quota: Any = None, off: bool = False, **settings: Any) -> Stack:
        server: dict[str, Any] = {} if off else {"idempotency": {"kvstore": self.kvstore, **settings}}
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
        if quota is not None:
            server["quota"] = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "quota.db")}, **quota}
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        document = {
            "image_name": "t",
            "providers": {"inference": [provider]},
            "models": [{"model_id": "e", "model_type": "embedding", "metadata": {"embedding_dimension": 1}}],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": server,
        }
        stack = await resolve(interpret(document, {}), ["inference"], version="1")
        self.opened.push_async_callback(stack.close)
        return stack

    async def client(
        self, address: str = "198.51.100.7", sink: Sink | None = None, **settings: Any
    ) -> httpx.AsyncClient:
        return await self.calling(app_of_stack(await self.stack(**settings), ["inference"], sink), address)

    async def calling(self, app: Starlette, address: str = "198.51.100.7") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 1))
        json = {"content-type": "application/json"}
        client = httpx.AsyncClient(transport=transport, base_url="http://t", headers=json)
        return await self.opened.enter_async_context(client)

    def calls(self, path: str = CHAT_PATH) -> int:
        return sum(seen.path == path for seen in self.upstream.seen)


async def _vouch(request: web.Request) -> web.StreamResponse:
    return web.json_response({"principal": json.loads(await request.read())["api_key"], "attributes": {}})


@pytest.fixture(params=KINDS)
def kvstore(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"type": "sqlite", "db_path": str(tmp_path / "answers.db")}
    table: str = request.getfixturevalue("state_table")
    endpoint: str = request.getfixturevalue("dynamodb_endpoint")
    return {"type": "dynamodb", "table": table, "region": REGION, "endpoint_url": endpoint}


@pytest.fixture
async def world(kvstore: dict[str, Any], tmp_path: Path) -> AsyncIterator[World]:
    async with upstreams.running(FakeUpstream(replies={"/auth": _vouch})) as upstream, AsyncExitStack() as opened:
        yield World(upstream, tmp_path, kvstore, opened)


only_sqlite = pytest.mark.parametrize("kvstore", ["sqlite"], indirect=True)


def by(name: str = "ada", key: str = "k1", **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", "idempotency-key": key, **more}


def held(reply: Reply) -> tuple[Reply, asyncio.Event, asyncio.Event]:
    """`reply`, but after it was asked (the first event), and told to go on (the second)."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def holding(request: web.Request) -> web.StreamResponse:
        asked.set()
        await go.wait()
        return await reply(request)

    return holding, asked, go


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_the_same_request_again_gets_the_same_answer_and_the_model_is_asked_once(world: World) -> None:
    told: list[bool] = []
    client = await world.client(sink=lambda record: told.append(record.observed.replayed))
    answers = [await client.post(CHAT_PATH, json=BODY, headers=by()) for _ in range(3)]
    assert told == [False, True, True]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["choices"] == CHAT["choices"]
    assert [answer.headers.get(REPLAYED) for answer in answers] == [None, "true", "true"]
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert world.calls() == 1


async def test_a_stream_is_replayed_byte_for_byte(world: World) -> None:
    client = await world.client()
    body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
    first, again = [await client.post(CHAT_PATH, json=body, headers=by()) for _ in range(2)]
    assert first.text.count("data: ") == 5
    assert first.text.endswith("data: [DONE]\n\n")
    assert again.content == first.content
    kept = ("content-type", "cache-control", "x-accel-buffering")
    assert [again.headers[name] for name in kept] == [first.headers[name] for name in kept]
    assert (first.headers.get(REPLAYED), again.headers.get(REPLAYED)) == (None, "true")
    assert world.calls() == 1


async def test_of_many_at_once_one_asks_the_model_and_the_others_hear_that_it_does(world: World) -> None:
    reply, asked, go = held(status(200, CHAT))
    world.upstream.replies[CHAT_PATH] = reply
    client = await world.client()
    await client.get("/v1/models", headers=by())
    first = asyncio.create_task(client.post(CHAT_PATH, json=BODY, headers=by()))
    await asked.wait()
    others = await asyncio.gather(*(client.post(CHAT_PATH, json=BODY, headers=by()) for _ in range(8)))
    assert {code(other) for other in others} == {(409, "idempotency_key_in_use")}
    assert all(int(other.headers["retry-after"]) >= 1 for other in others)
    different = await client.post(CHAT_PATH, json={**BODY, "n": 2}, headers=by())
    assert code(different) == (422, "idempotency_key_reused")
    go.set()
    assert (await first).status_code == 200
    assert (await client.post(CHAT_PATH, json=BODY, headers=by())).headers[REPLAYED] == "true"
    assert world.calls() == 1


async def test_two_stacks_over_one_store_ask_the_model_once(world: World) -> None:
    one, two = await world.client(), await world.client()
    answers = await asyncio.gather(*(client.post(CHAT_PATH, json=BODY, headers=by()) for client in (one, two) * 4))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert (await two.post(CHAT_PATH, json=BODY, headers=by())).headers[REPLAYED] == "true"
    assert world.calls() == 1


async def test_another_body_under_the_same_key_is_a_422_and_does_no_harm(world: World) -> None:
    client = await world.client()
    await client.post(CHAT_PATH, json=BODY, headers=by())
    for more in ({"temperature": 0}, {"stream": True}, {"stream": False}):
        refused = await client.post(CHAT_PATH, json=BODY | more, headers=by())
        assert code(refused) == (422, "idempotency_key_reused")
        assert set(refused.json()["error"]) == {"message", "type", "param", "code", "request_id"}
    assert (await client.post(CHAT_PATH, json=BODY, headers=by())).headers[REPLAYED] == "true"
    assert world.calls() == 1


async def test_callers_never_see_each_others_answers(world: World) -> None:
    client = await world.client()
    for name in ("ada", "bob"):
        answer = await client.post(CHAT_PATH, json=BODY, headers=by(name))
        assert (answer.status_code, REPLAYED in answer.headers) == (200, False)
    other = await client.post(CHAT_PATH, json={**BODY, "n": 1}, headers=by("eve"))
    assert other.status_code == 200  # no 422, which would tell that the key is known
    assert world.calls() == 3


@only_sqlite
async def test_without_auth_an_address_is_a_caller_and_no_header_changes_that(world: World) -> None:
    app = app_of_stack(await world.stack(auth=False), ["inference"])
    one, two = await world.calling(app), await world.calling(app, "198.51.100.8")
    await one.post(CHAT_PATH, json=BODY, headers=by())
    again = await one.post(CHAT_PATH, json=BODY, headers=by("bob"))
    forged = await two.post(CHAT_PATH, json=BODY, headers=by(**{"x-forwarded-for": "198.51.100.7"}))
    assert (REPLAYED in again.headers, REPLAYED in forged.headers) == (True, False)
    assert world.calls() == 2


@only_sqlite
async def test_every_route_that_asks_a_model_heeds_the_key_each_for_itself(world: World) -> None:
    world.upstream.replies["/v1/embeddings"] = status(200, VECTORS)
    world.upstream.replies["/v1/completions"] = status(200, {**CHAT, "choices": [{"index": 0, "text": "x"}]})
    client = await world.client()
    native = {"model_id": "p/m", "messages": BODY["messages"]}
    asked: dict[str, dict[str, Any]] = {
        CHAT_PATH: BODY,
        "/v1/openai/v1/chat/completions": BODY,
        "/v1/completions": {"model": "p/m", "prompt": "a"},
        "/v1/embeddings": {"model": "e", "input": "a"},
        "/v1/inference/chat-completion": native,
        "/v1/inference/completion": {"model_id": "p/m", "content": "a"},
        "/v1/inference/embeddings": {"model_id": "e", "contents": ["a"]},
        "/v1/inference/batch-chat-completion": {"model_id": "p/m", "messages_batch": [native["messages"]] * 2},
        "/v1/inference/batch-completion": {"model_id": "p/m", "content_batch": ["a", "b"]},
    }
    for path, body in asked.items():
        before = len(world.upstream.seen)
        first = await client.post(path, json=body, headers=by())
        assert (first.status_code, REPLAYED in first.headers) == (200, False), first.text
        assert len(world.upstream.seen) > before
        before = len(world.upstream.seen) + 1  # the auth endpoint's
        again = await client.post(path, json=body, headers=by())
        assert (again.content, REPLAYED in again.headers) == (first.content, True), path
        assert len(world.upstream.seen) == before


@only_sqlite
async def test_native_streams_are_replayed_to_old_clients_too(world: World) -> None:
    client = await world.client()
    body = {"model_id": "p/m", "messages": BODY["messages"], "stream": True}
    headers = by(**{"x-llamastack-client-version": "0.2.12"})
    first, again = [await client.post("/v1/inference/chat-completion", json=body, headers=headers) for _ in range(2)]
    assert again.content == first.content
    assert b"[DONE]" not in again.content
    assert REPLAYED in again.headers
    newer = await client.post("/v1/inference/chat-completion", json=body, headers=by())
    assert newer.content == first.content + b"data: [DONE]\n\n"


@only_sqlite
async def test_without_a_key_or_where_it_is_not_configured_every_call_asks(world: World) -> None:
    plain = await world.client()
    for _ in range(2):
        answer = await plain.post(CHAT_PATH, json=BODY, headers={"authorization": "Bearer ada"})
        assert REPLAYED not in answer.headers
    off = await world.client(off=True)
    for key in ("k1", "k1", "\x00 not one"):
        answer = await off.post(CHAT_PATH, json=BODY, headers=by(key=key))
        assert (answer.status_code, REPLAYED in answer.headers) == (200, False)
    assert world.calls() == 5


@only_sqlite
async def test_a_wrong_body_takes_no_key(world: World) -> None:
    client = await world.client()
    assert (await client.post(CHAT_PATH, content=b"{", headers=by())).status_code == 400
    assert (await client.post(CHAT_PATH, json={**BODY, "model": "p/none"}, headers=by())).status_code == 404
    assert (await client.post(CHAT_PATH, json=BODY, headers=by())).status_code == 200


async def test_a_stream_that_breaks_is_not_kept(world: World) -> None:
    world.upstream.replies[CHAT_PATH] = stream([chunk("a"), {"error": {"message": "broke"}}])
    client = await world.client()
    body = {**BODY, "stream": True}
    broken = await client.post(CHAT_PATH, json=body, headers=by())
    assert '"error"' in broken.text
    del world.upstream.replies[CHAT_PATH]
    answer = await client.post(CHAT_PATH, json=body, headers=by())
    assert (REPLAYED in answer.headers, '"error"' in answer.text) == (False, False)


@pytest.mark.parametrize("more", [{}, {"stream": True}])
async def test_a_client_that_leaves_before_the_end_frees_the_key(world: World, more: dict[str, Any]) -> None:
    """Of an answer as of a stream that hangs after its first event."""
    world.upstream.replies[CHAT_PATH] = stream([chunk("a")], hang=True) if more else upstreams.hang
    app = app_of_stack(await world.stack(auth=False), ["inference"])
    await leave(app, world.upstream, {**BODY, **more})
    assert world.upstream.cancelled.is_set()
    del world.upstream.replies[CHAT_PATH]
    client = await world.calling(app)
    answer = await client.post(CHAT_PATH, json={**BODY, **more}, headers=by())
    assert (answer.status_code, REPLAYED in answer.headers) == (200, False)


async def leave(app: Starlette, upstream: FakeUpstream, body: dict[str, Any]) -> None:
    """A call whose client leaves when the model is asked or, of a stream, when its first event has come."""
    messages: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    leaving = asyncio.Event()
    usual = upstream.replies[CHAT_PATH]

    async def reply(request: web.Request) -> web.StreamResponse:
        if not body.get("stream"):
            leaving.set()
        return await usual(request)

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            leaving.set()

    upstream.replies[CHAT_PATH] = reply
    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT_PATH,
        "headers": [(b"idempotency-key", b"k1"), (b"content-type", b"application/json")],
        "query_string": b"",
        "root_path": "",
        "client": ("198.51.100.7", 1),
    }
    await asyncio.wait_for(app(scope, receive, send), 30)
    await asyncio.wait_for(upstream.cancelled.wait(), 30)


@pytest.mark.parametrize(
    "key", [b"", b" ", b"a b", b"\xff", "ä".encode(), b"a\x00b", b"a\tb", b"\x7f", b"x" * 256, b"x" * 100_000]
)
@only_sqlite
async def test_what_is_no_key_is_a_400_and_asks_no_model(world: World, key: bytes) -> None:
    client = await world.client()
    headers = [(b"authorization", b"Bearer ada"), (b"idempotency-key", key)]
    refused = await client.post(CHAT_PATH, json=BODY, headers=headers)
    assert code(refused) == (400, "invalid_request")
    assert "Idempotency-Key" in refused.json()["error"]["message"]
    assert world.calls() == 0


@only_sqlite
async def test_two_keys_are_none(world: World) -> None:
    client = await world.client()
    headers = [("authorization", "Bearer ada"), ("idempotency-key", "a"), ("Idempotency-Key", "b")]
    assert (await client.post(CHAT_PATH, json=BODY, headers=headers)).status_code == 400


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e-40d5"', "a,b;c=d"])
@only_sqlite
async def test_any_visible_characters_are_a_key(world: World, key: str) -> None:
    client = await world.client()
    answers = [await client.post(CHAT_PATH, json=BODY, headers=by(key=key)) for _ in range(2)]
    assert [REPLAYED in answer.headers for answer in answers] == [False, True]


@pytest.mark.parametrize("more", [{}, {"stream": True}])
@only_sqlite
async def test_a_replay_is_one_request_of_the_quota_and_no_tokens(world: World, more: dict[str, Any]) -> None:
    client = await world.client(quota={"max_tokens": 1000, "authenticated_max_requests": 4})
    left: list[tuple[str, str]] = []
    for _ in range(3):
        answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60, **more}, headers=by())
        assert answer.status_code == 200
        left.append((answer.headers["ratelimit-remaining"], answer.headers["x-ratelimit-remaining-tokens"]))
    used = 3 if more else 2
    assert left == [("3", "940"), ("2", str(940 - used)), ("1", str(940 - used))]
    await client.post(CHAT_PATH, json={**BODY, "max_tokens": 61}, headers=by())  # 422: counted, without tokens
    assert (await client.post(CHAT_PATH, json=BODY, headers=by())).status_code == 429
    with closing(sqlite3.connect(world.folder / "quota.db")) as counters:
        windows = counters.execute("SELECT requests, tokens FROM counters").fetchall()
        assert windows == [(4, used), (4, used)]  # of the day and the month


async def test_a_store_that_is_down_is_a_503_before_the_model_is_asked(world: World) -> None:
    world.kvstore |= {"db_path": str(world.folder)} if "db_path" in world.kvstore else {"table": "no-such-table"}
    client = await world.client()
    assert code(await client.post(CHAT_PATH, json=BODY, headers=by())) == (503, "idempotency_unavailable")
    assert world.calls() == 0
    assert (await client.post(CHAT_PATH, json=BODY, headers={"authorization": "Bearer ada"})).status_code == 200


@only_sqlite
async def test_neither_the_key_nor_the_caller_is_written_down(world: World) -> None:
    client = await world.client()
    await client.post(CHAT_PATH, json=BODY, headers=by("ada-lovelace", key="my-very-own-key"))
    written = b"".join(path.read_bytes() for path in world.folder.glob("answers.db*"))
    assert b"Hello" in written  # the answer
    assert b"my-very-own-key" not in written
    assert b"lovelace" not in written
