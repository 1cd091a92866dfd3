"""Runs in the background whose workers' clocks differ, or whose leases lapse under workers that live: no round and no event is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.services.jobs import messages
from core.services.jobs.service import job_service
from core.services.jobs.timing import Turn
from core.services.responses.recording.ending import settle
from core.services.responses.recording.records import RUN
from core.services.responses.state.records import LEASE
from tests.contract.test_responses_lost_jobs import delivery, engine, job_of
from tests.parts.background_runs import dynamodb_storage, end_of, events_in, state_of, stream_of, until, working
from tests.parts.model_script import Call, Round
from tests.parts.response_calls import ADA, CONVERSATIONS, answer, ask, box, kinds, text_of
from tests.parts.response_stack import ResponseWorld, response_world

ADD = Round("Let me see. ", (Call("add", {"a": 2, "b": 3}),))
APART = 5  # seconds between two clocks
LAPSED = 100  # seconds, after which no lease of a worker is left

pytestmark = pytest.mark.usefixtures("quick_queue")


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.exact)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        if request.param == "dynamodb":
            where = {name: request.getfixturevalue(name) for name in ("state_table", "dynamodb_endpoint")}
            world.storage = dynamodb_storage(tmp_path, where["state_table"], where["dynamodb_endpoint"])
        yield world


async def until_queued(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while not (await client.get("/v1/jobs", headers=ADA)).json()["data"]:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("behind", "ahead", "chats"), [(-APART, 0, 2), (0, APART, 2), (0, LAPSED, 3)])
async def test_of_two_workers_that_live_one_has_the_run(
    world: ResponseWorld, behind: float, ahead: float, chats: int
) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    body: dict[str, Any] = {"background": True, "stream": True, "conversation": conversation, "tools": [box(world)]}
    said = ADD, Round("It is {quote}.", held=True)
    following = asyncio.create_task(ask(client, *said, **body))
    await until_queued(client)
    async with engine(world, ahead=behind) as one, engine(world, ahead=ahead) as other:
        job = await job_of(client, one)
        await one.run_message(delivery(messages.prepare(job)))
        slow = asyncio.create_task(one.run_message(delivery(messages.work(job, 0)), Turn()))
        await until(lambda: len(world.model.chats) == 2)
        quick = asyncio.create_task(other.run_message(delivery(messages.work(job, 0)), Turn()))
        await until(lambda: len(world.model.chats) == chats and (chats > 2 or quick.done()))
        world.model.release.set()
        await asyncio.gather(slow, quick)
        assert (await job_of(client, one)).status in {"finishing", "completed"}
    told = events_in((await following).text)
    ended = told[-1]["response"]
    assert (told[-1]["type"], text_of(ended)) == ("response.completed", "Let me see. It is 5.")
    assert kinds(ended) == ["mcp_list_tools", "message", "mcp_call", "message"]
    assert (world.server.count("tools/call"), len(world.model.chats)) == (1, chats)
    assert await stream_of(client, ended["id"]) == told
    items = (await client.get(f"{CONVERSATIONS}/{conversation}/items", params={"order": "asc"})).json()["data"]
    assert [item["type"] for item in items] == ["message", *kinds(ended)]
    assert (await ask(client, Round("Hi"), conversation=conversation)).status_code == 200


async def test_a_run_whose_server_died_waits_for_its_conversation_and_goes_to_a_worker(world: ResponseWorld) -> None:
    """Its log is silent some seconds before its lease is over: whoever looks between the two ends nothing."""
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    made = await answer(client, Round("Hello {mark}"), background=True, conversation=conversation)
    async with state_of(world, ahead=LAPSED) as state:
        run, lease = await state.store.get(RUN, made["id"]), await state.store.get(LEASE, conversation)
        assert run is not None
        assert lease is not None
        job = await job_service(state.parts).jobs.get(run.body["job"])
        assert job is not None
        await job_service(state.parts).jobs.delete(job)  # as it was in the foreground
        run = await state.store.put(run, run.body | {"job": ""})
        lease = await state.store.put(lease, {}, expires=int(time.time()) + 60)
        assert (await settle(state, run)).ending is None
        assert await state.store.get(RUN, made["id"]) == run
        await state.store.delete(lease)
        assert (await settle(state, run)).ending is None
    async with working(world):
        assert (await end_of(client, made["id"]))["status"] == "completed"
    assert len(world.model.chats) == 1


async def test_a_run_whose_conversation_another_has_by_now_has_failed(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    made = await answer(client, Round("Hello"), background=True, conversation=conversation)
    async with state_of(world, ahead=LAPSED) as state:
        run, lease = await state.store.get(RUN, made["id"]), await state.store.get(LEASE, conversation)
        assert run is not None
        assert lease is not None
        run = await state.store.put(run, run.body | {"job": ""})
        await state.store.put(lease, {"response": "resp_other"}, expires=int(time.time()) + 60)
        ending = (await settle(state, run)).ending
    assert ending is not None
    assert ending.event.status == "failed"


async def test_a_run_whose_conversation_has_gone_on_has_failed(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    said = ADD, Round("Hello", held=True)
    made = await answer(client, *said, background=True, conversation=conversation, tools=[box(world)])
    async with working(world):  # which leaves it in the middle
        await until(lambda: len(world.model.chats) == 2)
    async with state_of(world, ahead=LAPSED) as state:
        run, lease = await state.store.get(RUN, made["id"]), await state.store.get(LEASE, conversation)
        assert run is not None
        assert lease is not None
        run = await state.store.put(run, run.body | {"job": ""})
        await state.store.delete(lease)
        items = [{"type": "message", "role": "user", "content": "And?"}]
        added = await client.post(f"{CONVERSATIONS}/{conversation}/items", json={"items": items})
        assert added.status_code == 200, added.text
        ending = (await settle(state, run)).ending
    assert ending is not None
    assert ending.event.status == "failed"
    assert (await end_of(client, made["id"]))["output"][0]["type"] == "mcp_list_tools"
