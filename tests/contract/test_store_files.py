"""Files in vector stores over HTTP: added, listed, changed, taken out and read; and what becomes of those that cannot be taken in."""

from typing import Any

from tests.parts.ingest_stack import ADA, STORES, add, counts_of, make_store, text_of, upload
from tests.parts.vector_stack import VectorWorld, by


async def test_a_file_is_added_listed_read_changed_and_taken_out(places: VectorWorld) -> None:
    client = await places.client()
    store, text = await make_store(client), text_of(200)
    file = await upload(client, text, "coast.txt")
    added = (await add(client, store, file, attributes={"year": 2024, "tags": "sea"})).json()
    assert added == {
        "id": file,
        "object": "vector_store.file",
        "created_at": added["created_at"],
        "vector_store_id": store,
        "status": "completed",
        "last_error": None,
        "usage_bytes": added["usage_bytes"],
        "attributes": {"year": 2024, "tags": "sea"},
        "chunking_strategy": {
            "type": "static",
            "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
        },
    }
    assert added["usage_bytes"] > len(text)
    one = f"{STORES}/{store}/files/{file}"
    assert (await client.get(one, headers=ADA)).json() == added
    listed = (await client.get(f"{STORES}/{store}/files", headers=ADA)).json()
    assert listed == {"object": "list", "data": [added], "first_id": file, "last_id": file, "has_more": False}
    shown = (await client.get(f"{STORES}/{store}", headers=ADA)).json()
    assert (shown["file_counts"]["completed"], shown["file_counts"]["total"]) == (1, 1)
    assert shown["usage_bytes"] == added["usage_bytes"]
    content = (await client.get(f"{one}/content", headers=ADA)).json()
    chunks = [piece["text"] for piece in content["data"]]
    assert len(chunks) > 5
    assert chunks[0].startswith(text[:500])
    assert chunks[-1].endswith(text.strip()[-500:])
    assert content["data"] == content["content"]
    assert (content["file_id"], content["filename"], content["has_more"]) == (file, "coast.txt", False)


async def test_attributes_decide_what_is_found_and_what_is_taken_out_is_not(places: VectorWorld) -> None:
    client = await places.client()
    store, file = await make_store(client), await upload(client, text_of(200), "coast.txt")
    added = (await add(client, store, file, attributes={"year": 2024, "tags": "sea"})).json()
    one = f"{STORES}/{store}/files/{file}"
    query = {"query": "lighthouse keeper", "filters": {"type": "eq", "key": "tags", "value": "lake"}}
    found = (await client.post(f"{STORES}/{store}/search", json=query, headers=ADA)).json()
    assert found["data"] == []
    changed = (await client.post(one, json={"attributes": {"tags": "lake"}}, headers=ADA)).json()
    assert changed == added | {"attributes": {"tags": "lake"}}
    found = (await client.post(f"{STORES}/{store}/search", json=query, headers=ADA)).json()
    assert [result["file_id"] for result in found["data"]] == [file] * len(found["data"]) != []
    assert found["data"][0]["attributes"] == {"tags": "lake"}
    gone = (await client.delete(one, headers=ADA)).json()
    assert gone == {"id": file, "object": "vector_store.file.deleted", "deleted": True}
    assert (await client.get(one, headers=ADA)).status_code == 404
    assert (await client.delete(one, headers=ADA)).status_code == 404
    found = (await client.post(f"{STORES}/{store}/search", json={"query": "lighthouse"}, headers=ADA)).json()
    assert found["data"] == []
    assert await counts_of(client, store) == {}
    assert (await client.get(f"/v1/files/{file}", headers=ADA)).status_code == 200


async def test_a_file_that_is_added_again_is_as_it_was_or_as_it_is_to_be(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(120))
    first = (await add(client, store, file, attributes={"a": 1})).json()
    before = len(world.upstream.seen)
    assert (await add(client, store, file)).json() == first
    assert (await add(client, store, file, attributes={"a": 1})).json() == first
    assert (await add(client, store, file, attributes={"a": 2})).json() == first | {"attributes": {"a": 2}}
    assert embedded(world, before) == 0  # attributes cost no tokens
    smaller = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    again = (await add(client, store, file, chunking_strategy=smaller)).json()
    assert (again["status"], again["chunking_strategy"], again["attributes"]) == ("completed", smaller, {"a": 2})
    assert embedded(world, before) > 10
    many = world.count_vectors()
    larger = {"type": "static", "static": {"max_chunk_size_tokens": 4096, "chunk_overlap_tokens": 0}}
    assert (await add(client, store, file, chunking_strategy=larger)).json()["status"] == "completed"
    assert world.count_vectors() == 1 < many  # what is not of the new chunking is gone
    assert await counts_of(client, store) == {"completed": 1}


async def test_lists_are_pages_by_status_in_both_directions(world: VectorWorld) -> None:
    client = await world.client()
    store = await make_store(client)
    ids = [await upload(client, f"file {n}") for n in range(5)]
    for file in ids:
        await add(client, store, file)
    await add(client, store, "file-0")
    path = f"{STORES}/{store}/files"

    async def listed(**query: Any) -> tuple[list[str], bool]:
        page = (await client.get(path, params=query, headers=ADA)).json()
        return [file["id"] for file in page["data"]], page["has_more"]

    every, _ = await listed(order="asc")
    assert set(every) == {*ids, "file-0"}
    assert (await listed())[0] == every[::-1]
    assert await listed(order="asc", limit=2) == (every[:2], True)
    assert await listed(order="asc", limit=2, after=every[1]) == (every[2:4], True)
    assert await listed(order="asc", limit=2, after=every[3]) == (every[4:], False)
    assert await listed(order="asc", limit=2, before=every[4]) == (every[2:4], True)
    assert await listed(limit=3, before=every[2]) == (every[3:][::-1], False)
    assert await listed(filter="failed") == (["file-0"], False)
    assert set((await listed(filter="completed", limit=5))[0]) == set(ids)
    assert await listed(filter="in_progress") == ([], False)
    nowhere = await client.get(path, params={"after": "file-9"}, headers=ADA)
    assert (nowhere.status_code, nowhere.json()["error"]["param"]) == (404, "after")


