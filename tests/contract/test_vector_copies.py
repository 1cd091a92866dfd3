"""Vector stores that are copied from one provider or model to another: what comes along, what does not, and who may."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from tests.parts.copy_stack import (
    CopyWorld,
    begin,
    chunks_of,
    copy,
    copy_world,
    ended,
    refusal,
    show,
    without_vectors,
)
from tests.parts.ingest_stack import add, make_store, stack_of, text_of, until, upload, working
from tests.parts.vector_stack import ADA, EMBEDDER, STORES, by, embed, insert, search

pytestmark = pytest.mark.usefixtures("quick_queue")
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}}
LARGE = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 10}}
LONG = 800  # sentences, of more than three batches of chunks
NOTHING = {"files": 0, "files_gone": 0, "files_failed": 0, "chunks": 0, "native_chunks": 0, "native_chunks_failed": 0}
EMBEDDINGS = "/v1/embeddings"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CopyWorld]:
    async with copy_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: CopyWorld) -> httpx.AsyncClient:
    return await world.client()


class Gate:
    """An embedder that answers so many requests, and holds the others until it is opened."""

    def __init__(self, world: CopyWorld) -> None:
        self.close()
        world.upstream.replies[EMBEDDINGS] = self.answer

    def close(self, *, first: int = 0) -> None:
        self.left, self.held, self.opened = first, asyncio.Event(), asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.left -= 1
        if self.left < 0:
            self.held.set()
            await self.opened.wait()
        return await embed(request)


@pytest.fixture
def gate(world: CopyWorld) -> Gate:
    return Gate(world)


async def fill(client: httpx.AsyncClient) -> str:
    """A store with two files that were taken in, one that could not be, and chunks of vector-io."""
    expiry = {"anchor": "last_active_at", "days": 9}
    fields: dict[str, Any] = {"metadata": {"team": "coast"}, "expires_after": expiry, "chunking_strategy": SMALL}
    store = await make_store(client, name="ships", description="d", **fields)
    await add(client, store, await upload(client, text_of(100), "l.txt"), attributes={"year": 2026, "ok": True})
    await add(client, store, await upload(client, "The sun is a star.", "sun.txt"), attributes={"x": "it's"})
    await add(client, store, "file-of-nobody")
    await insert(client, store, *(f"the moon has {n} craters" for n in range(70)))
    return store


def embedded(world: CopyWorld) -> int:
    return sum(seen.path == EMBEDDINGS for seen in world.upstream.seen)


@pytest.mark.parametrize("to", [{"provider_id": "there"}, {"embedding_model": "tiny"}], ids=["vectors", "texts"])
async def test_all_that_is_in_a_store_is_in_its_copy(
    world: CopyWorld, client: httpx.AsyncClient, to: dict[str, str]
) -> None:
    stack, store = await stack_of(world), await fill(client)
    asked = embedded(world)
    async with working(world):
        result = await copy(client, store, **to)
    chunks, copies = await chunks_of(stack, store), await chunks_of(stack, result["store"])
    assert without_vectors(copies) == without_vectors(chunks)
    native = sum(key.startswith("=") for key in chunks)
    assert native == 70
    sums = {"files": 3, "chunks": len(chunks) - native, "native_chunks": native}
    assert result == {"from": store, "store": result["store"], **NOTHING, **sums, "failures": []}
    before, after = await show(client, store), await show(client, result["store"])
    assert after["files"] == before["files"]
    if "provider_id" in to:
        assert embedded(world) == asked
        assert after == before
        for key, chunk in chunks.items():
            assert copies[key].vector == pytest.approx(chunk.vector, abs=1e-6)
        for query in ("a star", "lighthouse 7 ships", "craters 12"):
            first, second = [(await search(client, one, query)).json()["data"] for one in (store, result["store"])]
            assert first[0] | {"score": 0} == second[0] | {"score": 0}
            # Of those with equal scores, who is first is the provider's.
            assert [row["score"] for row in second] == pytest.approx([row["score"] for row in first], abs=1e-5)
    else:
        assert embedded(world) > asked
        assert {len(chunk.vector) for chunk in copies.values()} == {8}
        assert before.pop("usage_bytes") - after.pop("usage_bytes") == 4 * (64 - 8) * (len(chunks) - native)
        assert (await client.get(f"{STORES}/{result['store']}", headers=ADA)).json()["metadata"][
            "embedding_model"
        ] == "tiny"


async def test_the_next_copy_brings_what_has_changed_since_and_does_nothing_twice(
    world: CopyWorld, client: httpx.AsyncClient
) -> None:
    stack, store = await stack_of(world), await fill(client)
    listed = (await client.get(f"{STORES}/{store}/files", params={"filter": "completed"}, headers=ADA)).json()["data"]
    (newer, older) = (file["id"] for file in listed)
    async with working(world):
        first = await copy(client, store, embedding_model="tiny")
        other, asked = first["store"], embedded(world)
        assert await copy(client, store, vector_store_id=other) == first
        assert embedded(world) == asked
        await client.post(f"{STORES}/{store}/files/{older}", json={"attributes": {"x": 2}}, headers=ADA)
        assert (await copy(client, store, vector_store_id=other)) == first
        assert embedded(world) == asked
        assert without_vectors(await chunks_of(stack, other)) == without_vectors(await chunks_of(stack, store))
        await add(client, store, await upload(client, "A third text.", "third.txt"))
        await add(client, store, older, chunking_strategy=LARGE)
        await client.delete(f"{STORES}/{store}/files/{newer}", headers=ADA)
        await insert(client, store, "the last crater")
        last = await copy(client, store, vector_store_id=other)
    assert (last["files"], last["native_chunks"], last["files_failed"]) == (3, 71, 0)
    chunks, copies = await chunks_of(stack, store), await chunks_of(stack, other)
    # What was taken out of the one stays in the other.
    assert {key for key in copies if key not in chunks} == {key for key in copies if key.startswith(newer)} != set()
    assert {key: chunk for key, chunk in without_vectors(copies).items() if key in chunks} == without_vectors(chunks)


async def test_a_copy_that_is_asked_for_twice_is_made_once(world: CopyWorld, client: httpx.AsyncClient) -> None:
    store = await fill(client)
    other = await make_store(client)
    jobs = await asyncio.gather(*(begin(client, store, vector_store_id=other) for _ in range(8)))
    assert len({job["id"] for job in jobs}) == 1
    async with working(world):
        assert (await ended(client, jobs[0]))["status"] == "completed"
    again = await begin(client, store, vector_store_id=other)
    assert again["id"] != jobs[0]["id"]
    assert again["kind"] == "vector_copy"


async def test_a_copy_that_was_interrupted_before_its_target_named_the_job_is_that_job(
    world: CopyWorld, client: httpx.AsyncClient
) -> None:
    store, other = await make_store(client), await make_store(client)
    job = await begin(client, store, vector_store_id=other)
    documents = (await stack_of(world)).stores.collection("vector_stores")
    document = await documents.get("vector_store", other)
    assert document is not None
    await documents.put(document, {**document.body, "copy": {**document.body["copy"], "job": ""}})
    assert (await begin(client, store, vector_store_id=other))["id"] == job["id"]


async def test_of_a_job_of_somebody_else_nothing_is_said(world: CopyWorld) -> None:
    shared = [{"permit": {"actions": ["read", "update"], "resource": "vector_store::*"}}, MODELS, OWN]
    client = await world.client(policy=shared)
    store, other = await make_store(client), await make_store(client)
    await begin(client, store, vector_store_id=other)
    status, text = await refusal(client, store, who="eve", vector_store_id=other)
    assert (status, "filled by a job of somebody else" in text, "ada" in text) == (409, True, False)


async def test_a_job_of_before_may_be_done_once_more(world: CopyWorld, client: httpx.AsyncClient) -> None:
    store = await fill(client)
    async with working(world):
        job = await ended(client, await begin(client, store, provider_id="there"))
        again = (await client.post(f"/v1/jobs/{job['id']}/retry", headers=ADA)).json()
        assert (await ended(client, again))["result"] == job["result"]


BIG = {f"key-{n}": "x" * 400 for n in range(8)}


async def test_what_the_other_provider_does_not_keep_has_failed_there_by_name(
    world: CopyWorld, client: httpx.AsyncClient
) -> None:
    store = await make_store(client)
    file, other = await upload(client, "The sun is a star."), await upload(client, "The moon.")
    await add(client, store, file, attributes=BIG)
    await add(client, store, other)
    big = [{"content": "a", "chunk_id": f"big/{n}", "metadata": BIG} for n in range(2)]
    zero = [{"content": "z", "chunk_id": "zero", "embedding": [0.0] * 64}]
    body = {"vector_store_id": store, "chunks": [*big, *zero, {"content": "small", "chunk_id": "small"}]}
    assert (await client.post("/v1/vector-io/insert", json=body, headers=ADA)).status_code == 204
    async with working(world):
        job = await ended(client, await begin(client, store, provider_id="there"))
    result = job["result"]
    assert job["progress"] == {"total": 3, "completed": 1, "failed": 2}
    assert (result["files"], result["files_failed"]) == (1, 1)
    assert (result["native_chunks"], result["native_chunks_failed"]) == (1, 3)
    reasons = {failure.get("file_id") or failure["chunk_id"]: failure["message"] for failure in result["failures"]}
    assert set(reasons) == {file, "big/0", "big/1", "zero"}
    assert "keeps 2048 of a file" in reasons[file]
    assert "of at most 2048" in reasons["big/0"]
    assert "vector of zeros" in reasons["zero"]
    shown = (await client.get(f"{STORES}/{result['store']}/files/{file}", headers=ADA)).json()
    assert (shown["status"], shown["last_error"]) == ("failed", {"code": "invalid_file", "message": reasons[file]})


async def test_chunks_without_a_text_cannot_be_embedded_again(world: CopyWorld, client: httpx.AsyncClient) -> None:
    store = await make_store(client)
    image = {"type": "image", "image": {"url": {"uri": "https://example.com/a.png"}}}
    chunks = [{"content": image, "chunk_id": "image", "embedding": [1.0] * 64}, {"content": "text", "chunk_id": "text"}]
    body = {"vector_store_id": store, "chunks": chunks}
    assert (await client.post("/v1/vector-io/insert", json=body, headers=ADA)).status_code == 204
    async with working(world):
        same = await copy(client, store, provider_id="there")
        other = await copy(client, store, embedding_model="tiny")
    assert (same["native_chunks"], same["failures"]) == (2, [])
    assert other["native_chunks"] == other["native_chunks_failed"] == 1
    assert other["failures"] == [
        {"chunk_id": "image", "message": "There is no text in it, so that `tiny` can make no vector of it."}
    ]


async def test_what_cannot_be_copied_is_refused_at_once(client: httpx.AsyncClient) -> None:
    store, other, small = await fill(client), await make_store(client), await make_store(client, embedding_model="tiny")
    theirs = await make_store(client, who="bob")
    used = await make_store(client)
    await insert(client, used, "something")
    stores = len((await client.get(STORES, headers=ADA)).json()["data"])
    rows: list[tuple[str, dict[str, Any], int, str]] = [
        ("vs_none", {}, 404, "There is no vector store `vs_none`."),
        (theirs, {}, 404, f"There is no vector store `{theirs}`."),
        (store, {"vector_store_id": theirs}, 404, f"There is no vector store `{theirs}`."),
        (store, {"vector_store_id": store}, 400, "cannot be copied into itself"),
        (store, {"vector_store_id": used}, 409, f"`{used}` has something in it that is not of `{store}`"),
        (other, {"vector_store_id": store}, 409, f"`{store}` has something in it"),
        (store, {"vector_store_id": other, "name": "n"}, 400, "leave `name` out"),
        (store, {"vector_store_id": other, "provider_id": "there"}, 400, "its `provider_id` is `here`"),
        (store, {"vector_store_id": small, "embedding_model": "words"}, 400, "its `embedding_model` is `tiny`"),
        (store, {"vector_store_id": small, "embedding_dimension": 9}, 400, "its `embedding_dimension` is `8`"),
        (store, {"provider_id": "nowhere"}, 400, "nowhere"),
        (store, {"embedding_model": "none"}, 400, "The embedding model `none` is not there"),
        (store, {"embedding_model": "chat"}, 400, "not an embedding model"),
        (store, {"embedding_dimension": 32}, 400, "gives vectors of 64 dimensions"),
        (store, {"embedding_dimension": 5000}, 400, "4096"),
        (store, {"color": "red", "name": "n" * 257}, 400, "to.name"),
    ]
    for source, to, status, words in rows:
        answer = await refusal(client, source, **to)
        assert (answer[0], words in answer[1]) == (status, True), (to, answer)
    for field in ("provider_id", "embedding_model"):
        reply = await client.post(f"{STORES}/{store}/copy", json={"to": {field: "nowhere"}}, headers=ADA)
        assert reply.json()["error"]["param"] == f"to.{field}"
    secret = {"x-llamastack-provider-data": json.dumps({"k": "v"})}
    reply = await client.post(f"{STORES}/{store}/copy", json={}, headers=ADA | secret)
    assert (reply.status_code, "keeps no secrets" in reply.text) == (400, True)
    assert len((await client.get(STORES, headers=ADA)).json()["data"]) == stores


async def test_a_dimension_over_the_providers_limit_is_refused_at_once(world: CopyWorld) -> None:
    wide = EMBEDDER | {"model_id": "wide", "metadata": {"embedding_dimension": 5000}}
    client = await world.client(models=[EMBEDDER, wide])
    store = await make_store(client)
    for provider in ("here", "there"):
        status, text = await refusal(client, store, provider_id=provider, embedding_model="wide")
        assert (status, "Vectors have 1 to 4096 dimensions here, not 5000" in text) == (400, True)
    assert len((await client.get(STORES, headers=ADA)).json()["data"]) == 1


async def test_a_copy_counts_among_its_owners_stores(world: CopyWorld) -> None:
    client = await world.client(quota={"max_vector_stores": 1})
    store = await make_store(client)
    status, text = await refusal(client, store)
    assert (status, "You may have 1 vector stores" in text) == (429, True)


OWN = {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"}
MODELS = {"permit": {"actions": ["read"], "resource": "model::*"}}
READERS = [
    {"permit": {"principal": "bob", "actions": ["read"], "resource": "vector_store::*"}},
    {"permit": {"principal": "eve", "actions": ["read", "create"], "resource": "vector_store::*"}},
    {"forbid": {"principal": "eve", "actions": ["create"], "resource": "job::*"}},
    {"forbid": {"principal": "bob", "actions": ["create"], "resource": "vector_store::*"}},
    MODELS,
    OWN,
]


async def test_who_may_read_a_store_may_copy_it_where_it_may_make_one_and_a_job(world: CopyWorld) -> None:
    client = await world.client(policy=READERS)
    store = await make_store(client)
    assert (await refusal(client, store, who="bob"))[0] == 403
    status, text = await refusal(client, store, who="eve", provider_id="there")  # the store may be made, and no job
    assert (status, "job" in text) == (403, True)
    assert [one["id"] for one in (await client.get(STORES, headers=by("eve"))).json()["data"]] == [store]
    assert world.count_indexes() == 0


async def test_who_copies_is_charged_and_owns_the_copy(world: CopyWorld) -> None:
    policy = [{"permit": {"principal": "eve", "actions": ["read"], "resource": "vector_store::*"}}, MODELS, OWN]
    client = await world.client(policy=policy)
    store = await fill(client)
    async with working(world, policy=policy):
        job = await begin(client, store, who="eve", embedding_model="tiny")
        headers = {"authorization": "Bearer eve"}
        shown = await ended(client, job, who="eve")
    assert (shown["status"], shown["owner"]) == ("completed", "eve")
    assert shown["usage"]["models"]["tiny"] > 0
    other = shown["result"]["store"]
    assert (await client.get(f"{STORES}/{other}", headers=headers)).status_code == 200
    assert (await client.get(f"{STORES}/{other}", headers=ADA)).status_code == 404


async def test_a_file_that_is_still_being_taken_in_is_waited_for(
    world: CopyWorld, client: httpx.AsyncClient, gate: Gate
) -> None:
    store, file = await make_store(client), await upload(client, text_of(50))
    adding = asyncio.create_task(add(client, store, file))
    await gate.held.wait()
    async with working(world):
        job = await begin(client, store, provider_id="there")
        await until(client, f"/v1/jobs/{job['id']}", "running")
        await asyncio.sleep(0.2)
        gate.opened.set()
        result = (await ended(client, job))["result"]
    assert (await adding).json()["status"] == "completed"
    assert (result["files"], result["failures"]) == (1, [])
    stack = await stack_of(world)
    kept = without_vectors(await chunks_of(stack, store))
    assert without_vectors(await chunks_of(stack, result["store"])) == kept != {}


async def test_a_file_that_is_taken_out_while_it_is_copied_is_in_no_copy(
    world: CopyWorld, client: httpx.AsyncClient, gate: Gate
) -> None:
    gate.opened.set()
    stack, store, file = (
        await stack_of(world),
        await make_store(client, chunking_strategy=SMALL),
        await upload(client, text_of(LONG)),
    )
    await add(client, store, file)
    gate.close(first=4)
    async with working(world):
        job = await begin(client, store, embedding_model="tiny")
        await gate.held.wait()
        await client.delete(f"{STORES}/{store}/files/{file}", headers=ADA)
        gate.opened.set()
        result = (await ended(client, job))["result"]
    assert (result["files"], result["files_gone"], result["failures"]) == (0, 1, [])
    assert await chunks_of(stack, result["store"]) == {}
    assert (await show(client, result["store"]))["files"] == []


async def test_a_file_that_is_cut_anew_while_it_is_copied_is_copied_as_it_is_then(
    world: CopyWorld, client: httpx.AsyncClient, gate: Gate
) -> None:
    # Into more chunks than before, so that none is missing of those that are still to be read.
    gate.opened.set()
    stack, store, file = (
        await stack_of(world),
        await make_store(client, chunking_strategy=LARGE),
        await upload(client, text_of(2 * LONG)),
    )
    await add(client, store, file)
    gate.close(first=4)
    async with working(world):
        job = await begin(client, store, embedding_model="tiny")
        await gate.held.wait()
        adding = asyncio.create_task(add(client, store, file, chunking_strategy=SMALL, attributes={"cut": 2}))
        await until(client, f"{STORES}/{store}/files/{file}", "in_progress")
        gate.opened.set()
        await adding
        result = (await ended(client, job))["result"]
    assert (result["files"], result["failures"]) == (1, [])
    chunks, copies = await chunks_of(stack, store), await chunks_of(stack, result["store"])
    assert without_vectors(copies) == without_vectors(chunks)


@pytest.mark.parametrize("model", ["slow", pytest.param("stuck", marks=pytest.mark.exact)])
async def test_a_copy_that_is_cancelled_keeps_whole_files_alone_and_goes_on_when_it_is_asked_for_again(
    world: CopyWorld, client: httpx.AsyncClient, gate: Gate, model: str
) -> None:
    gate.opened.set()
    stack, store = await stack_of(world), await make_store(client, chunking_strategy=SMALL)
    for n in range(3):
        await add(client, store, await upload(client, text_of(LONG, f"ship{n}")))
    gate.close(first=6)
    async with working(world):
        job = await begin(client, store, embedding_model="tiny")
        await gate.held.wait()
        await client.post(f"/v1/jobs/{job['id']}/cancel", headers=ADA)
        if model == "slow":  # what is under way may end
            gate.opened.set()
        shown = await ended(client, job)
        gate.opened.set()
        assert shown["status"] == "cancelled"
        other = shown["result"]["store"]
        counts = (await show(client, other))["file_counts"]
        assert counts["in_progress"] == 0
        assert (counts["cancelled"] > 0) == (model == "stuck")
        assert len(await chunks_of(stack, other)) == shown["result"]["chunks"]
        result = await copy(client, store, vector_store_id=other)
    assert (result["files"], result["failures"]) == (3, [])
    assert without_vectors(await chunks_of(stack, other)) == without_vectors(await chunks_of(stack, store))
    assert (await show(client, other))["file_counts"] == (await show(client, store))["file_counts"]


@pytest.mark.parametrize("which", ["from", "store"])
async def test_a_store_that_is_deleted_while_it_is_copied_leaves_nothing_behind(
    world: CopyWorld, client: httpx.AsyncClient, gate: Gate, which: str
) -> None:
    gate.opened.set()
    store, file = await make_store(client, chunking_strategy=SMALL), await upload(client, text_of(LONG))
    await add(client, store, file)
    await insert(client, store, "the moon")
    other = await make_store(client, embedding_model="tiny", provider_id="there")
    gate.close(first=4)
    async with working(world):
        job = await begin(client, store, vector_store_id=other)
        await gate.held.wait()
        await client.delete(f"{STORES}/{store if which == 'from' else other}", headers=ADA)
        gate.opened.set()
        shown = await ended(client, job)
    if which == "store":
        assert (shown["status"], shown["error"]["code"]) == ("failed", "vector_store_gone")
        assert world.count_indexes() == 0
    else:
        assert (shown["status"], shown["result"]["files"]) == ("completed", 0)
        assert shown["result"]["files_failed"] + shown["result"]["files_gone"] == 1
        assert (await show(client, other))["file_counts"]["in_progress"] == 0
    for left in (store, other):
        await client.delete(f"{STORES}/{left}", headers=ADA)
    assert world.count_indexes() == 0
    assert world.count_vectors() == 0


async def test_a_declared_store_is_filled_from_one_that_a_caller_made(world: CopyWorld) -> None:
    declared = {"vector_store_id": "docs", "provider_id": "there", "embedding_model": "words"}
    how: dict[str, Any] = {"registered_resources": {"vector_stores": [declared]}}
    client, stack = await world.client(auth=False, **how), await stack_of(world, auth=False, **how)
    store = await fill(client)
    async with working(world, auth=False, **how):
        result = await copy(client, store, vector_store_id="docs")
        assert (result["files"], result["native_chunks"]) == (3, 70)
        back = await copy(client, "docs", name="back", provider_id="here")
    chunks = without_vectors(await chunks_of(stack, store))
    assert (
        without_vectors(await chunks_of(stack, "docs"))
        == without_vectors(await chunks_of(stack, back["store"]))
        == chunks
    )
