"""Over the wire, to a real upstream and SQLite: what is counted as usage is what the upstream itself said, to the token, by whoever asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.config.load import interpret
from core.stores.connect import USAGE
from core.stores.usage.port import UsageQuery
from core.web.observed import RequestRecord
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream, chunk, status, stream

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "p/m", "messages": [{"role": "user", "content": "Hi"}]}
VECTORS = {"model_id": "vectors", "provider_id": "p", "provider_model_id": "v", "model_type": "embedding"} | {
    "metadata": {"embedding_dimension": 1}
}
EVER = UsageQuery(0, 100_000)
PLACES: dict[str, dict[str, Any]] = {
    "requests": {"quota": {}},
    "tokens": {"quota": {"max_tokens": 100_000}},
    "shards": {"quota": {"max_tokens": 100_000, "shards": 3}},
    "alone": {"usage": {}},
}


@dataclass
class World:
    """The upstream vouches for callers too; its answers use as many tokens as it has given answers, and `log` has them by model."""

    upstream: FakeUpstream
    folder: Path
    place: str
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    log: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    records: list[RequestRecord] = field(default_factory=list[RequestRecord])

    async def client(self, **more: Any) -> httpx.AsyncClient:
        server = {section: {**values} for section, values in PLACES[self.place].items()}
        [section] = server.values()
        section["kvstore"] = {"type": "sqlite", "db_path": str(self.folder / "counters.db")}
        server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
        server.setdefault("usage", {}).update(caller_in_log=True, metric_by=["team", "caller"])
        entry = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        store = {"type": "sqlite", "db_path": str(self.folder / "registry.db")}
        more = {"models": [VECTORS]} | more
        document = {"image_name": "t", "providers": {"inference": [entry]}, "metadata_store": store, "server": server}
        self.loaded = interpret(document | more, {})
        return await self.opened.enter_async_context(client_over(self.loaded, self.records.append))

    async def sums(self, *by: Any) -> dict[tuple[str, ...], tuple[int, int, int, int]]:
        """By group: requests, answers, prompt and completion tokens."""
        assert self.loaded.config is not None
        record = USAGE.config_in(self.loaded.config)
        assert record is not None
        store = USAGE.connect(record)
        try:
            sums = await store.sum(UsageQuery(EVER.first, EVER.last, by))
            assert await store.unsettled() == []
        finally:
            await store.close()
        return {
            each.key: (each.row.requests, each.row.answers, each.row.prompt_tokens, each.row.completion_tokens)
            for each in sums
        }

    async def vouch(self, request: web.Request) -> web.StreamResponse:
        name = json.loads(await request.read())["api_key"]
        return web.json_response({"principal": name, "attributes": {"teams": ["red", "a b"]}})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        number = len(self.log) + 1
        self.log.append((body["model"], 10 * number, number))
        usage = {"prompt_tokens": 10 * number, "completion_tokens": number, "total_tokens": 11 * number}
        if "input" in body:
            self.log[-1] = (body["model"], 10 * number, 0)
            usage = {"prompt_tokens": 10 * number, "total_tokens": 10 * number}
            return web.json_response(upstreams.EMBEDDINGS | {"usage": usage})
        if body.get("stream"):
            return await stream([chunk("Hel"), chunk("lo"), chunk(None, "stop"), {"choices": [], "usage": usage}])(
                request
            )
        return web.json_response(upstreams.CHAT | {"usage": usage})

    @property
    def total(self) -> tuple[int, int]:
        return sum(prompt for _, prompt, _ in self.log), sum(made for _, _, made in self.log)


@pytest.fixture(params=PLACES)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with upstreams.running(FakeUpstream()) as upstream, AsyncExitStack() as opened:
        made = World(upstream, tmp_path, request.param, opened)
        upstream.replies |= {"/auth": made.vouch, CHAT: made.answer, "/v1/embeddings": made.answer}
        yield made


def by(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def test_chats_streams_and_embeddings_of_several_callers_are_what_the_upstream_said(world: World) -> None:
    client = await world.client()
    bodies = [(CHAT, BODY), (CHAT, BODY | {"stream": True}), ("/v1/embeddings", {"model": "vectors", "input": "Hi"})]
    asked = [client.post(path, json=body, headers=by(name)) for name in ("ada", "bob") for path, body in bodies * 3]
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
    sums = await world.sums("api", "operation", "model", "provider", "teams")
    prompt, completion = world.total
    assert sum(row[2] for row in sums.values()) == prompt
    assert sum(row[3] for row in sums.values()) == completion
    place = ("p", "a%20b+red")
    assert {key: row[:2] for key, row in sums.items()} == {
        ("inference", "chat_completion", "p/m", *place): (12, 12),
        ("inference", "embeddings", "vectors", *place): (6, 6),
    }
    clients = await world.sums("client")
    assert {name.rpartition(":")[2]: row[:2] for (name,), row in clients.items()} == {"ada": (9, 9), "bob": (9, 9)}
    assert {record.observed.caller.rpartition(":")[2] for record in world.records} == {"ada", "bob"}
    groups = [record.observed.groups for record in world.records]
    assert groups == [{"team": "a%20b+red", "caller": record.observed.caller} for record in world.records]


async def test_a_call_that_fails_is_a_request_and_what_only_looks_is_none(world: World) -> None:
    client = await world.client()
    world.upstream.replies[CHAT] = status(400, {"error": {"message": "no"}})
    assert (await client.post(CHAT, json=BODY, headers=by("ada"))).status_code == 400
    assert (await client.post(CHAT, content=b"{", headers=by("ada"))).status_code == 400
    for path in ("/v1/health", "/v1/models", "/v1/quota"):
        await client.get(path, headers=by("ada"))
    assert await world.sums("model", "operation") == {("", "chat_completion"): (2, 0, 0, 0)}


async def test_a_stream_that_is_left_counts_what_came_of_it_or_what_was_reported(world: World) -> None:
    client = await world.client()
    events = [chunk("Hel"), chunk("lo"), chunk(None, "stop"), upstreams.USAGE]
    for number in range(1, len(events) + 1):
        world.upstream.replies[CHAT] = stream(events[:number], hang=True, done=False)
        async with asyncio.timeout(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await client.post(CHAT, json=BODY | {"stream": True}, headers=by("ada"))
    prompt = 1  # of two letters, as of the report
    expected = [(prompt, 1), (prompt, 2), (prompt, 2), (1, 2)]
    rows = await world.sums("model")
    assert rows == {("p/m",): (4, 4, *map(sum, zip(*expected, strict=True)))}
