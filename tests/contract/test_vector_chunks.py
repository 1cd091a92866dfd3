"""Chunks by themselves over HTTP, in both generations' forms, and vector DBs as views of vector stores."""

import asyncio
import json
from typing import Any

import pytest

from tests.parts.vector_stack import ADA, DIMENSION, STORES, VectorWorld, message, search, vector_of

BODY = {"vector_db_id": "notes", "embedding_model": "words", "embedding_dimension": DIMENSION, "provider_id": "v"}


async def test_vector_dbs_are_views_of_vector_stores(world: VectorWorld) -> None:
    client = await world.client()
    made = await client.post("/v1/vector-dbs", json=BODY, headers=ADA)
    database = made.json()
    assert database == {
        "identifier": "notes",
        "provider_resource_id": database["provider_resource_id"],
        "provider_id": "v",
        "type": "vector_db",
        "embedding_model": "words",
        "embedding_dimension": DIMENSION,
        "vector_db_name": "notes",
        "owner": "ada",
    }
    assert (await client.post("/v1/vector-dbs", json=BODY, headers=ADA)).json() == database
    old = {"vector_db_id": "notes", "chunks": [{"content": "the sun is a star"}]}
    assert (await client.post("/v1/vector-io/insert", json=old, headers=ADA)).status_code == 204
    shown = (await client.get(f"{STORES}/notes", headers=ADA)).json()
    assert (shown["id"], shown["name"], shown["metadata"]["embedding_model"]) == ("notes", "notes", "words")
    assert (await client.get("/v1/vector-dbs", headers=ADA)).json() == {"data": [database]}
    assert (await client.get("/v1/vector-dbs/notes", headers=ADA)).json() == database
    assert (await client.delete("/v1/vector-dbs/notes", headers=ADA)).status_code == 204
    assert (await client.get("/v1/vector-dbs/notes", headers=ADA)).status_code == 404
    answers = await asyncio.gather(*(client.post("/v1/vector-dbs", json=BODY, headers=ADA) for _ in range(16)))
    again = answers[0].json()
    assert [answer.json() for answer in answers] == [again] * 16
    other = await client.post("/v1/vector-dbs", json=BODY | {"embedding_dimension": 3}, headers=ADA)
    assert (other.status_code, message(other)) == (409, "`notes` is there already, with another model or provider.")
    assert again["provider_resource_id"] != database["provider_resource_id"]
    assert (await search(client, "notes", "sun star")).json()["data"] == []


async def test_chunks_of_both_generations(places: VectorWorld) -> None:
    client = await places.client()
    assert (await client.post("/v1/vector-dbs", json=BODY, headers=ADA)).status_code == 200
    old: list[dict[str, Any]] = [
        {"content": "the sun is a star", "metadata": {"document_id": "d1"}},
        {"content": "no id", "metadata": {}},
    ]
    answer = await client.post(
        "/v1/vector-io/insert", json={"vector_db_id": "notes", "chunks": old, "ttl_seconds": 60}, headers=ADA
    )
    assert (answer.status_code, answer.content) == (204, b"")
    content: list[Any] = [
        {"type": "text", "text": "tea"},
        {"type": "image", "image": {"url": {"uri": "https://x/i.png"}}},
    ]
    new = {
        "content": content,
        "chunk_id": "tee/1 é",
        "metadata": {"document_id": "d2", "tags": ["a", "b"], "n": 1},
        "chunk_metadata": {"document_id": "d2", "source": "s", "content_token_count": 1},
        "embedding": vector_of("tea"),
        "embedding_model": "words",
        "embedding_dimension": DIMENSION,
    }
    answer = await client.post(
        "/v1/vector-io/insert", json={"vector_store_id": "notes", "chunks": [new, new]}, headers=ADA
    )
    assert answer.status_code == 204, answer.text
    query: dict[str, Any] = {
        "vector_db_id": "notes",
        "query": {"type": "text", "text": "tea"},
        "params": {"max_chunks": 1, "mode": "vector"},
    }
    found = (await client.post("/v1/vector-io/query", json=query, headers=ADA)).json()
    assert found["scores"] == [pytest.approx(1, abs=1e-5)]
    assert found["chunks"] == [
        {
            "content": content,
            "metadata": new["metadata"],
            "chunk_id": "tee/1 é",
            "embedding": [],
            "embedding_model": "words",
            "embedding_dimension": DIMENSION,
            "chunk_metadata": new["chunk_metadata"],
        }
    ]
    query["params"]["include_embeddings"] = True
    found = (await client.post("/v1/vector-io/query", json=query, headers=ADA)).json()
    assert found["chunks"][0]["embedding"] == pytest.approx(vector_of("tea"), abs=1e-6)
    hybrid = {"mode": "hybrid", "ranker": {"type": "weighted", "alpha": 0.4}, "score_threshold": 0.01}
    content = ["sun", {"type": "text", "text": "star"}]
    query = {"vector_store_id": "notes", "query": content, "params": hybrid}
    found = (await client.post("/v1/vector-io/query", json=query, headers=ADA)).json()
    assert found["chunks"][0]["content"] == "the sun is a star"
    rows = (await search(client, "notes", "sun star")).json()["data"]
    assert (rows[0]["file_id"], len(rows)) == ("d1", 3)


