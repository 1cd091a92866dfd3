"""What cannot be asked of runs: streams taken up where they are not, cancels of what has ended, approvals of what nobody asked, others' runs."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.model_script import Call, Round
from tests.parts.response_calls import ADA, BOB, CONVERSATIONS, MISSING, answer, ask, box, refusal
from tests.parts.response_stack import RESPONSES, ResponseWorld, response_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


async def resumed(client: httpx.AsyncClient, name: str, who: dict[str, str] = ADA, **query: Any) -> httpx.Response:
    return await client.get(f"{RESPONSES}/{name}", params={"stream": "true", **query}, headers=who)


def events_of(found: httpx.Response) -> list[dict[str, Any]]:
    assert found.status_code == 200, found.text
    return [json.loads(line[6:]) for line in found.text.splitlines() if line.startswith("data: ")]


async def test_a_stream_is_taken_up_where_it_was_and_nowhere_else(world: ResponseWorld) -> None:
    client = await world.client()
    for stream in (True, False):
        found = await ask(client, Round("Hello there, all of you"), stream=stream)
        name = events_of(found)[0]["response"]["id"] if stream else found.json()["id"]
        whole = events_of(await resumed(client, name))
        assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
        assert not stream or whole == events_of(found)
        last = len(whole) - 1
        for after in (0, 1, last - 1, last):
            assert events_of(await resumed(client, name, starting_after=after)) == whole[after + 1 :]
        for wrong in ("-1", "one", "1.5", "", str(10**12)):
            status, message = refusal(await resumed(client, name, starting_after=wrong))
            assert (status, "starting_after" in message) == (400, True), (wrong, message)
        for after in (last + 1, 10**6, 10**9):
            status, message = refusal(await resumed(client, name, starting_after=after))
            assert (status, str(last) in message) == (400, True), (after, message)
    assert (await client.get(f"{RESPONSES}/{name}", params={"starting_after": 1})).status_code in {200, 400}


async def test_what_is_not_kept_is_not_taken_up(world: ResponseWorld) -> None:
    client = await world.client()
    unkept = events_of(await ask(client, Round("Hello."), stream=True, store=False))[0]["response"]["id"]
    deleted = (await answer(client, input="Hi"))["id"]
    assert (await client.delete(f"{RESPONSES}/{deleted}")).status_code == 200
    absent = (unkept, deleted, MISSING, "resp_x", "nothing")
    asked = [resumed(client, name) for name in absent]
    asked += [resumed(client, name, starting_after=3) for name in absent]
    asked += [client.post(f"{RESPONSES}/{name}/cancel") for name in absent]
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {404}  # each is looked for for a second


async def test_what_has_ended_is_not_cancelled(world: ResponseWorld) -> None:
    client = await world.client()
    for said, status in (
        (Round("Hello."), "completed"),
        (Round("Hello there, all", ends="error"), "failed"),
        (Round("Hello", finish="content_filter"), "incomplete"),
    ):
        for stream in (False, True):
            found = await ask(client, said, stream=stream)
            ended = events_of(found)[-1]["response"] if stream else found.json()
            assert ended["status"] == status
            refused, message = refusal(await client.post(f"{RESPONSES}/{ended['id']}/cancel"))
            assert (refused, status in message) == (400, True), message
            assert (await client.get(f"{RESPONSES}/{ended['id']}")).json()["status"] == status


async def test_a_run_is_its_owners_while_it_waits(world: ResponseWorld) -> None:
    client = await world.client(auth=True)
    made = await answer(client, input="Hi", background=True)
    name = made["id"]
    assert (await client.get(f"{RESPONSES}/{name}", headers=ADA)).json()["status"] == made["status"] == "queued"
    ways = (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "?stream=true"))
    asked = [
        client.request(method, f"{RESPONSES}/{each}{path}", headers=BOB)
        for method, path in ways
        for each in (name, MISSING)
    ]
    told = [refusal(each) for each in await asyncio.gather(*asked)]
    assert {status for status, _ in told} == {404}
    assert [text.replace(name, MISSING) for _, text in told[::2]] == [text for _, text in told[1::2]]
    assert (await ask(client, input="Hi", previous_response_id=name, who=BOB)).status_code == 404
    unended = await ask(client, input="Hi", previous_response_id=name)
    assert (unended.status_code, "has not ended" in unended.text) == (400, True), unended.text
    ended = await client.post(f"{RESPONSES}/{name}/cancel", headers=ADA)
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled"), ended.text
    again = await client.post(f"{RESPONSES}/{name}/cancel", headers=ADA)
    assert (again.status_code, again.json()) == (200, ended.json())
    assert not world.model.chats


async def test_what_cannot_run_in_the_background(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    for more, words in (
        ({"store": False}, "store"),
        ({"store": False, "stream": True}, "store"),
        ({"background": "yes"}, "background"),
        ({"background": 1}, "background"),
        ({"previous_response_id": MISSING, "conversation": None}, MISSING),
        ({"input": [{"type": "unheard_of"}]}, "input[0]"),
    ):
        found = await ask(client, **{"input": "Hi", "background": True, "conversation": conversation, **more})
        status, message = refusal(found)
        assert status in {400, 404}, (more, message)
        assert words in message or words in found.text, (more, message)
    data = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": "secret-of-the-caller"})}
    body = {"model": "local/m", "input": "Hi", "background": True}
    refused = await client.post(RESPONSES, json=body, headers=data)
    assert (refused.status_code, "X-LlamaStack-Provider-Data" in refused.text) == (400, True), refused.text
    assert not world.model.chats
    assert (await answer(client, input="Hi", conversation=conversation))["status"] == "completed"


async def test_approval_in_the_background_is_of_what_was_asked(world: ResponseWorld) -> None:
    client = await world.client()
    tools = [box(world, require_approval="always")]
    strange = {"type": "mcp_approval_response", "approval_request_id": "mcpr_0", "approve": True}
    asked = await answer(client, Round("", (Call("greet", {"name": "Bo"}),)), Round("{quote}"), tools=tools)
    before = len(world.model.chats)
    for more in ({}, {"previous_response_id": asked["id"]}):
        found = await ask(client, input=[strange], tools=tools, background=True, **more)
        status, message = refusal(found)
        assert (status, "mcpr_0" in message) == (400, True), message
    assert len(world.model.chats) == before
    assert world.server.count("tools/call") == 0
