"""Two processes over one DynamoDB table: both hear of a configuration within the bound, and their registrations have one order."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
import json
from pathlib import Path
import threading
import time

from aiohttp import web
import httpx
import pytest

from tests.parts.live_stack import CHAT, entry, run_config
from tests.parts.stack import serving
from tests.parts.upstream import CHAT as ANSWER
from tests.parts.upstream import FakeUpstream, in_thread

REFRESH = 0.5  # seconds
PATIENCE = 30.0


@dataclass
class World:
    """`first` and `second` serve the same run config, whose provider is at `a`."""

    first: httpx.Client
    second: httpx.Client
    a: FakeUpstream
    b: FakeUpstream


@pytest.fixture
def world(registry_table: str, dynamodb_endpoint: str, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as opened:
        a, b = (opened.enter_context(in_thread(FakeUpstream())) for _ in range(2))
        store = {"type": "dynamodb", "table": registry_table, "endpoint_url": dynamodb_endpoint}
        document = run_config(a.url, store, configurations={"refresh_seconds": REFRESH, "allow_private_urls": True})
        file = tmp_path / "run.json"
        file.write_text(json.dumps(document), "utf-8")
        urls = [opened.enter_context(serving(file, tmp_path / f"log{number}.txt")) for number in range(2)]
        clients = [opened.enter_context(httpx.Client(base_url=url, timeout=60)) for url in urls]
        yield World(clients[0], clients[1], a, b)


def chats(upstream: FakeUpstream) -> int:
    return sum(seen.path == "/v1/chat/completions" for seen in upstream.seen)


def chat(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200, answer.text


def until_asked(client: httpx.Client, upstream: FakeUpstream) -> None:
    """Chat until `upstream` is asked, and from then on nobody else may be."""
    end = time.monotonic() + PATIENCE
    before = chats(upstream)
    while chats(upstream) == before:
        assert time.monotonic() < end
        chat(client)
        time.sleep(0.05)


def test_another_process_hears_of_it_without_a_restart(world: World) -> None:
    chat(world.first)
    chat(world.second)
    assert world.first.post("/v1/configurations", json=entry({"url": world.b.url})).status_code == 200
    before = chats(world.a)
    chat(world.first)
    assert chats(world.a) == before
    until_asked(world.second, world.b)
    assert world.second.delete("/v1/configurations/1").status_code == 200
    until_asked(world.first, world.a)


def test_an_answer_under_way_keeps_its_version_in_both_processes(world: World) -> None:
    go_on = threading.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        if chats(world.a) <= 2:  # those that come before the second process has heard are answered
            await asyncio.to_thread(go_on.wait)
        return web.json_response(ANSWER)

    world.a.replies["/v1/chat/completions"] = slow
    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(chat, client) for client in (world.first, world.second)]
        end = time.monotonic() + PATIENCE
        while chats(world.a) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert world.first.post("/v1/configurations", json=entry({"url": world.b.url})).status_code == 200
        until_asked(world.second, world.b)
        assert not any(each.done() for each in begun)
        go_on.set()
        for each in begun:
            each.result(PATIENCE)


@pytest.mark.parametrize("most", [20, pytest.param(100, marks=pytest.mark.exact)])
def test_registrations_at_once_have_one_order_and_none_is_lost(world: World, most: int) -> None:
    def register(number: int) -> int:
        client = (world.first, world.second)[number % 2]
        answer = client.post("/v1/configurations", json=entry({"max_tokens": number + 1}, force=True))
        assert answer.status_code == 200, answer.text
        version: int = answer.json()["version"]
        return version

    with ThreadPoolExecutor(16) as pool:
        versions = list(pool.map(register, range(most)))
    assert sorted(versions) == list(range(1, most + 1))
    listed = world.second.get("/v1/configurations", params={"limit": 100}).json()
    assert [each["version"] for each in listed["data"]] == list(range(most, 0, -1))
    kept = {each["version"]: each["config"]["providers"]["inference"][0]["config"] for each in listed["data"]}
    assert {version: kept[version]["max_tokens"] - 1 for version in kept} == dict(
        zip(versions, range(most), strict=True)
    )
