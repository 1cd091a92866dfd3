"""Vector stores over HTTP: made, listed, changed, searched, deleted; for whom, and what is refused."""

import asyncio
from pathlib import Path
import time
from typing import Any

import pytest

from core.apis.vector_io import VectorIndex
from core.providers.s3_vectors.vector_io import S3Vectors
from tests.parts.s3_vectors_model import Refusal
from tests.parts.vector_stack import (
    ADA,
    CHAT,
    DIMENSION,
    EMBEDDER,
    STORES,
    VectorWorld,
    by,
    insert,
    make,
    message,
    search,
    texts,
    vector_world,
)


async def test_a_store_is_made_shown_changed_and_deleted(places: VectorWorld) -> None:
    client = await places.client()
    store = await make(client, name="notes", metadata={"team": "a"}, description="what we know")
    assert store["id"].startswith("vs_")
    own = {
        "provider_id": "v",
        "provider_vector_store_id": store["id"],
        "embedding_model": "words",
        "embedding_dimension": str(DIMENSION),
    }
    assert store == {
        "id": store["id"],
        "object": "vector_store",
        "created_at": store["created_at"],
        "name": "notes",
        "description": "what we know",
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": store["created_at"],
        "metadata": {"team": "a"} | own,
    }
    assert (await client.get(f"/v1/openai/v1/vector_stores/{store['id']}", headers=ADA)).json() == store
    change = {"name": None, "metadata": {"team": "b"} | own, "expires_after": {"anchor": "last_active_at", "days": 2}}
    changed = (await client.post(f"{STORES}/{store['id']}", json=change, headers=ADA)).json()
    assert (changed["name"], changed["metadata"]) == (None, {"team": "b"} | own)
    assert changed["expires_at"] == changed["last_active_at"] + 2 * 86_400
    kept = (await client.post(f"{STORES}/{store['id']}", json={"name": "n"}, headers=ADA)).json()
    assert (kept["name"], kept["metadata"], kept["expires_after"]["days"]) == ("n", {"team": "b"} | own, 2)
    await insert(client, store["id"], "the sun is a star")
    assert await texts(client, store["id"], "sun star") == ["the sun is a star"]
    gone = await client.delete(f"{STORES}/{store['id']}", headers=ADA)
    assert gone.json() == {"id": store["id"], "object": "vector_store.deleted", "deleted": True}
    for answer in (
        await client.get(f"{STORES}/{store['id']}", headers=ADA),
        await client.delete(f"{STORES}/{store['id']}", headers=ADA),
        await search(client, store["id"], "sun"),
    ):
        assert (answer.status_code, message(answer)) == (404, f"There is no vector store `{store['id']}`.")
    empty = (await client.get(STORES, headers=ADA)).json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_pages_of_equal_times_lose_nothing_forwards_and_backwards(world: VectorWorld) -> None:
    client = await world.client()
    ids = [(await make(client))["id"] for _ in range(5)]
    for order in ("asc", "desc"):
        whole = [row["id"] for row in (await client.get(STORES, params={"order": order}, headers=ADA)).json()["data"]]
        assert sorted(whole) == sorted(ids)
        seen, query = list[str](), {"limit": "2", "order": order}
        while True:
            page = (await client.get(STORES, params=query, headers=ADA)).json()
            seen += [row["id"] for row in page["data"]]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        assert seen == whole
        page = (await client.get(STORES, params={"limit": "2", "order": order, "before": whole[4]}, headers=ADA)).json()
        assert ([row["id"] for row in page["data"]], page["has_more"]) == (whole[2:4], True)
        page = (await client.get(STORES, params={"order": order, "before": whole[1]}, headers=ADA)).json()
        assert ([row["id"] for row in page["data"]], page["has_more"]) == (whole[:1], False)
    both = await client.get(STORES, params={"after": ids[0], "before": ids[1]}, headers=ADA)
    assert (both.status_code, message(both)) == (400, "A page is `after` a store or `before` one, not both.")
    unknown = await client.get(STORES, params={"before": "vs_nothing"}, headers=ADA)
    assert unknown.status_code == 404


KEYS = {f"k{n}": "v" for n in range(17)}


