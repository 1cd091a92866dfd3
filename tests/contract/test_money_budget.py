"""A limit of money on the wire: what a call may cost is reserved, what it did cost is charged, and no limit is passed that a call fits."""

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
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over, message, without_request
from tests.parts.upstream import CHAT, FakeUpstream, status

PATH = "/v1/chat/completions"
RATES = {"input": 10, "output": 10}  # USD per million: 10,000 nano-USD for a token
COST = 0.0011  # USD, of the 110 tokens of an answer
BODY: dict[str, Any] = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}
REPLY = {**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}
POLICY = [
    {"forbid": {"actions": ["read"], "resource": "model::secret"}},
    {"permit": {"actions": ["create", "read", "update", "delete"]}},
]


@dataclass
class World:
    """`p` and `q` are one upstream, which is the auth endpoint too: a token is its bearer's name."""

    upstream: FakeUpstream
    folder: Path
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self, money: str | float, **usage: Any) -> httpx.AsyncClient:
        url = f"{self.upstream.url}/v1"
        quota = {
            "kvstore": {"type": "sqlite", "db_path": str(self.folder / "quota.db")},
            "authenticated_max_requests": 1000,
            "limits": [{"per": "caller", "window": "month", "money": money}],
        }
        auth = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}, "access_policy": POLICY}
        places = [{"provider_id": name, "provider_model_id": name} for name in ("p", "q")]
        document = {
            "image_name": "t",
            "providers": {
                "inference": [
                    {"provider_id": name, "provider_type": "remote::vllm", "config": {"url": url}}
                    for name in ("p", "q")
                ]
            },
            "models": [
                {"model_id": "cheap", "provider_id": "p", "metadata": {"price": RATES}},
                {"model_id": "p", "provider_id": "p", "metadata": {"price": RATES}},
                {"model_id": "q", "provider_id": "q", "metadata": {"price": {"input": 30, "output": 30}}},
                {"model_id": "both", "provider_id": "p", "provider_model_id": "p", "metadata": {"targets": places}},
                {"model_id": "plain", "provider_id": "p"},
                {"model_id": "free", "provider_id": "p", "metadata": {"price": {"input": 0, "output": 0}}},
                {"model_id": "secret", "provider_id": "p", "metadata": {"price": RATES}},
            ],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": {"auth": auth, "quota": quota, "usage": usage},
        }
        return await self.opened.enter_async_context(client_over(interpret(document, {})))

    @property
    def answers(self) -> int:
        return sum(seen.path == PATH for seen in self.upstream.seen)


async def _vouch(request: web.Request) -> web.StreamResponse:
    return web.json_response({"principal": json.loads(await request.read())["api_key"], "attributes": {}})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    replies = {"/auth": _vouch, PATH: status(200, REPLY)}
    async with upstreams.running(FakeUpstream(replies=replies)) as upstream, AsyncExitStack() as opened:
        yield World(upstream, tmp_path, opened)


async def ask(client: httpx.AsyncClient, name: str = "ada", **fields: Any) -> httpx.Response:
    return await client.post(PATH, json={**BODY, **fields}, headers={"authorization": f"Bearer {name}"})


async def test_a_budget_ends_a_conversation_and_nobody_elses(world: World) -> None:
    client = await world.client("0.0045")
    statuses = [(await ask(client)).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert (world.answers, (await ask(client, "bob")).status_code) == (3, 200)
    refusal = await ask(client)
    assert message(refusal).startswith("Quota exceeded: of your 0.0045 USD a month 0.0012 USD are left until 20")
    assert message(refusal).endswith("Z, and this may take 0.00181 USD")
    assert refusal.headers["x-should-retry"] == "false"
    assert (await ask(client, model="free")).status_code == 200  # costs nothing, and there is room for that


async def test_calls_at_once_never_pass_it(world: World) -> None:
    client = await world.client("0.0045")
    answers = await asyncio.gather(*(ask(client) for _ in range(12)))
    admitted = sum(answer.status_code == 200 for answer in answers)
    assert 1 <= admitted <= 4
    assert admitted * COST <= 0.0045
    assert {answer.status_code for answer in answers} == {200, 429}


async def test_a_model_without_a_price_is_refused_by_name_or_let_pass(world: World) -> None:
    refused = await ask(await world.client(1), model="plain")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "price_unknown")
    assert "`plain`" in message(refused)
    assert "unpriced: allow" in message(refused)
    assert world.answers == 0
    assert (await ask(await world.client(1, unpriced="allow"), model="plain")).status_code == 200
    fast = await ask(await world.client(1), service_tier="priority")
    assert fast.json()["error"]["code"] == "price_unknown"


async def test_what_is_hidden_looks_as_what_is_missing_where_money_is_limited(world: World) -> None:
    client = await world.client(1)
    hidden, missing = await ask(client, model="secret"), await ask(client, model="nosuch")
    assert hidden.status_code == missing.status_code == 404
    assert without_request(hidden.text) == without_request(missing.text).replace("nosuch", "secret")


async def test_the_dearest_place_that_may_answer_must_have_room(world: World) -> None:
    client = await world.client("0.0045")
    assert (await ask(client, model="both")).status_code == 429
    assert (await ask(client, model="p")).status_code == 200
    assert world.answers == 1
