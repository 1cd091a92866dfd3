"""A package for Llama Stack or OGX that provides vector stores is served unchanged, over HTTP: what it can do, and what is said of the rest."""

from collections.abc import AsyncIterator
from itertools import count
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.vector_filters import Comparison
from core.apis.vector_io import VectorQuery
from core.config.load import interpret
from core.config.problems import ConfigInvalid
from core.errors import InvalidRequest, UpstreamFailed
from core.resolution.external.boundary import Unusable
from core.resolution.external.reference import vectors
from tests.contract.vector_providers import INDEX, chunk
from tests.parts import reference
from tests.parts.live_stack import client_over
from tests.parts.reference_vectors import NEW_VECTORS, OLD_VECTORS
from tests.parts.vector_stack import ADA, DIMENSION, VectorWorld, make, message, search, vector_of, vector_world

NUMBERS = count()
X = (1.0, 0, 0, 0)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VectorWorld]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with vector_world(tmp_path) as world:
        yield world


def entry(folder: Path, code: dict[str, str], kind: str, **config: Any) -> dict[str, Any]:
    name = f"shelf_pack_{next(NUMBERS)}"
    reference.install(folder, name, code)
    return {"provider_id": "v", "provider_type": f"{kind}::shelf", "module": name, "config": config}


async def find(client: httpx.AsyncClient, store: str, query: str, **more: Any) -> list[dict[str, Any]]:
    answer = await search(client, store, query, **more)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


@pytest.mark.parametrize("kind", ["inline", "remote"])
async def test_a_package_of_later_versions_keeps_files_and_finds_them(world: VectorWorld, kind: str) -> None:
    world.provider = entry(world.folder, NEW_VECTORS, kind)
    client = await world.client()
    text = "Apples are red. " * 3 + "\n\n" + "Bananas are yellow. " * 3
    sent = await client.post("/v1/files", headers=ADA, data={"purpose": "assistants"}, files={"file": ("f.txt", text)})
    store = await make(client, file_ids=[sent.json()["id"]])
    assert (store["file_counts"]["completed"], store["file_counts"]["failed"]) == (1, 0)
    [best, *_] = await find(client, store["id"], "yellow bananas")
    assert (best["filename"], best["file_id"]) == ("f.txt", sent.json()["id"])
    assert 0 < best["score"] <= 1
    for mode in ("keyword", "hybrid"):
        assert await find(client, store["id"], "bananas", search_mode=mode)
    path = f"/v1/vector_stores/{store['id']}/files/{sent.json()['id']}"
    changed = await client.post(path, headers=ADA, json={"attributes": {"year": 2024, "kind": "fruit"}})
    assert changed.json()["status"] == "completed", changed.text
    fruit = {"type": "and", "filters": [{"type": "gte", "key": "year", "value": 2024}]}
    assert (await find(client, store["id"], "apples", filters=fruit))[0]["attributes"] == {
        "year": 2024,
        "kind": "fruit",
    }
    assert await find(client, store["id"], "apples", filters={"type": "ne", "key": "kind", "value": "fruit"}) == []
    content = (await client.get(f"{path}/content", headers=ADA)).json()["data"]
    assert "".join(part["text"] for part in content).count("Apples") == 3
    assert (await client.delete(path, headers=ADA)).status_code == 200
    assert await find(client, store["id"], "apples") == []
    assert (await client.delete(f"/v1/vector_stores/{store['id']}", headers=ADA)).status_code == 200