NO_STORES: list[tuple[Any, ...]] = [
    ({"metadata": KEYS}, "metadata has 17 keys, and may have 16.", "metadata"),
    ({"metadata": {"k" * 65: "v"}}, "A key of metadata must have 1 to 64 characters.", "metadata"),
    ({"metadata": {"k": "v" * 513}}, "`k` has 513 characters, and may have 512.", "metadata.k"),
    ({"metadata": {"k": 1}}, "`k` must be a string.", "metadata.k"),
    (
        {"provider_id": "x"},
        "Provider `x` not found. Known: v.",
        "provider_id",
    ),
    (
        {"embedding_model": "gone"},
        "The embedding model `gone` is not there, or you may not use it. GET /v1/models lists what there is: name one of those.",
        "embedding_model",
    ),
    ({"embedding_model": "chat"}, "Model `chat` is not an embedding model. Name one that is.", "embedding_model"),
    (
        {"embedding_dimension": 3},
        (
            "The embedding model `words` gives vectors of 64 dimensions, and the vector store is to have those of 3. "
            "Leave `embedding_dimension` out, or name another model."
        ),
        "embedding_dimension",
    ),
    (
        {"provider_vector_store_id": "vs_of_another"},
        "Only the run config may say what a vector store is called at its provider. Leave it out: the store gets a name of its own.",
        "provider_vector_store_id",
    ),
    (
        {"chunking_strategy": {"type": "semantic"}},
        "`type` is `auto`, `static` or `contextual`.",
        "chunking_strategy.type",
    ),
    (
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        "expires_after.days: Input should be less than or equal to 365",
        "expires_after.days",
    ),
    (
        {"file_ids": ["a:b"]},
        "file_ids[0]: must be a file's id, without blanks and colons",
        "file_ids[0]",
    ),
    ({"files": ["file-1"]}, "A new vector store takes `file_ids`, the ids of its files, and no `files`.", "files"),
]


async def test_what_no_store_can_be_is_refused(world: VectorWorld) -> None:
    client = await world.client()
    for body, text, param in NO_STORES:
        answer = await client.post(STORES, json=body, headers=ADA)
        assert (answer.status_code, message(answer), answer.json()["error"]["param"]) == (400, text, param)
        assert not (await client.get(STORES, headers=ADA)).json()["data"]
    form = await client.post(STORES, files={"file": ("a.txt", b"a")}, headers=ADA)
    assert form.status_code == 415
    assert message(form).endswith(
        "It came as multipart/form-data; for curl, use -d rather than -F, and add -H 'content-type: application/json'."
    )


async def test_the_model_is_the_requests_or_its_metadatas_or_the_run_configs_or_the_first(world: VectorWorld) -> None:
    tiny = {**EMBEDDER, "model_id": "tiny", "provider_model_id": "tiny", "metadata": {"embedding_dimension": 8}}
    default = {"provider_id": "local", "model_id": "tiny"}
    first = await world.client(models=[CHAT, tiny, EMBEDDER])
    assert (await make(first))["metadata"]["embedding_model"] == "tiny"
    client = await world.client(models=[EMBEDDER, tiny], vector_stores={"default_embedding_model": default})
    by_default = (await make(client))["metadata"]
    assert (by_default["embedding_model"], by_default["embedding_dimension"]) == ("local/tiny", "8")
    asked = await make(client, metadata={"embedding_model": "words", "embedding_dimension": "64", "x": "y"})
    assert (asked["metadata"]["embedding_model"], asked["metadata"]["x"]) == ("words", "y")
    asked = await make(client, embedding_model="tiny", metadata={"embedding_model": "words"})
    assert asked["metadata"]["embedding_model"] == "tiny"
    none = await world.client(models=[CHAT])
    answer = await none.post(STORES, json={}, headers=ADA)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "embedding_model")
    assert "Declare one under `models` of the run config" in message(answer)
    shortened = {"provider_id": "local", "model_id": "words", "embedding_dimensions": 16}
    client = await world.client(vector_stores={"default_embedding_model": shortened})
    store = await make(client)
    assert store["metadata"]["embedding_dimension"] == "16"
    await insert(client, store["id"], "the sun", "a moon")
    assert await texts(client, store["id"], "moon", max_num_results=1) == ["a moon"]


async def test_a_model_that_changed_or_vanished_is_said(world: VectorWorld) -> None:
    client = await world.client()
    store = await make(client)
    await insert(client, store["id"], "the sun")
    unsaid = {**EMBEDDER, "provider_model_id": "tiny", "metadata": {"embedding_dimension": DIMENSION}}
    other = await world.client(models=[unsaid])
    answer = await search(other, store["id"], "sun")
    assert (answer.status_code, message(answer)) == (
        400,
        (
            f"The embedding model `words` gives vectors of 8 dimensions, and the vector store `{store['id']}` was made for 64. "
            "Make another store for this model."
        ),
    )
    gone = await world.client(models=[CHAT])
    answer = await search(gone, store["id"], "sun")
    assert (answer.status_code, message(answer)) == (
        400,
        (
            f"The embedding model `words` of the vector store `{store['id']}` is not there, or you may not use it. "
            "GET /v1/models lists what there is: register it again, or make another store."
        ),
    )
    words = await search(gone, store["id"], "sun", search_mode="keyword")
    assert words.status_code == 200


