"""Runs whose jobs come to another end than their own: too late, after too many workers, or where the quota is used up."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.resolution.jobs import engine_of
from core.resolution.resolve import resolve
from core.services.jobs import messages
from core.services.jobs.engine import Engine
from core.services.jobs.timing import Turn
from core.stores.jobs.port import Counts, Job
from core.stores.queue.port import Delivery
from tests.parts.background_runs import SECONDS, end_of, stream_of, until, working
from tests.parts.model_script import Call, Round
from tests.parts.response_calls import ADA, answer, box
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world

AHEAD = 2 * 24 * 3600.0  # seconds
GREET = Round(calls=(Call("greet", {"name": "Bo"}),))

pytestmark = pytest.mark.usefixtures("quick_queue")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


@asynccontextmanager
async def engine(world: ResponseWorld, *, ahead: float = 0, **how: Any) -> AsyncGenerator[Engine]:
    """A worker's engine by a clock that is so many seconds ahead; it takes no messages by itself."""
    stack = await resolve(interpret(world.document(**how), {}), ["responses"], version="1")
    try:
        yield replace(engine_of(stack), clock=lambda: time.time() + ahead)
    finally:
        await stack.close()


async def job_of(client: httpx.AsyncClient, engine: Engine) -> Job:
    """The only one."""
    [row] = (await client.get("/v1/jobs", params={"kind": "response"}, headers=ADA)).json()["data"]
    job = await engine.jobs.get(row["id"])
    assert job is not None
    return job


async def until_waits(world: ResponseWorld, client: httpx.AsyncClient, engine: Engine) -> None:
    async with asyncio.timeout(SECONDS):
        states = list[str]()
        while not world.model.chats or states != ["waiting"]:
            await asyncio.sleep(0.02)
            states = [shard.state for shard in await engine.jobs.shards(await job_of(client, engine))]


async def take_and_leave(world: ResponseWorld, engine: Engine, job: Job, chats: int) -> None:
    """A worker whose time is up when the model was asked so often in all, unless it has done before."""
    turn = Turn()
    work = asyncio.create_task(engine.run_message(delivery(messages.work(job, 0)), turn))
    await until(lambda: len(world.model.chats) == chats or work.done())
    turn.end(time.time() + 0.1)
    await work


def delivery(task: messages.Task) -> Delivery:
    return Delivery(task.to_message("").body, "receipt")


async def test_one_that_takes_longer_than_its_job_may_has_failed(world: ResponseWorld) -> None:
    client = await world.client()
    made = await answer(client, GREET, Round("Hello", held=True), background=True, tools=[box(world)])
    async with working(world), engine(world, ahead=AHEAD) as late:
        await until(lambda: len(world.model.chats) == 2)
        job = await job_of(client, late)
        await late.run_message(delivery(messages.tick(job, job.tick)))
        ended = await end_of(client, made["id"])
        world.model.release.set()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "server_error")
    assert ended["error"]["message"] == "The response was not done: it was not done by its deadline."
    assert [item["type"] for item in ended["output"]] == ["mcp_list_tools", "mcp_call"]
    assert (await stream_of(client, made["id"]))[-1]["response"]["status"] == "failed"
    assert (await client.get(f"/v1/jobs/{job.id}")).json()["status"] == "expired"


async def test_one_that_kills_its_workers_is_given_up(world: ResponseWorld) -> None:
    client = await world.client()
    made = await answer(client, Round("Hi"), background=True)
    async with engine(world) as lost:
        job = await job_of(client, lost)
        await lost.run_message(delivery(messages.prepare(job)))
        running, now = await lost.jobs.get(job.id), time.time() - 100
        assert running is not None
        for number in range(lost.timing.takeovers):  # each takes it, and ends without a word
            shard = await lost.jobs.lease_shard(
                running, 0, f"h{number}", now=now + 2 * number, until=now + 2 * number + 1
            )
            assert shard is not None
    async with working(world):
        ended = await end_of(client, made["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "server_error")
    assert ended["error"]["message"].startswith("The response was not done: Several workers ended")
    assert not world.model.chats
    async with working(world):
        assert (await end_of(client, (await answer(client, Round("Hi"), background=True))["id"]))[
            "status"
        ] == "completed"


async def test_one_in_which_no_worker_gets_on_is_given_up(world: ResponseWorld) -> None:
    """An answer that takes longer than a function lives, each of which asks for it anew."""
    client = await world.client()
    made = await answer(client, GREET, Round("Hello", held=True), background=True, tools=[box(world)])
    async with engine(world) as leaving:
        job = await job_of(client, leaving)
        await leaving.run_message(delivery(messages.prepare(job)))
        for chats in range(2, 9):
            await take_and_leave(world, leaving, job, chats)
        ended = await end_of(client, made["id"])
    assert len(world.model.chats) == 7
    assert ended["error"]["message"].startswith("5 workers in a row came to the end of their time")
    assert [item["type"] for item in ended["output"]] == ["mcp_list_tools", "mcp_call"]


async def test_one_waits_for_its_quota_and_goes_on(world: ResponseWorld) -> None:
    def quota(tokens: int) -> dict[str, Any]:
        return {"auth": True, "quota": {"authenticated_max_tokens": tokens}}

    client = await world.client(**quota(300))
    how: dict[str, Any] = {"tools": [box(world)], "max_output_tokens": 120}
    made = await answer(client, *[GREET] * 8, Round("Done: {mark}"), background=True, **how)
    async with working(world, **quota(300)), engine(world, **quota(300)) as paused:
        job = await job_of(client, paused)
        await until_waits(world, client, paused)
        found = (await client.get(f"{RESPONSES}/{made['id']}", headers=ADA)).json()
        assert (found["status"], found["error"]) == ("in_progress", None)
        assert 0 < len(world.model.chats) < 9
    async with engine(world, **quota(100_000)) as later:
        await later.run_message(delivery(messages.work(job, 0)))
        await later.run_message(delivery(messages.finish(job)))
        counts = (await job_of(client, later)).counts
    ended = (await client.get(f"{RESPONSES}/{made['id']}", headers=ADA)).json()
    assert (ended["status"], len(world.model.chats), world.server.count("tools/call")) == ("completed", 9, 8)
    assert counts == Counts(1, 0, {MODEL: ended["usage"]["total_tokens"]})


async def test_one_that_waits_for_its_quota_is_cancelled_at_once(world: ResponseWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"authenticated_max_tokens": 300}}
    client = await world.client(**how)
    made = await answer(client, GREET, Round("Hi"), background=True, tools=[box(world)])
    async with working(world, **how), engine(world, **how) as paused:
        await until_waits(world, client, paused)
        found = (await client.post(f"{RESPONSES}/{made['id']}/cancel", headers=ADA)).json()
        assert (found["status"], found["output"][-1]["type"]) == ("cancelled", "mcp_call")
        assert (await job_of(client, paused)).status != "running"
