"""What of a file is left when an answer must leave, or failed for now, is done by a job; and batches, which always are."""

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path
import sqlite3
import time
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.apis.vector_stores import NewStoreFile
from core.errors import NotFound
from core.frame.callers import Call
from core.services.vector_stores.adding import FileAdding
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.stores import StoreCollection
from tests.parts.ingest_stack import (
    ADA,
    PRINCIPAL,
    STORES,
    add,
    counts_of,
    make_store,
    records_of,
    stack_of,
    text_of,
    until,
    upload,
    working,
)
from tests.parts.job_bench import eventually
from tests.parts.s3_vectors_model import Refusal
from tests.parts.upstream import in_turn, status
from tests.parts.vector_stack import VectorWorld, by, embed, vector_world

EMBEDDINGS = "/v1/embeddings"


class Gate:
    """An embedder that answers so many requests, and holds the others until it is opened."""

    def __init__(self, world: VectorWorld, *, first: int = 0) -> None:
        self.left = first
        self.held = asyncio.Event()
        self.opened = asyncio.Event()
        world.upstream.replies[EMBEDDINGS] = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.left -= 1
        if self.left < 0:
            self.held.set()
            await self.opened.wait()
        return await embed(request)


@pytest.fixture
async def client(world: VectorWorld) -> httpx.AsyncClient:
    return await world.client()


async def test_what_there_is_no_time_for_is_done_by_a_job_from_where_it_is(
    world: VectorWorld, client: httpx.AsyncClient
) -> None:
    store, file = await make_store(client), await upload(client, text_of(3000))  # some three batches of chunks
    gate = Gate(world, first=4)  # of 8, 8, 16 and 32 texts: a batch is read while the one before is embedded
    stack = await stack_of(world)
    call = Call(PRINCIPAL, until=asyncio.get_running_loop().time() + 5.5)
    added = await stack.surfaces["store_files"](call).add(NewStoreFile(file_id=file), store)
    assert (added["status"], added["last_error"]) == ("in_progress", None)
    assert int(call.answer_headers["openai-poll-after-ms"]) >= 250
    assert world.count_vectors() == 64
    query = {"query": "keeper", "search_mode": "keyword"}
    found = (await client.post(f"{STORES}/{store}/search", json=query, headers=ADA)).json()["data"]
    assert len(found) == 10  # of what is there so far
    one = f"{STORES}/{store}/files/{file}"
    assert (await counts_of(client, store)) == {"in_progress": 1}
    seen = len(world.upstream.seen)
    gate.opened.set()
    async with working(world):
        assert (await until(client, one))["status"] == "completed"
    again = [entry.body["input"][0] for entry in world.upstream.seen[seen:] if entry.path == EMBEDDINGS]
    content = (await client.get(f"{one}/content", headers=ADA)).json()["data"]
    assert len(content) == world.count_vectors() > 128
    assert content[64]["text"] in again
    assert content[0]["text"] not in again  # it went on where it was
    assert await counts_of(client, store) == {"completed": 1}


