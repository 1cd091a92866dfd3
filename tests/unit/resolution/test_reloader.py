"""A stack is swapped whole: what does not fit changes nothing, what is shared goes over, what is replaced is closed last."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from core.apis.configurations import Configuration
from core.config.load import interpret
from core.resolution.live.poller import ConfigurationPoller
from core.resolution.live.reloader import StackReloader
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.stores.configurations.port import Head
from tests.parts.audit import CHANGE
from tests.parts.live_stack import run_config


def override(config: dict[str, Any], provider_id: str = "local") -> dict[str, Any]:
    return {"inference": {provider_id: {"provider_type": "remote::vllm", "config": config, "registered": False}}}


class World:
    """Two providers, `local` and `other`; what is put in force is seen at once."""

    def __init__(self, stack: Stack, poller: ConfigurationPoller) -> None:
        self.poller = poller
        self.live = StackReloader(["inference"], stack, poller, lambda resolved: resolved)
        self.version = 0

    async def put(self, overlay: dict[str, Any]) -> None:
        after = Head(self.version, self.version)
        self.version += 1
        assert await self.poller.store.append(Configuration(self.version, overlay), change=CHANGE, after=after)
        self.poller.note_head(Head(self.version, self.version))

    async def now(self) -> Stack:
        current = await self.live.acquire()
        await self.live.release(current)
        return current.stack


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    document = run_config("http://127.0.0.1:9", {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
    other = {"provider_id": "other", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:8"}}
    document["providers"]["inference"].append(other)
    loaded = interpret(document, {})
    stack = await resolve(loaded, ["inference"], version="1")
    assert stack.poller is not None
    world = World(stack, stack.poller)
    yield world
    await world.live.close()


def url_of(stack: Stack, provider_id: str = "local") -> str:
    found: str = next(vars(i.config)["url"] for i in stack.instances if i.entry.provider_id == provider_id)
    return found


async def test_what_is_put_in_force_is_what_the_next_answer_gets(world: World) -> None:
    first = await world.now()
    await world.put(override({"url": "http://127.0.0.1:7"}))
    second = await world.now()
    assert (url_of(first), url_of(second)) == ("http://127.0.0.1:9", "http://127.0.0.1:7")
    await world.put({})
    assert url_of(await world.now()) == "http://127.0.0.1:9"


async def test_what_did_not_change_goes_over_and_what_is_shared_is_one(world: World) -> None:
    first = await world.now()
    await world.put(override({"url": "http://127.0.0.1:7"}))
    second = await world.now()
    local, other = (next(i for i in stack.instances if i.entry.provider_id == "other") for stack in (first, second))
    assert local is other
    assert first.registry_store() is second.registry_store()


async def test_the_replaced_is_closed_after_the_last_answer_over_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def noted(instances: list[Any]) -> None:
        closed.extend(instance.entry.provider_id for instance in instances)

    monkeypatch.setattr("core.resolution.live.reloader.close_all", noted)
    current = await world.live.acquire()
    await world.put(override({"url": "http://127.0.0.1:7"}))
    again = await world.live.acquire()
    assert closed == []
    await world.live.release(current)
    assert closed == ["local"]
    await world.live.release(again)
    assert closed == ["local"]


async def test_what_does_not_fit_is_reported_once_and_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first = await world.now()
    for overlay in (override({"timeout": -1}), override({"timeout": 1}, "gone")):
        caplog.clear()
        await world.put(overlay)
        assert await world.now() is first
        assert await world.now() is first
        assert caplog.text.count("does not fit here") == 1
    await world.put(override({"timeout": 3}))
    assert await world.now() is not first


async def test_one_of_many_callers_swaps(world: World) -> None:
    await world.put(override({"timeout": 3}))
    current = await asyncio.gather(*(world.live.acquire() for _ in range(20)))
    assert len({id(each.stack) for each in current}) == 1
    assert current[0].busy == 20


async def test_the_last_known_is_had_without_asking(world: World) -> None:
    first = await world.now()
    await world.put(override({"timeout": 3}))
    assert (await world.live.acquire(fresh=False)).stack is first
