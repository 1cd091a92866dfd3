"""What is kept of responses while other things happen to it: two runs at once, deletes, `store: false`, ten thousand items."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
import json
from pathlib import Path
import sqlite3
from typing import Any

import pytest

from tests.parts.model_script import Call, Round, write_script
from tests.parts.response_calls import CONVERSATIONS, answer, ask, box, kinds, text_of
from tests.parts.response_stack import RESPONSES, ResponseWorld, response_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


async def test_a_conversation_has_one_run_at_a_time(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    first = asyncio.create_task(answer(client, Round("Hello there", held=True), conversation=conversation))
    await world.model.asked.wait()
    second = await ask(client, input="Hi", conversation=conversation)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conversation_locked")
    assert int(second.headers["retry-after"]) > 0
    item = {"type": "message", "role": "user", "content": "Hi"}
    assert (await client.post(f"{CONVERSATIONS}/{conversation}/items", json={"items": [item]})).status_code == 409
    world.model.release.set()
    await first
    items = (await client.get(f"{CONVERSATIONS}/{conversation}/items")).json()["data"]
    assert len(items) == 2
    assert (await ask(client, input="Hi", conversation=conversation)).status_code == 200


async def test_a_conversation_that_is_deleted_during_a_run_keeps_nothing(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    run = asyncio.create_task(ask(client, Round("Hello there", held=True), conversation=conversation))
    await world.model.asked.wait()
    assert (await client.delete(f"{CONVERSATIONS}/{conversation}")).status_code == 200
    world.model.release.set()
    found = await run
    body = found.json()
    assert found.status_code == 409 or body.get("status") == "failed", found.text
    assert (await client.get(f"{CONVERSATIONS}/{conversation}")).status_code == 404
    assert (await client.get(RESPONSES)).json()["data"] == []


async def test_a_response_that_is_deleted_leaves_those_that_went_on_from_it(world: ResponseWorld) -> None:
    client = await world.client()
    first = await answer(client, input="I am Bo.")
    second = await answer(client, input="I am tall.", previous_response_id=first["id"])
    assert (await client.delete(f"{RESPONSES}/{first['id']}")).json()["deleted"] is True
    assert (await ask(client, input="Hi", previous_response_id=first["id"])).status_code == 404
    third = await answer(client, input="Who am I?", previous_response_id=second["id"])
    assert "I am tall." in text_of(third)


async def test_a_response_may_be_deleted_while_another_goes_on_from_it(world: ResponseWorld) -> None:
    client = await world.client()
    first = await answer(client, input="I am Bo.")
    script = write_script(Round("Hello there", held=True))
    run = asyncio.create_task(answer(client, input=script, previous_response_id=first["id"]))
    world.model.asked.clear()
    await world.model.asked.wait()
    assert (await client.delete(f"{RESPONSES}/{first['id']}")).status_code == 200
    world.model.release.set()
    second = await run
    assert second["status"] == "completed"
    assert (await client.get(f"{RESPONSES}/{second['id']}")).json()["output"] == second["output"]
    third = await answer(client, input="What did I say?", previous_response_id=second["id"])
    assert "Hello there" in text_of(third)
    assert "I am Bo." not in text_of(third)


async def test_store_false_in_a_conversation_reads_it_and_leaves_everything_as_it_is(world: ResponseWorld) -> None:
    client = await world.client()
    said = {"type": "message", "role": "user", "content": "I am Bo."}
    conversation = (await client.post(CONVERSATIONS, json={"items": [said]})).json()["id"]
    store = (await client.post("/v1/vector_stores", json={"name": "own"})).json()["id"]
    rounds = (
        Round(
            "Look.", (Call("greet", {"name": "Bo"}), Call("file_search", {"query": "x"}), Call("web", {"query": "y"}))
        ),
        Round("{quote}"),
    )
    tools = [box(world), {"type": "file_search", "vector_store_ids": [store]}, {"type": "web_search"}]
    asked = {"tools": tools, "conversation": conversation, "store": False}
    await answer(client, *rounds, **asked)  # what the stack remembers of its providers is there from now on
    before = kept_in(world.folder)
    found = await answer(client, *rounds, **asked)
    assert "I am Bo." in json.dumps(world.model.chats[-1])
    assert {"mcp_call", "file_search_call", "web_search_call"} <= {*kinds(found)}
    assert kept_in(world.folder) == before
    assert (await client.get(f"{RESPONSES}/{found['id']}")).status_code == 404


def kept_in(folder: Path) -> dict[str, Any]:
    """All rows of all tables, and the files beside the databases."""
    rows: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix != ".db":
            rows[str(path)] = path.is_dir() or path.suffix in {".db-wal", ".db-shm"} or path.read_bytes()
            continue
        with closing(sqlite3.connect(path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for table in tables:
                rows[f"{path} {table}"] = connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - its own
    return rows


@pytest.mark.exact
async def test_a_conversation_of_10_000_items_goes_on(world: ResponseWorld) -> None:
    client = await world.client()
    conversation = (await client.post(CONVERSATIONS, json={})).json()["id"]
    for begin in range(0, 10_000, 20):
        items = [{"type": "message", "role": "user", "content": f"item {begin + n}"} for n in range(20)]
        assert (await client.post(f"{CONVERSATIONS}/{conversation}/items", json={"items": items})).status_code == 200
    newest = (await client.get(f"{CONVERSATIONS}/{conversation}/items", params={"limit": 20})).json()
    assert newest["data"][0]["content"][0]["text"] == "item 9999"
    middle = newest["data"][-1]["id"]
    older = (await client.get(f"{CONVERSATIONS}/{conversation}/items", params={"after": middle})).json()
    assert older["data"][0]["content"][0]["text"] == "item 9979"
    await answer(client, input="And now?", conversation=conversation)
    messages = world.model.chats[-1]["messages"]
    assert [message["content"] for message in messages[-2:]] == ["item 9999", "And now?"]
    assert len(messages) == 10_001
