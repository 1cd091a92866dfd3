"""A file that is deleted goes out of every vector store that has it, whoever is killed or adds it at that moment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import time

import httpx
import pytest

from core.frame.callers import Call, Principal
from core.services.files import uses
from core.services.files.collection import FileCollection
from core.stores.documents import sqlite as documents
from tests.parts.ingest_stack import (
    ADA,
    STORES,
    add,
    check_exact,
    counts_of,
    make_store,
    stack_of,
    until,
    upload,
    working,
)
from tests.parts.vector_stack import VectorWorld, by, texts, vector_world

ADAS = Call(Principal("ada", {"roles": ("ada",), "namespaces": ("ada",)}, "custom"))


@pytest.fixture(params=["sqlite", "s3-vectors"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorWorld]:
    async with vector_world(tmp_path, request.param) as world:
        yield world


async def until_no_use_is_left(world: VectorWorld, *file_ids: str) -> None:
    store, end = documents.connect(str(world.folder / "state.db")), time.monotonic() + 30
    for file_id in file_ids:
        while (await store.page("file_use", file_id, limit=1)).documents:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
    await store.close()


async def delete(client: httpx.AsyncClient, file_id: str, who: str = "ada") -> int:
    return (await client.delete(f"/v1/files/{file_id}", headers=by(who))).status_code


async def test_a_deleted_file_goes_out_of_all_stores(world: VectorWorld) -> None:
    client = await world.client()
    file, other = await upload(client, "the sun is a star"), await upload(client, "tea is a drink")
    stores = [await make_store(client, file_ids=[file, other]), await make_store(client, file_ids=[file])]
    assert await texts(client, stores[0], "sun", max_num_results=1) == ["the sun is a star"]
    assert await delete(client, file) == 200
    assert (await client.get(f"/v1/files/{file}", headers=ADA)).status_code == 404
    async with working(world):
        await until_no_use_is_left(world, file)
    assert await texts(client, stores[0], "sun") == ["tea is a drink"]
    assert [await counts_of(client, store) for store in stores] == [{"completed": 1}, {}]
    assert (await client.get(f"{STORES}/{stores[1]}/files", headers=ADA)).json()["data"] == []
    stack = await stack_of(world)
    for store in stores:
        await check_exact(stack, store)
    assert await delete(client, file) == 404


async def test_what_a_killed_deletion_began_is_finished(world: VectorWorld) -> None:
    client = await world.client()
    file = await upload(client, "the sun is a star")
    store = await make_store(client, file_ids=[file])
    files = FileCollection(await stack_of(world), ADAS)
    assert await uses._hand_over(files, file, "before")
    async with working(world):
        await until_no_use_is_left(world, file)
    assert (await client.get(f"/v1/files/{file}", headers=ADA)).status_code == 404
    assert await counts_of(client, store) == {}
    assert await texts(client, store, "sun") == []


async def test_who_may_make_no_jobs_deletes_all_the_same(world: VectorWorld) -> None:
    everything = ["create", "read", "update", "delete"]
    rules = [
        {"permit": {"actions": everything, "resource": f"{kind}::*"}} for kind in ("file", "vector_store", "model")
    ]
    client = await world.client(policy=rules)
    file = await upload(client, "the sun is a star")
    store = await make_store(client, file_ids=[file])
    assert await delete(client, file) == 200
    async with working(world, policy=rules):
        await until_no_use_is_left(world, file)
    assert await texts(client, store, "sun") == []


async def test_a_file_taken_out_before_is_nobodys_any_more(world: VectorWorld) -> None:
    client = await world.client()
    file = await upload(client, "the sun is a star")
    kept, left, gone = [await make_store(client, file_ids=[file]) for _ in range(3)]
    assert (await client.delete(f"{STORES}/{left}/files/{file}", headers=ADA)).status_code == 200
    assert (await client.delete(f"{STORES}/{gone}", headers=ADA)).status_code == 200
    assert await delete(client, file) == 200
    async with working(world):
        await until_no_use_is_left(world, file)
    assert await counts_of(client, kept) == {}


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.exact)])
async def test_added_and_deleted_at_once_nothing_of_a_file_is_left(world: VectorWorld, rounds: int) -> None:
    client = await world.client()
    store = await make_store(client)
    files = [await upload(client, f"the {n}th sun is a star. " * 40) for n in range(rounds)]

    async def race(place: int, file: str) -> None:
        adding = asyncio.ensure_future(add(client, store, file))
        await asyncio.sleep(0.002 * (place % 20))
        assert await delete(client, file) == 200
        await adding

    async with working(world):
        for place, file in enumerate(files):
            await race(place, file)
        await until_no_use_is_left(world, *files)
        for file in (await client.get(f"{STORES}/{store}/files", headers=ADA)).json()["data"]:
            await until(client, f"{STORES}/{store}/files/{file['id']}")
    assert await texts(client, store, "sun") == []
    counts = await counts_of(client, store)
    assert set(counts) <= {"failed"}
    await check_exact(await stack_of(world), store)