async def test_a_client_that_leaves_leaves_its_file_to_a_job(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store, file = await make_store(client), await upload(client, text_of(100))
    gate = Gate(world)
    stack = await stack_of(world)
    adding = asyncio.ensure_future(
        stack.surfaces["store_files"](Call(PRINCIPAL)).add(NewStoreFile(file_id=file), store)
    )
    await gate.held.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    gate.opened.set()
    async with working(world):
        assert (await until(client, f"{STORES}/{store}/files/{file}"))["status"] == "completed"


async def test_what_fails_for_now_is_tried_again(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store, file = await make_store(client), await upload(client, text_of(10))
    world.upstream.replies[EMBEDDINGS] = in_turn(*[status(503, {})] * 2, embed)
    added = (await add(client, store, file)).json()
    assert (added["status"], added["last_error"]) == ("in_progress", None)
    async with working(world):
        shown = await until(client, f"{STORES}/{store}/files/{file}")
    assert (shown["status"], shown["last_error"]) == ("completed", None)


async def test_a_file_that_was_deleted_before_its_job_is_in_no_store(
    world: VectorWorld, client: httpx.AsyncClient
) -> None:
    store, file = await make_store(client), await upload(client, text_of(10))
    batch = (await client.post(f"{STORES}/{store}/file_batches", json={"file_ids": [file]}, headers=ADA)).json()
    assert (await client.delete(f"/v1/files/{file}", headers=ADA)).status_code == 200
    async with working(world):
        shown = await until(client, f"{STORES}/{store}/file_batches/{batch['id']}")
    assert (shown["status"], shown["file_counts"]["cancelled"]) == ("completed", 1)
    assert (await client.get(f"{STORES}/{store}/files/{file}", headers=ADA)).status_code == 404
    assert await counts_of(client, store) == {}


async def test_a_file_is_taken_out_while_it_is_taken_in(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store, file = await make_store(client), await upload(client, text_of(3000))
    one = f"{STORES}/{store}/files/{file}"
    gate = Gate(world, first=1)
    adding = asyncio.ensure_future(add(client, store, file))
    await gate.held.wait()
    assert (await client.get(one, headers=ADA)).json()["status"] == "in_progress"
    assert (await client.delete(one, headers=ADA)).status_code == 200
    assert (await client.get(one, headers=ADA)).status_code == 404
    assert (await client.get(f"{STORES}/{store}/files", headers=ADA)).json()["data"] == []
    assert await counts_of(client, store) == {}
    gate.opened.set()
    assert (await adding).status_code in {200, 404}
    assert world.count_vectors() == 0
    added = (await add(client, store, file)).json()
    assert added["status"] == "completed"
    assert len((await client.get(f"{one}/content", headers=ADA)).json()["data"]) == world.count_vectors()


async def test_attributes_change_while_a_file_is_taken_in(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store, file = await make_store(client), await upload(client, text_of(3000))
    gate = Gate(world, first=1)
    adding = asyncio.ensure_future(add(client, store, file, attributes={"a": 1}))
    await gate.held.wait()
    changing = asyncio.ensure_future(
        client.post(f"{STORES}/{store}/files/{file}", json={"attributes": {"a": 2}}, headers=ADA)
    )
    await asyncio.sleep(0.1)
    gate.opened.set()
    for answer in (await adding, await changing):
        assert (answer.json()["status"], answer.json()["attributes"]) == ("completed", {"a": 2})
    body = {"query": "keeper", "filters": {"type": "ne", "key": "a", "value": 2}}
    assert (await client.post(f"{STORES}/{store}/search", json=body, headers=ADA)).json()["data"] == []


async def test_a_store_is_deleted_while_a_file_is_taken_in(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store, file = await make_store(client), await upload(client, text_of(3000))
    gate = Gate(world, first=1)
    adding = asyncio.ensure_future(add(client, store, file))
    await gate.held.wait()
    assert (await client.delete(f"{STORES}/{store}", headers=ADA)).status_code == 200
    gate.opened.set()
    await adding
    assert world.count_vectors() == 0
    assert (await client.get(f"{STORES}/{store}/files", headers=ADA)).status_code == 404


async def test_a_store_that_was_deleted_a_moment_ago_takes_no_file(
    world: VectorWorld, client: httpx.AsyncClient
) -> None:
    store, file = await make_store(client), await upload(client, "text")
    stores = StoreCollection(await stack_of(world), Call(PRINCIPAL))
    files = StoreFiles(stores, await stores.get(store))
    assert (await client.delete(f"{STORES}/{store}", headers=ADA)).status_code == 200
    adding = FileAdding(files)
    with pytest.raises(NotFound, match=store):
        await adding.add(adding.check(NewStoreFile(file_id=file)))
    assert await files.get(file) is None
    assert not any((await stores.store.tallies("vector_store", store)).values())


async def test_a_batch_is_taken_in_by_a_job_and_counted(world: VectorWorld, client: httpx.AsyncClient) -> None:
    store = await make_store(client)
    ids = [await upload(client, text_of(10 + n)) for n in range(5)]
    scan = await upload(client, b"\n \n")
    files = [{"file_id": id_, "attributes": {"n": n}} for n, id_ in enumerate(ids)]
    body = {"files": [*files, {"file_id": scan}, {"file_id": "file-0"}]}
    answer = await client.post(f"{STORES}/{store}/file_batches", json=body, headers=ADA)
    batch = answer.json()
    assert (answer.status_code, batch["object"], batch["status"]) == (200, "vector_store.files_batch", "in_progress")
    assert batch["file_counts"] == {"in_progress": 6, "completed": 0, "failed": 1, "cancelled": 0, "total": 7}
    assert int(answer.headers["openai-poll-after-ms"]) >= 250
    assert await counts_of(client, store) == {"in_progress": 6, "failed": 1}
    path = f"{STORES}/{store}/file_batches/{batch['id']}"
    async with working(world):
        done = await until(client, path)
    assert done["status"] == "completed"
    assert done["file_counts"] == {"in_progress": 0, "completed": 5, "failed": 2, "cancelled": 0, "total": 7}
    assert await counts_of(client, store) == {"completed": 5, "failed": 2}
    listed = (await client.get(f"{path}/files", params={"order": "asc"}, headers=ADA)).json()["data"]
    assert [file["id"] for file in listed] == [*ids, scan, "file-0"]
    assert [file["attributes"] for file in listed[:5]] == [{"n": n} for n in range(5)]
    failed = (await client.get(f"{path}/files", params={"filter": "failed", "limit": 1}, headers=ADA)).json()
    assert ([file["id"] for file in failed["data"]], failed["has_more"]) == (["file-0"], True)
    refused = await client.post(f"{path}/cancel", headers=ADA)
    assert (refused.status_code, "has ended" in refused.text) == (400, True)
    await client.delete(f"{STORES}/{store}/files/{ids[0]}", headers=ADA)
    assert (await client.get(path, headers=ADA)).json()["file_counts"] == done["file_counts"]
    assert (await client.get(f"{STORES}/{store}/file_batches/batch_0", headers=ADA)).status_code == 404


async def test_a_batch_that_is_cancelled_leaves_nothing_of_what_is_not_done(
    world: VectorWorld, client: httpx.AsyncClient
) -> None:
    store = await make_store(client)
    small, large = await upload(client, "one"), await upload(client, text_of(6000))
    more = [await upload(client, text_of(3000, f"ship{n}")) for n in range(4)]
    gate = Gate(world, first=3)
    body = {"file_ids": [small, large, *more], "attributes": {"a": 1}}
    batch = (await client.post(f"{STORES}/{store}/file_batches", json=body, headers=ADA)).json()
    path = f"{STORES}/{store}/file_batches/{batch['id']}"
    async with working(world):
        await gate.held.wait()
        cancelled = (await client.post(f"{path}/cancel", headers=ADA)).json()
        assert cancelled["status"] == "cancelled"
        assert cancelled["file_counts"]["in_progress"] == 0
        gate.opened.set()
        for _ in range(100):
            completed = (await counts_of(client, store)).get("completed", 0)
            if world.count_vectors() == completed:
                break
            await asyncio.sleep(0.1)
    counts = (await client.get(path, headers=ADA)).json()["file_counts"]
    assert counts == {"in_progress": 0, "completed": completed, "failed": 0, "cancelled": 6 - completed, "total": 6}
    assert Counter(await counts_of(client, store)) == Counter(completed=completed, cancelled=6 - completed)
    assert world.count_vectors() == completed <= 1
    again = (await add(client, store, large)).json()
    assert again["status"] == "completed"
    assert await counts_of(client, store) == {"completed": completed + 1, "cancelled": 5 - completed}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Name the files as `file_ids`, or as `files`"),
        ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "Name the files as `file_ids`, or as `files`"),
        ({"files": [{"file_id": "a"}, {"file_id": "a"}]}, "A file is in `files` twice."),
        ({"file_ids": []}, "at least 1 item"),
        ({"file_ids": ["a"] * 501}, "at most 500 items"),
        ({"files": [{"file_id": "a", "attributes": {"k": []}}]}, "no string, number or boolean"),
    ],
)
async def test_a_batch_that_is_none_is_refused(client: httpx.AsyncClient, body: dict[str, Any], message: str) -> None:
    store = await make_store(client)
    answer = await client.post(f"{STORES}/{store}/file_batches", json=body, headers=ADA)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


async def test_a_job_keeps_no_secrets(client: httpx.AsyncClient) -> None:
    store = await make_store(client)
    headers = {**ADA, "x-llamastack-provider-data": '{"vllm_api_token": "s"}'}
    answer = await client.post(f"{STORES}/{store}/file_batches", json={"file_ids": ["a"]}, headers=headers)
    assert (answer.status_code, "keeps no secrets" in answer.text) == (400, True)
    assert await counts_of(client, store) == {}


async def test_files_of_a_new_store_are_in_it_when_it_is_answered(client: httpx.AsyncClient) -> None:
    ids = [await upload(client, text_of(10 + n)) for n in range(6)]
    body = {"name": "all", "file_ids": [*ids, ids[0], "file-0"]}
    store = (await client.post(STORES, json=body, headers=ADA)).json()
    counts = {"in_progress": 0, "completed": 6, "failed": 1, "cancelled": 0, "total": 7}
    assert store["file_counts"] == counts


async def test_what_died_is_seen_to_by_who_looks(
    world: VectorWorld, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = await make_store(client), await upload(client, text_of(10))
    monkeypatch.setattr(
        "core.services.vector_stores.adding.IN_LINE", 600.0
    )  # so that it leaves nothing to a job itself
    gate = Gate(world)
    adding = asyncio.ensure_future(add(client, store, file))
    await gate.held.wait()  # as good as dead
    one = f"{STORES}/{store}/files/{file}"
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 61)
    later = await world.client()
    world.upstream.replies[EMBEDDINGS] = embed
    async with working(world):
        assert (await later.get(one, headers=ADA)).json()["status"] == "in_progress"
        assert (await until(later, one))["status"] == "completed"
    gate.opened.set()
    await adding
    assert await counts_of(later, store) == {"completed": 1}
    assert len((await later.get(f"{one}/content", headers=ADA)).json()["data"]) == world.count_vectors()


async def test_anothers_look_makes_no_job_which_could_not_read_the_file(
    world: VectorWorld, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = await make_store(client), await upload(client, text_of(10))
    gate = Gate(world)
    adding = asyncio.ensure_future(add(client, store, file))
    await gate.held.wait()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 61)
    rules = [
        {"permit": {"principal": "bob", "actions": ["read"], "resource": "vector_store::*"}},
        {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"},
    ]
    later = await world.client(policy=rules)
    for path in (f"{STORES}/{store}/files", f"{STORES}/{store}/files/{file}"):
        assert (await later.get(path, headers=by("bob"))).status_code == 200
    assert (await later.get("/v1/jobs", headers=by("bob"))).json()["data"] == []
    assert (await later.get(f"{STORES}/{store}/files/{file}", headers=ADA)).status_code == 200
    assert len((await later.get("/v1/jobs", headers=ADA)).json()["data"]) == 1
    gate.opened.set()
    await adding


@pytest.mark.parametrize("lost", [False, True])
async def test_who_was_taken_for_dead_leaves_no_index_of_a_store_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    async with vector_world(tmp_path, "s3-vectors") as world:
        client = await world.client()
        store, file = await make_store(client), await upload(client, text_of(3000))
        gate = Gate(world, first=1)
        adding = asyncio.ensure_future(add(client, store, file))
        await gate.held.wait()
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + 61)
        later = await world.client()
        assert (await later.delete(f"{STORES}/{store}", headers=ADA)).status_code == 200
        assert world.count_indexes() == 0
        monkeypatch.undo()  # its own clock stood still
        assert world.double is not None
        if lost:
            world.double.lose.append(Refusal(400, "AccessDeniedException", "the index is there by now"))
        gate.opened.set()
        assert (await adding).status_code in {200, 404}
        assert "CreateIndex" in world.double.operations[2:]
        assert not world.double.lose
        assert world.count_indexes() == 0


async def test_who_leaves_keeps_the_lease_while_chunks_are_on_their_way(
    world: VectorWorld, client: httpx.AsyncClient
) -> None:
    store, file = await make_store(client), await upload(client, text_of(100))
    stack = await stack_of(world)
    with closing(sqlite3.connect(world.folder / "vectors.db", autocommit=True)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that nothing is put
        seen = len(world.upstream.seen)
        adding = asyncio.ensure_future(
            stack.surfaces["store_files"](Call(PRINCIPAL)).add(NewStoreFile(file_id=file), store)
        )

        async def is_embedded() -> bool:
            return len(world.upstream.seen) > seen

        await eventually(is_embedded)
        await asyncio.sleep(0.2)
        adding.cancel()
        await asyncio.sleep(0.2)
        assert (await client.delete(f"{STORES}/{store}/files/{file}", headers=ADA)).status_code == 200
        assert [record.deleting for record in await records_of(stack, store) if record.is_held(time.time())] == [True]
        other.execute("ROLLBACK")
    with pytest.raises(asyncio.CancelledError):
        await adding

    async def is_gone() -> bool:
        return not await records_of(stack, store)

    async with working(world):
        await eventually(is_gone)
    assert world.count_vectors() == 0