async def test_a_package_of_0_2_keeps_chunks_but_no_files(world: VectorWorld) -> None:
    world.provider = entry(world.folder, OLD_VECTORS, "remote")
    client = await world.client()
    made = await client.post("/v1/vector-dbs", headers=ADA, json={"vector_db_id": "notes", "embedding_model": "words"})
    assert made.status_code == 200, made.text
    chunks = [
        {"content": text, "metadata": {"document_id": text[:3], "n": n}}
        for n, text in enumerate(("red apple", "blue sea"))
    ]
    for body in (chunks, [{**chunks[0], "embedding": vector_of("red apple")}]):
        put = await client.post("/v1/vector-io/insert", headers=ADA, json={"vector_db_id": "notes", "chunks": body})
        assert put.status_code < 300, put.text

    async def query(text: str, **params: Any) -> Any:
        body = {"vector_db_id": "notes", "query": text, "params": params}
        return await client.post("/v1/vector-io/query", headers=ADA, json=body)

    answer = (await query("a blue apple, red")).json()
    assert [(one["content"], one["metadata"]["n"]) for one in answer["chunks"]] == [("red apple", 0), ("blue sea", 1)]
    assert all(0 < score <= 1 for score in answer["scores"])
    asked = len([1 for seen in world.upstream.seen if seen.path == "/v1/embeddings"])
    [best] = (await query("sea", max_chunks=1, filters={"type": "eq", "key": "n", "value": 0})).json()["chunks"]
    assert best["content"] == "red apple"
    assert len([1 for seen in world.upstream.seen if seen.path == "/v1/embeddings"]) == asked + 1
    refused = await query("sea", mode="keyword")
    assert (refused.status_code, "does not do that: Keyword search is not supported in Shelf" in message(refused)) == (
        400,
        True,
    )
    file = await client.post(
        "/v1/files", headers=ADA, data={"purpose": "assistants"}, files={"file": ("f.txt", b"text")}
    )
    added = await client.post("/v1/vector_stores/notes/files", headers=ADA, json={"file_id": file.json()["id"]})
    made = await client.post("/v1/vector_stores", headers=ADA, json={"file_ids": [file.json()["id"]]})
    for refusal in (added, made):
        assert refusal.status_code == 400
        assert "Provider `v` cannot take chunks out of a vector store again" in message(refusal)
    assert (await client.get("/v1/vector_stores", headers=ADA)).json()["data"][0]["id"] == "notes"
    assert (await client.delete("/v1/vector-dbs/notes", headers=ADA)).status_code < 300


async def test_what_a_caller_brings_is_the_packages_request_provider_data(world: VectorWorld) -> None:
    world.provider = entry(world.folder, NEW_VECTORS, "inline")
    client = await world.client()
    store = await make(client)
    body = {
        "vector_store_id": store["id"],
        "chunks": [{"content": "a", "metadata": {}, "embedding": [1.0] * DIMENSION}],
    }
    for key, status in (("good", 204), ("bad", 400)):
        headers = ADA | {"x-llamastack-provider-data": json.dumps({"shelf_key": key})}
        answer = await client.post("/v1/vector-io/insert", headers=headers, json=body)
        assert answer.status_code == status, answer.text
    assert message(answer) == "Provider `v` refused the request: the shelf does not know this key."
    headers = ADA | {"x-llamastack-provider-data": json.dumps({"shelf_key": 5})}
    answer = await client.post("/v1/vector-io/insert", headers=headers, json=body)
    assert (answer.status_code, "shelf_key is not valid" in message(answer)) == (400, True)