NO_CHUNKS: list[tuple[Any, ...]] = [
    ({"content": 7}, None, "chunks[0].content"),
    ({"content": [["a"]]}, "chunks[0].content[0] must not be a list in a list.", "chunks[0].content[0]"),
    ({"content": " "}, "There is no text in it, so that no vector can be made of it.", "chunks[0].content"),
    (
        {"content": "x", "embedding": [1.0]},
        "The embedding has 1 dimensions, and the vector store `STORE` was made for 64, those of `words`.",
        "chunks[0].embedding",
    ),
    ({"content": "x", "metadata": {"a": list(range(5000))}}, None, "chunks[0].metadata"),
    ({"content": "x", "metadata": {"n": 10**400}}, None, "chunks[0].metadata"),
    ({"content": "x", "chunk_id": "k" * 401}, None, "chunks[0].chunk_id"),
]


async def test_what_is_no_chunk_is_refused(world: VectorWorld) -> None:
    client = await world.client()
    store = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    for chunk, text, param in NO_CHUNKS:
        body = {"vector_store_id": store, "chunks": [chunk]}
        answer = await client.post("/v1/vector-io/insert", json=body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
        assert text is None or message(answer).replace(store, "STORE") == text
        assert not (await search(client, store, "x")).json()["data"]


async def test_vectors_that_are_no_numbers_are_refused(places: VectorWorld) -> None:
    client = await places.client()
    store = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    for number in (float("nan"), float("inf")):
        body = {"vector_store_id": store, "chunks": [{"content": "x", "embedding": [number] * DIMENSION}]}
        headers = ADA | {"content-type": "application/json"}
        answer = await client.post("/v1/vector-io/insert", content=json.dumps(body), headers=headers)
        assert answer.status_code == 400, answer.text
    assert not (await search(client, store, "x")).json()["data"]


async def test_attributes_over_the_providers_limit_are_refused(places: VectorWorld) -> None:
    client = await places.client()
    store = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    metadata = {f"k{n}": "v" * 500 for n in range(5)}
    body = {"vector_store_id": store, "chunks": [{"content": "x", "metadata": metadata}]}
    answer = await client.post("/v1/vector-io/insert", json=body, headers=ADA)
    if places.provider["provider_type"] == "inline::sqlite":
        assert answer.status_code == 204
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chunks[0].metadata")
        assert "and may have 2048" in message(answer)


NO_QUERIES: list[tuple[Any, ...]] = [
    ({"max_chunks": 0}, "params.max_chunks"),
    ({"max_chunks": "3"}, "params.max_chunks"),
    ({"mode": "fuzzy"}, "params.mode"),
    ({"mode": []}, "params.mode"),
    ({"ranker": "rrf"}, "params.ranker"),
    ({"ranker": {"type": "fuzzy"}}, "params.ranker.type"),
    ({"ranker": {"type": "neural"}}, "params.ranker.model"),  # no model for it is named
    ({"ranker": {"type": "rrf", "impact_factor": 0}}, "params.ranker.impact_factor"),
    ({"score_threshold": "high"}, "params.score_threshold"),
]


async def test_what_cannot_be_queried_is_refused(world: VectorWorld) -> None:
    client = await world.client()
    store = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    for params, param in NO_QUERIES:
        body = {"vector_store_id": store, "query": "x", "params": params}
        answer = await client.post("/v1/vector-io/query", json=body, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        bare = await client.post("/v1/vector-io/query", json={"query": "x"}, headers=ADA)
        assert (bare.status_code, bare.json()["error"]["param"]) == (400, "vector_store_id")
