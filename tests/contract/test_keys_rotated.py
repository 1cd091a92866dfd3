"""A key that is rotated while many use it, in processes that share a registry: not one call fails."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.stores.registry.key_format import issue
from core.stores.registry.sqlite import connect
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import FakeUpstream, running

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
FRESH = httpx.Limits(max_keepalive_connections=0)
"""A connection for each call: one that is kept may be closed by the server as it is used, which is no key's affair."""
RULES = [
    {"permit": {"actions": ["read", "update"], "resource": "key::*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "create", "resource": "role::*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "read", "resource": "model::*"}},
]


class Load:
    """Callers that chat on and on, each with the newest secret or the one before, at any of the processes."""

    def __init__(self, clients: list[httpx.AsyncClient], token: str) -> None:
        self.clients = clients
        self.tokens = [token]
        self.failures: list[str] = []
        self.done: dict[int, int] = {}
        self.news = asyncio.Condition()
        self.stopped = False

    async def call(self, number: int) -> None:
        for turn in count(number):
            if self.stopped:
                return
            client, token = self.clients[turn % len(self.clients)], self.tokens[-2:][turn // 2 % 2 - 1]
            headers = {"authorization": f"Bearer {token}"}
            answer = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
            if answer.status_code != httpx.codes.OK:
                self.failures.append(f"{answer.status_code} {answer.text}")
            self.done[number] += 1
            async with self.news:
                self.news.notify_all()

    async def turn(self) -> None:
        """Every caller has chatted twice more: none is under way any more with what it had chosen before."""
        before = dict(self.done)
        async with self.news:
            await self.news.wait_for(lambda: all(self.done[number] >= before[number] + 2 for number in before))


@asynccontextmanager
async def processes(folder: Path, size: int) -> AsyncGenerator[list[httpx.AsyncClient]]:
    async with running(FakeUpstream()) as upstream, AsyncExitStack() as opened:
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}
        document = {
            "version": 2,
            "image_name": "t",
            "providers": {"inference": [provider]},
            "models": [{"model_id": "m", "provider_id": "p"}],
            "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
            "server": {"auth": {"providers": [{"type": "api_key"}], "access_policy": RULES}},
        }
        path = folder / "run.json"
        path.write_text(json.dumps(document))
        clients = list[httpx.AsyncClient]()
        for number in range(size):
            url = opened.enter_context(serving(path, folder / f"log{number}"))
            client = httpx.AsyncClient(base_url=url, timeout=120, limits=FRESH)
            clients.append(await opened.enter_async_context(client))
        yield clients


async def make_key(folder: Path, role: str) -> tuple[str, str]:
    """Its id, and the whole of it."""
    token, resource = issue(role, [role], expires=None, now=1_700_000_000)
    store = connect(str(folder / "registry.db"))
    await store.create(resource)
    await store.close()
    return resource.identifier, plant(token)


@pytest.mark.parametrize(
    ("size", "callers", "rotations"),
    [(2, 6, 2), pytest.param(4, 64, 12, marks=pytest.mark.exact)],
)
async def test_a_key_is_rotated_under_load_without_one_failed_call(
    tmp_path: Path, size: int, callers: int, rotations: int
) -> None:
    _, ops = await make_key(tmp_path, "ops")
    key_id, token = await make_key(tmp_path, "dev")
    async with processes(tmp_path, size) as clients:
        load = Load(clients, token)
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                load.done[number] = 0
                group.create_task(load.call(number))
            for rotation in range(rotations):
                await load.turn()
                del load.tokens[:-1]  # which `force` is about to end
                await load.turn()
                answer = await clients[rotation % size].post(
                    f"/v1/keys/{key_id}/rotate", json={"force": True}, headers={"authorization": f"Bearer {ops}"}
                )
                assert answer.status_code == httpx.codes.OK, answer.text
                load.tokens.append(plant(answer.json()["key"]))
            await load.turn()
            load.stopped = True
        assert load.failures == []
        assert min(load.done.values()) >= 4 * rotations
        old = await clients[0].get("/v1/models", headers={"authorization": f"Bearer {token}"})
        assert old.status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("racers", [2, pytest.param(16, marks=pytest.mark.exact)])
async def test_of_rotations_at_once_one_is_made(tmp_path: Path, racers: int) -> None:
    _, ops = await make_key(tmp_path, "ops")
    key_id, _ = await make_key(tmp_path, "dev")
    async with processes(tmp_path, 2) as clients:
        headers = {"authorization": f"Bearer {ops}"}
        path = f"/v1/keys/{key_id}/rotate"
        calls = [clients[number % 2].post(path, json={}, headers=headers) for number in range(racers)]
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * (racers - 1)]
        token = next(plant(answer.json()["key"]) for answer in answers if answer.status_code == httpx.codes.OK)
        for client in clients:
            assert (await client.get("/v1/models", headers={"authorization": f"Bearer {token}"})).status_code == 200