async def test_what_a_package_notes_is_in_a_file_and_a_remotes_on_lambda_in_memory(
    world: VectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {"type": "kv_sqlite", "db_path": str(world.folder / "notes.db"), "namespace": "shelf"}
    world.provider = entry(world.folder, NEW_VECTORS, "inline", persistence=notes)
    store = await make(await world.client())
    again = await reference.make(world.provider["module"], "inline::shelf", "vector_io", persistence=notes)
    assert list(again._provider._provider.cache) == [store["id"]]
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    with pytest.raises(Unusable, match="keeps a kvstore in a file, which Lambda does not"):
        await reference.make(world.provider["module"], "inline::shelf", "vector_io", persistence=notes)
    remote = await reference.make(world.provider["module"], "remote::shelf", "vector_io", persistence=notes)
    await remote.put(INDEX, [chunk("a")])
    assert [one.chunk.key for one in await remote.search(INDEX, VectorQuery(X))] == ["a"]
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME")
    bad = world.provider | {"config": {"persistence": {"type": "redis"}}}
    world.provider = bad
    with pytest.raises(
        ConfigInvalid, match="its kvstore is a SQLite file here, not redis; write `type: sqlite` and a `db_path`"
    ):
        await world.client()


async def test_what_is_looked_through_for_a_filter_has_an_end(
    world: VectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "DEEPEST", 8)
    provider = await reference.make(entry(world.folder, NEW_VECTORS, "inline")["module"], "inline::shelf", "vector_io")
    near = [chunk(f"f#{number}", "word", X, v=1) for number in range(20)]
    await provider.put(INDEX, [*near, chunk("far", "word", (0, 1, 0, 0), v=2)])
    assert len(await provider.search(INDEX, VectorQuery(X, limit=2, filter=Comparison("eq", "v", 1)))) == 2
    with pytest.raises(InvalidRequest, match="cannot filter, and the filter holds for fewer than 1 of the 8 chunks"):
        await provider.search(INDEX, VectorQuery(X, limit=1, filter=Comparison("eq", "v", 2)))
    with pytest.raises(InvalidRequest, match="which see 8 of them, and this vector store has more"):
        await provider.fetch(INDEX, ["far"])


async def test_a_package_that_makes_vectors_of_queries_itself_is_told(world: VectorWorld) -> None:
    own = NEW_VECTORS["__init__"].replace(
        "return await self._index(request.vector_store_id).query_chunks(request)",
        "return await self._index(request.vector_store_id).index.query_vector([1.0, 0, 0, 0], 3, 0.0)",
    )
    code = NEW_VECTORS | {"__init__": own}
    provider = await reference.make(entry(world.folder, code, "inline")["module"], "inline::shelf", "vector_io")
    await provider.put(INDEX, [chunk("a")])
    with pytest.raises(UpstreamFailed, match="makes vectors of queries itself, and does not ask for that of this one"):
        await provider.search(INDEX, VectorQuery(X))


async def test_a_package_without_deletions_says_so_and_one_of_each_version_has_them(world: VectorWorld) -> None:
    old = await reference.make(entry(world.folder, OLD_VECTORS, "remote")["module"], "remote::shelf", "vector_io")
    await old.put(INDEX, [chunk("a")])
    with pytest.raises(InvalidRequest, match="its package has no delete_chunks"):
        await old.delete(INDEX, ["a"])
    assert (old.capabilities.removable, [one.key for one in await old.fetch(INDEX, ["a"])]) == (False, ["a"])
    by_record = (
        "delete_chunks(self, request: DeleteChunksRequest) -> None:\n        await self._index(request.vector_store_id)"
    )
    for form, ids in (
        ("chunks_for_deletion", "chunks_for_deletion"),
        ("chunk_ids", "[ChunkForDeletion(chunk_id=i) for i in chunk_ids]"),
    ):
        later = by_record.replace("request: DeleteChunksRequest", f"store_id: str, {form}: list").replace(
            "request.vector_store_id", "store_id"
        )
        code = (
            NEW_VECTORS["__init__"]
            .replace(by_record, later)
            .replace("delete_chunks(request.chunks)", f"delete_chunks({ids})")
        )
        package = entry(world.folder, NEW_VECTORS | {"__init__": code}, "inline")["module"]
        provider = await reference.make(package, "inline::shelf", "vector_io")
        await provider.put(INDEX, [chunk("a"), chunk("b")])
        await provider.delete(INDEX, ["none", "a"])
        assert [one.chunk.key for one in await provider.search(INDEX, VectorQuery(X))] == ["b"]


async def test_a_store_that_another_process_registered_is_removed_too(world: VectorWorld) -> None:
    provider = await reference.make(entry(world.folder, NEW_VECTORS, "inline")["module"], "inline::shelf", "vector_io")
    await provider.put(INDEX, [chunk("a")])
    package = provider._provider._provider
    package.cache.clear()
    provider._provider._stores.forget("vs_1")
    await provider.drop(INDEX)
    assert package.tables == {"vs_1": {}}


async def test_a_store_of_a_package_is_no_place_for_a_copy_where_nothing_can_be_taken_out(world: VectorWorld) -> None:
    old = entry(world.folder, OLD_VECTORS, "remote") | {"provider_id": "old"}
    document = world.document()
    document["providers"]["vector_io"].append(old)
    client = await world.opened.enter_async_context(client_over(interpret(document, {})))
    del client.headers["content-type"]
    store = await make(client, provider_id="v")
    answer = await client.post(
        f"/v1/vector_stores/{store['id']}/copy", headers=ADA, json={"to": {"provider_id": "old"}}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "to.provider_id")
    assert "Provider `old` cannot take chunks out of a vector store again" in message(answer)
