"""Responses of the background that are cancelled and deleted at any moment, by several at once: each ends once, and leaves nothing behind."""

import asyncio
from pathlib import Path
from random import Random

import httpx
import pytest

from core.services.responses.recording.records import RUN
from core.services.responses.state.records import LEASE
from tests.parts.background_runs import ENDED, SECONDS, state_of, stream_of, working
from tests.parts.model_script import Call, Round
from tests.parts.response_calls import CONVERSATIONS, answer, ask, box
from tests.parts.response_stack import RESPONSES, ResponseWorld, response_world

RUNS = 48
LONGEST = 6.0  # seconds until one is cancelled
ADD = Round(calls=(Call("add", {"a": 2, "b": 3}),), pause=0.01)

pytestmark = [pytest.mark.usefixtures("quick_queue"), pytest.mark.exact]


async def end_one(world: ResponseWorld, client: httpx.AsyncClient, number: int, seconds: float) -> None:
    made = await client.post(CONVERSATIONS, json={}) if number % 3 == 0 else None
    conversation = {} if made is None else {"conversation": made.json()["id"]}
    said = (ADD, ADD, Round("It is {quote}.", pause=0.02))
    response = await answer(client, *said, background=True, tools=[box(world)], **conversation)
    path = f"{RESPONSES}/{response['id']}"
    await asyncio.sleep(seconds)
    ends = [client.post(f"{path}/cancel"), client.delete(path), client.post(f"{path}/cancel")]
    asked = await asyncio.gather(*(ends[:1], ends[1:2], ends[::2], ends[:2])[number % 4])
    for unused in ends:
        unused.close()
    assert {found.status_code for found in asked} <= {200, 400, 404}, [found.text for found in asked]
    after = await client.get(path)
    if after.status_code == 200:
        assert after.json()["status"] in ENDED
        assert (await stream_of(client, response["id"]))[-1]["response"]["output"] == after.json()["output"]
    if conversation:
        assert (await ask(client, input="Hi", **conversation)).status_code == 200


async def test_runs_end_once_whoever_ends_them(tmp_path: Path) -> None:
    random = Random(21)  # noqa: S311 - the same moments each time
    async with response_world(tmp_path) as world:
        client = await world.client()
        async with working(world, at_once=4):
            pauses = [random.uniform(0, LONGEST) for _ in range(RUNS)]
            await asyncio.gather(*(end_one(world, client, *one) for one in enumerate(pauses)))
            async with asyncio.timeout(SECONDS):
                states = {"running"}
                while not states <= {"completed", "cancelled"}:
                    await asyncio.sleep(0.1)
                    jobs = (await client.get("/v1/jobs", params={"kind": "response", "limit": RUNS})).json()["data"]
                    states = {job["status"] for job in jobs}
        async with state_of(world) as state:
            assert not (await state.store.page(RUN, state.owner, limit=RUNS)).documents
            for conversation in [
                row["conversation"]["id"]
                for row in (await client.get(RESPONSES)).json()["data"]
                if row.get("conversation")
            ]:
                assert await state.store.get(LEASE, conversation) is None