async def test_content_has_what_is_asked_for_and_pages(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(40), "coast.md")
    await add(client, store, file, attributes={"a": 1})
    path = f"{STORES}/{store}/files/{file}/content"
    plain = (await client.get(path, headers=ADA)).json()
    absent = {"embedding": None, "metadata": None, "chunk_metadata": None}
    assert all(piece == {"type": "text", "text": piece["text"], **absent} for piece in plain["data"])
    query = {"include_embeddings": "true", "include_metadata": "true"}
    full = (await client.get(path, params=query, headers=ADA)).json()
    assert [piece["text"] for piece in full["data"]] == [piece["text"] for piece in plain["data"]]
    piece = full["data"][1]
    assert len(piece["embedding"]) == 64
    assert piece["metadata"] == {"a": 1, "file_id": file, "filename": "coast.md"}
    assert piece["chunk_metadata"]["chunk_id"] == f"{file}#1"
    assert piece["chunk_metadata"]["content_token_count"] <= 800
    large = await upload(client, text_of(60_000))
    small = {"type": "static", "static": {"max_chunk_size_tokens": 4096, "chunk_overlap_tokens": 0}}
    assert (await add(client, store, large, chunking_strategy=small)).json()["status"] == "completed"
    texts, page, pages = list[str](), dict[str, str](), 0
    for _ in range(9):
        answer = await client.get(f"{STORES}/{store}/files/{large}/content", params=page, headers=ADA)
        assert len(answer.content) < 6_000_000
        pages += 1
        texts += [entry["text"] for entry in answer.json()["data"]]
        if not answer.json()["has_more"]:
            break
        page = {"page": answer.json()["next_page"]}
    assert pages > 2
    assert "".join(texts).replace("\n", "") == text_of(60_000).replace("\n", "")
    assert (await client.get(path, params={"page": "x"}, headers=ADA)).status_code == 400


async def test_what_is_anothers_is_not_there_and_cannot_be_added(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, "mine")
    await add(client, store, file)
    one = f"{STORES}/{store}/files/{file}"
    bob = by("bob")
    for method, path, body in (
        ("GET", f"{STORES}/{store}/files", None),
        ("GET", one, None),
        ("GET", f"{one}/content", None),
        ("POST", one, {"attributes": {}}),
        ("DELETE", one, None),
        ("POST", f"{STORES}/{store}/files", {"file_id": file}),
        ("POST", f"{STORES}/{store}/file_batches", {"file_ids": [file]}),
    ):
        answer = await client.request(method, path, json=body, headers=bob)
        assert (answer.status_code, store in answer.text, file in answer.text) == (404, True, False), path
    theirs = await make_store(client, who="bob")
    added = (await add(client, theirs, file, who="bob")).json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", "invalid_file")
    assert added["last_error"]["message"].startswith(f"There is no file `{file}`")


async def test_a_path_reaches_no_file_of_a_store_whose_name_begins_alike(world: VectorWorld) -> None:
    client = await world.client()
    for who, store in (("ada", "a"), ("bob", "a:b")):
        body = {"vector_db_id": store, "embedding_model": "words"}
        assert (await client.post("/v1/vector-dbs", json=body, headers=by(who))).status_code == 200
    file = await upload(client, "secret", who="bob")
    assert (await add(client, "a:b", file, who="bob", attributes={"of": "bob"})).json()["status"] == "completed"
    path = f"{STORES}/a/files/b:{file}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "/content", None),
        ("POST", "", {"attributes": {}}),
        ("DELETE", "", None),
    ]
    for method, tail, body in calls:
        assert (await client.request(method, path + tail, json=body, headers=ADA)).status_code == 404
    assert (await add(client, "a", f"b:{file}")).status_code == 400
    kept = (await client.get(f"{STORES}/a:b/files/{file}", headers=by("bob"))).json()
    assert (kept["status"], kept["attributes"]) == ("completed", {"of": "bob"})


async def test_tokens_are_charged_to_who_adds(world: VectorWorld) -> None:
    client = await world.client(quota={"authenticated_max_tokens": 100_000, "period": "day"})
    store, file = await make_store(client), await upload(client, text_of(100))
    before = (await client.get("/v1/quota", headers=ADA)).json()["tokens"]["used"]
    await add(client, store, file)
    used = (await client.get("/v1/quota", headers=ADA)).json()["tokens"]["used"] - before
    words = sum(len(piece["text"].split()) for piece in await pieces_of(client, store, file))
    assert used == words


async def pieces_of(client: Any, store: str, file: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await client.get(f"{STORES}/{store}/files/{file}/content", headers=ADA)).json()[
        "data"
    ]
    return data


def embedded(world: VectorWorld, before: int) -> int:
    """How many texts were embedded since."""
    since = [request for request in world.upstream.seen[before:] if request.path == "/v1/embeddings"]
    return sum(len(request.body["input"]) for request in since)