async def test_another_callers_store_is_not_there_unless_the_policy_shows_it(world: VectorWorld) -> None:
    client = await world.client()
    store = await make(client)
    await insert(client, store["id"], "the sun")
    path, unknown = f"{STORES}/{store['id']}", f"{STORES}/vs_nothing"
    chunks: dict[str, Any] = {"chunks": [{"content": "x"}]}
    for method, tail, body in (
        ("GET", "", None),
        ("POST", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/search", {"query": "sun"}),
    ):
        theirs = await client.request(method, path + tail, json=body, headers=by("bob"))
        nobodys = await client.request(method, unknown + tail, json=body, headers=by("bob"))
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert message(theirs).replace(store["id"], "vs_nothing") == message(nobodys)
    for tail, more in (("insert", chunks), ("query", {"query": "sun"})):
        request = {"vector_db_id": store["id"], **more}
        answer = await client.post(f"/v1/vector-io/{tail}", json=request, headers=by("bob"))
        assert answer.status_code == 404
    assert (await client.get(f"/v1/vector-dbs/{store['id']}", headers=by("bob"))).status_code == 404
    assert not (await client.get(STORES, headers=by("bob"))).json()["data"]
    taken = await client.post(
        "/v1/vector-dbs", json={"vector_db_id": store["id"], "embedding_model": "words"}, headers=by("bob")
    )
    assert (taken.status_code, message(taken)) == (409, f"`{store['id']}` is taken. Choose another identifier.")
    rules = [
        {"permit": {"principal": "eve", "actions": ["read"], "resource": "vector_db::*"}},
        {"permit": {"actions": ["read"], "resource": "model::*"}},
        {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"},
    ]
    ruled = await world.client(policy=rules)
    assert await texts(ruled, store["id"], "sun", who="eve") == ["the sun"]
    for method, tail, body, verb in (("POST", "", {"name": "x"}, "update"), ("DELETE", "", None, "delete")):
        denied = await ruled.request(method, path + tail, json=body, headers=by("eve"))
        text = f"The access policy does not let you {verb} the vector store `{store['id']}`."
        assert (denied.status_code, message(denied)) == (403, text)
    denied = await ruled.post(
        "/v1/vector-io/insert", json={"vector_store_id": store["id"], **chunks}, headers=by("eve")
    )
    assert denied.status_code == 403
    forbidden = [{"forbid": {"actions": ["create"], "resource": "vector_store::*"}}, *rules]
    answer = await (await world.client(policy=forbidden)).post(STORES, json={}, headers=ADA)
    assert answer.status_code == 403


async def test_a_store_expires_to_the_second_after_its_last_use(
    places: VectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = places
    client = await world.client()
    store = await make(client, expires_after={"anchor": "last_active_at", "days": 1})
    await insert(client, store["id"], "the sun")
    path = f"{STORES}/{store['id']}"
    used = store["created_at"] + 3600
    monkeypatch.setattr(time, "time", lambda: float(used))
    client = await world.client()
    assert await texts(client, store["id"], "sun") == ["the sun"]
    assert (await client.get(path, headers=ADA)).json()["expires_at"] == used + 86_400
    monkeypatch.setattr(time, "time", lambda: used + 86_399.0)
    client = await world.client()
    assert (await client.get(path, headers=ADA)).json()["status"] == "completed"
    monkeypatch.setattr(time, "time", lambda: used + 86_400.0)
    client = await world.client()
    assert (await client.get(STORES, headers=ADA)).json()["data"][0]["status"] == "expired"
    assert (await client.get(path, headers=ADA)).json()["status"] == "expired"
    said = f"The vector store `{store['id']}` has expired, and what was in it is gone. Make another one, and add the files to it."
    chunks = {"vector_store_id": store["id"], "chunks": [{"content": "x"}]}
    for answer in (
        await search(client, store["id"], "sun"),
        await client.post(path, json={"expires_after": {"anchor": "last_active_at", "days": 9}}, headers=ADA),
        await client.post("/v1/vector-io/insert", json=chunks, headers=ADA),
    ):
        assert (answer.status_code, message(answer)) == (400, said)
    assert world.count_indexes() == 0
    assert world.double is None or world.double.operations.count("DeleteIndex") == 1
    assert (await client.delete(path, headers=ADA)).status_code == 200


async def test_declared_stores_are_everybodys_and_stay(world: VectorWorld) -> None:
    declared = [
        {"vector_store_id": "docs", "provider_vector_store_id": "corp", "embedding_model": "words"},
        {"vector_store_id": "more"},
    ]
    client = await world.client(vector_stores=declared)
    assert [row["id"] for row in (await client.get(STORES, headers=by("bob"))).json()["data"]] == ["more", "docs"]
    unsaid = (await client.get(f"{STORES}/more", headers=ADA)).json()["metadata"]
    assert (unsaid["embedding_model"], unsaid["embedding_dimension"]) == ("words", str(DIMENSION))
    shown = (await client.get(f"{STORES}/docs", headers=ADA)).json()
    assert (shown["name"], shown["metadata"]["provider_vector_store_id"]) == ("docs", "corp")
    await insert(client, "docs", "the sun")
    assert await texts(client, "docs", "sun", who="bob") == ["the sun"]
    await insert(client, "more", "the moon", who="bob")
    assert await texts(client, "more", "moon") == ["the moon"]
    refused = await client.delete(f"{STORES}/docs", headers=ADA)
    assert (refused.status_code, message(refused)) == (409, "`docs` is declared in the run config; remove it there.")
    body = {"vector_db_id": "corp", "embedding_model": "words"}
    made = await client.post("/v1/vector-dbs", json=body, headers=by("bob"))
    assert made.json()["provider_resource_id"] != "corp"
    assert await texts(client, "corp", "sun", who="bob") == []
    same = await client.post("/v1/vector-dbs", json=body | {"vector_db_id": "docs"}, headers=ADA)
    assert (same.status_code, same.json()["identifier"]) == (200, "docs")
    without = await world.client()
    assert (await without.delete(f"{STORES}/docs", headers=ADA)).status_code == 200


async def test_limits_of_stores_hold_under_64_at_once(world: VectorWorld) -> None:
    client = await world.client(quota={"max_vector_stores": 5, "roles": {"eve": {"max_vector_stores": 6}}})
    answers = await asyncio.gather(*(client.post(STORES, json={}, headers=ADA) for _ in range(64)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 59
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "max_vector_stores_reached"
    assert message(refused) == "You may have 5 vector stores, and have as many. Delete some."
    stores = (await client.get(STORES, headers=ADA)).json()["data"]
    assert len(stores) == 5
    await asyncio.gather(*(client.delete(f"{STORES}/{row['id']}", headers=ADA) for row in stores))
    databases = [
        await client.post("/v1/vector-dbs", json={"vector_db_id": f"d{n}", "embedding_model": "words"}, headers=ADA)
        for n in range(6)
    ]
    assert [answer.status_code for answer in databases] == [200] * 5 + [429]
    assert [(await client.post(STORES, json={}, headers=by("eve"))).status_code for _ in range(7)] == [200] * 6 + [429]


async def test_tokens_of_embeddings_are_the_callers(world: VectorWorld) -> None:
    client = await world.client(quota={"max_tokens": 5000})
    store = await make(client)
    await insert(client, store["id"], "one two three", "four")
    assert await texts(client, store["id"], ["five six", "seven"])
    assert await texts(client, store["id"], "four", search_mode="keyword")
    headers = (await client.get("/v1/quota", headers=ADA)).json()
    assert headers["tokens"]["used"] == 7, headers


async def test_a_store_that_could_not_be_made_leaves_no_index_and_counts_for_nothing(tmp_path: Path) -> None:
    async with vector_world(tmp_path, "s3-vectors") as world:
        client = await world.client(quota={"max_vector_stores": 1})
        assert world.double is not None
        world.double.lose.append(Refusal(400, "AccessDeniedException", "the index is there by now"))
        assert (await client.post(STORES, json={}, headers=ADA)).status_code == 502
        assert world.count_indexes() == 0
        assert (await client.get(STORES, headers=ADA)).json()["data"] == []
        await make(client)


async def test_a_store_that_is_deleted_before_its_index_is_there_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, opened, create = asyncio.Event(), asyncio.Event(), S3Vectors.create

    async def create_late(provider: S3Vectors, index: VectorIndex) -> None:
        asked.set()
        await opened.wait()
        await create(provider, index)

    async with vector_world(tmp_path, "s3-vectors") as world:
        client = await world.client(quota={"max_vector_stores": 1})
        monkeypatch.setattr(S3Vectors, "create", create_late)
        making = asyncio.create_task(client.post(STORES, json={}, headers=ADA))
        await asked.wait()
        (store,) = (await client.get(STORES, headers=ADA)).json()["data"]
        assert (await client.delete(f"{STORES}/{store['id']}", headers=ADA)).status_code == 200
        opened.set()
        assert (await making).status_code == 404
        assert world.count_indexes() == 0
        await make(client)
        assert (await client.post(STORES, json={}, headers=ADA)).status_code == 429
