"""Vector stores that go while they are used: hidden at once, counted no more, and nothing of them is left."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import chain
import time
from typing import Any

import pytest

from core.services.vector_stores import removal
from core.services.vector_stores.records import BATCHES, FILES, STORES, FileRecord, file_document_id, tallies_of
from core.stores.documents.port import Document, DocumentStore
from core.stores.documents.sqlite import connect
from tests.parts.file_stack import upload
from tests.parts.upstream import Reply
from tests.parts.vector_stack import ADA, VectorWorld, insert, make, search, texts
from tests.parts.vector_stack import STORES as PATH


async def test_a_store_is_made_with_files_which_stay_when_it_goes(world: VectorWorld) -> None:
    client = await world.client()
    files = [(await upload(client, text.encode())).json()["id"] for text in ("the sun is a star", "tea is a drink")]
    store = await make(client, file_ids=files)
    assert store["file_counts"] == {"in_progress": 0, "completed": 2, "failed": 0, "cancelled": 0, "total": 2}
    row = (await search(client, store["id"], "tea", max_num_results=1)).json()["data"][0]
    assert (row["file_id"], row["filename"]) == (files[1], "a.txt")
    batch = await client.post(f"{PATH}/{store['id']}/file_batches", json={"file_ids": files}, headers=ADA)
    assert batch.status_code == 200, batch.text
    assert (await client.delete(f"{PATH}/{store['id']}", headers=ADA)).status_code == 200
    assert world.count_vectors() == 0
    assert not await _left(world, store["id"])
    assert (await client.get(f"/v1/files/{files[0]}", headers=ADA)).status_code == 200


async def test_a_store_that_is_deleted_while_it_is_filled_leaves_nothing(world: VectorWorld) -> None:
    client = await world.client()
    embed = world.upstream.replies["/v1/embeddings"]
    seen = set[int]()
    for wait in (0.0, 0.01, 0.03, 0.06):
        store = (await make(client))["id"]
        file = (await upload(client, b"the sun is a star. " * 2000)).json()["id"]
        chunks = {"vector_store_id": store, "chunks": [{"content": f"chunk {n}"} for n in range(50)]}
        world.upstream.replies["/v1/embeddings"] = _slowly(embed, wait)
        work = [
            asyncio.create_task(client.post(f"{PATH}/{store}/files", json={"file_id": file}, headers=ADA)),
            asyncio.create_task(client.post("/v1/vector-io/insert", json=chunks, headers=ADA)),
        ]
        await asyncio.sleep(0.05)
        assert (await client.delete(f"{PATH}/{store}", headers=ADA)).status_code == 200
        assert (await client.get(f"{PATH}/{store}", headers=ADA)).status_code == 404
        answers = await asyncio.gather(*work)
        seen |= {answer.status_code for answer in answers}
        await client.get(PATH, headers=ADA)
        assert world.count_vectors() == 0
        assert not await _left(world, store)
    assert 404 in seen
    assert seen <= {200, 204, 404}


async def test_what_a_dead_ingest_had_goes_when_its_lease_is_over(
    world: VectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client(quota={"max_vector_stores": 1})
    body = {"vector_db_id": "notes", "embedding_model": "words"}
    assert (await client.post("/v1/vector-dbs", json=body, headers=ADA)).status_code == 200
    await insert(client, "notes", "the sun")
    record = FileRecord(holder="h", until=time.time() + 60, claimed=3)
    async with _documents(world) as documents:
        file = Document(FILES, file_document_id("notes", "file-1"), record.body(), "notes")
        await documents.create(file, tally=tallies_of("notes", None, record))
    assert (await client.delete("/v1/vector-dbs/notes", headers=ADA)).status_code == 204
    assert world.count_vectors() == 0
    record_left, file_left, _ = await _left(world, "notes")
    assert (record_left.body["deleting"], file_left.body["deleting"]) == (True, True)  # which tells the ingest to end
    taken = await client.post("/v1/vector-dbs", json=body, headers=ADA)
    assert taken.status_code == 409
    assert (await client.post(PATH, json={}, headers=ADA)).status_code == 200  # it counts no more
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    late = await world.client()
    assert (await late.get("/v1/vector-dbs/notes", headers=ADA)).status_code == 404
    assert not await _left(world, "notes")
    assert (await late.post("/v1/vector-dbs", json=body, headers=ADA)).status_code == 200


async def test_what_a_provider_could_not_remove_is_removed_later(world: VectorWorld) -> None:
    client = await world.client()
    store = (await make(client))["id"]
    await insert(client, store, "the sun")
    others = {(await make(client))["id"] for _ in range(2)}
    path = world.folder / "vectors.db"
    world.provider["config"]["db_path"] = str(world.folder / "blobs")  # no file, but a folder
    (world.folder / "blobs").mkdir(exist_ok=True)
    broken = await world.client()
    assert (await broken.delete(f"{PATH}/{store}", headers=ADA)).status_code == 200
    page = (await broken.get(PATH, params={"limit": "2"}, headers=ADA)).json()
    assert ({row["id"] for row in page["data"]}, page["has_more"]) == (others, False)
    for order in ("asc", "desc"):
        page = (await broken.get(PATH, params={"limit": "1", "order": order}, headers=ADA)).json()
        assert ({row["id"] for row in page["data"]} < others, page["has_more"]) == (True, True)
    world.provider["config"]["db_path"] = str(path)
    assert world.count_vectors() == 1
    mended = await world.client()
    assert len((await mended.get(PATH, headers=ADA)).json()["data"]) == 2
    assert world.count_vectors() == 0
    assert not await _left(world, store)


async def test_a_large_store_goes_piece_by_piece(world: VectorWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client()
    store = (await make(client))["id"]
    await insert(client, store, "the sun")
    async with _documents(world) as documents:
        for number in range(250):
            record = FileRecord(status="completed")
            file = Document(FILES, file_document_id(store, f"file-{number}"), record.body(), store)
            await documents.create(file, tally=tallies_of(store, None, record))
    monkeypatch.setattr(removal.remove_rest, "__kwdefaults__", {"seconds": -1.0})
    assert (await client.delete(f"{PATH}/{store}", headers=ADA)).status_code == 200
    assert world.count_vectors() == 0
    assert len(await _left(world, store)) > 100
    assert not (await client.get(PATH, headers=ADA)).json()["data"]
    assert not await _left(world, store)


async def test_searches_and_changes_at_once_lose_nothing(world: VectorWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client()
    store = (await make(client))["id"]
    await insert(client, store, "the sun")
    later = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: later)  # so that each search notes the use
    client = await world.client()
    changing = [
        asyncio.create_task(client.post(f"{PATH}/{store}", json={"metadata": {"n": str(n)}}, headers=ADA))
        for n in range(6)
    ]
    assert await asyncio.gather(*(texts(client, store, "sun") for _ in range(20))) == [["the sun"]] * 20
    assert {answer.status_code for answer in await asyncio.gather(*changing)} == {200}
    gone, *others = await asyncio.gather(
        client.delete(f"{PATH}/{store}", headers=ADA),
        *(client.post(f"{PATH}/{store}", json={"name": f"n{n}"}, headers=ADA) for n in range(10)),
    )
    assert gone.status_code == 200
    assert {answer.status_code for answer in others} <= {200, 404}


def _slowly(reply: Reply, seconds: float) -> Reply:
    async def answer(request: Any) -> Any:
        await asyncio.sleep(seconds)
        return await reply(request)

    return answer


@asynccontextmanager
async def _documents(world: VectorWorld) -> AsyncGenerator[DocumentStore]:
    """Those of the world's stack, as another process opens them."""
    store = connect(db_path=str(world.folder / "state.db"))
    try:
        yield store
    finally:
        await store.close()


async def _left(world: VectorWorld, store_id: str) -> list[Any]:
    """What the state still has of a store: its record, those of its files and batches, its tallies."""
    async with _documents(world) as store:
        record = await store.get(STORES, store_id)
        lists = [(await store.page(collection, store_id, limit=100)).documents for collection in (FILES, BATCHES)]
        tallies = await store.tallies(STORES, store_id)
        return [*filter(None, [record]), *chain(*lists), *filter(None, [tallies])]
