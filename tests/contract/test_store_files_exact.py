"""What stays exact of the files in a store: counts and chunks, however many add, change and remove them at once, and whoever dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
import json
from pathlib import Path
import random
from typing import Any

import httpx
import pytest

from tests.parts.ingest_stack import (
    ADA,
    STORES,
    add,
    check_exact,
    make_store,
    stack_of,
    text_of,
    until,
    upload,
    working,
)
from tests.parts.killers import Lives, killer_of
from tests.parts.vector_places import AWS, CHROMA, SQLITE, Place, open_place
from tests.parts.vector_stack import vector_world

SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}}
LARGE = {"type": "static", "static": {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 0}}
FILES = 12
AT_ONCE = 64


@pytest.fixture(params=[SQLITE, *(pytest.param(name, marks=pytest.mark.exact) for name in (AWS, CHROMA))])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(request, tmp_path) as place:
        yield place


async def act(client: httpx.AsyncClient, store: str, file: str, chance: random.Random) -> None:
    """Something that a caller may do with a file."""
    one = f"{STORES}/{store}/files/{file}"
    match chance.choice(["add", "add", "cut", "change", "remove", "remove"]):
        case "add":
            answer = await add(client, store, file, attributes={"a": chance.randrange(3)})
        case "cut":
            answer = await add(client, store, file, chunking_strategy=chance.choice([SMALL, LARGE]))
        case "change":
            answer = await client.post(one, json={"attributes": {"a": chance.randrange(9)}}, headers=ADA)
        case _:
            answer = await client.delete(one, headers=ADA)
    assert answer.status_code in {200, 404}, answer.text


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=pytest.mark.exact)])
async def test_whatever_is_done_at_once_counts_and_chunks_are_exact(place: Place, rounds: int) -> None:
    clients = [await place.world.client(**place.how) for _ in range(3)]
    store = await make_store(clients[0], chunking_strategy=SMALL)
    files = [await upload(clients[0], text_of(3 * n + 1, f"ship{n}")) for n in range(FILES)]
    chance = random.Random(17)  # noqa: S311 - the same each time
    async with working(place.world, **place.how):
        for _ in range(rounds):
            acts = [act(chance.choice(clients), store, chance.choice(files), chance) for _ in range(AT_ONCE)]
            await asyncio.gather(*acts)
        records = await settled(place, clients[0], store)
    assert {record.status for record in records.values()} <= {"completed"}
    for file in files:
        await clients[0].delete(f"{STORES}/{store}/files/{file}", headers=ADA)
    assert await settled(place, clients[0], store) == {}


async def settled(place: Place, client: httpx.AsyncClient, store: str) -> dict[str, Any]:
    """The records, once jobs have done what was left to them."""
    stack = await stack_of(place.world, **place.how)
    for _ in range(100):
        listed = (await client.get(f"{STORES}/{store}/files", headers=ADA)).json()["data"]
        if not any(file["status"] == "in_progress" for file in listed):
            break
        await asyncio.sleep(0.1)
    return await check_exact(stack, store)


@pytest.mark.parametrize(
    ("kind", "kills"),
    [("sqlite", 2), *(pytest.param(kind, 20, marks=pytest.mark.exact) for kind in ("sqlite", "s3-vectors"))],
)
async def test_a_server_that_is_killed_between_put_and_record_leaves_nothing_that_the_next_does_not_mend(
    tmp_path: Path, kills: int, kind: str
) -> None:
    async with vector_world(tmp_path, kind) as world:
        killer = killer_of(world)
        config = tmp_path / "run.json"
        config.write_text(json.dumps(world.document()))
        lives = Lives(config, tmp_path / "log")
        places, deaths, is_done = list[tuple[str, str]](), 0, True
        while deaths < kills:
            async with lives.next() as (client, process):
                if is_done:
                    store = await make_store(client, chunking_strategy=SMALL)
                    places.append((store, await upload(client, text_of(700, f"ship{deaths}"))))
                killer.arm(process)
                is_done = False
                with suppress(httpx.TransportError):
                    await add(client, *places[-1], attributes={"death": len(places)})
                    is_done = bool(await until(client, path_of(*places[-1])))
                deaths += not is_done
        async with lives.next() as (client, _):
            for place in places:
                await add(client, *place)  # the server may have died over another before
                shown = await until(client, path_of(*place))
                assert (shown["status"], shown["last_error"]) == ("completed", None)
            for store, _ in places:
                await check_exact(await stack_of(world), store)


def path_of(store: str, file: str) -> str:
    return f"{STORES}/{store}/files/{file}"
