"""Searches of vector stores that a rerank model ranks: what it is shown, what becomes of its scores, and its failures."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.services.vector_stores.reranking import MOST_TEXT
from tests.contract.test_vector_search import TEXTS, fill, find
from tests.parts.upstream import FakeUpstream, raw, status
from tests.parts.vector_stack import ADA, CHAT, EMBEDDER, VectorWorld, insert, make, message, search, vector_world

RANKS: dict[str, Any] = {
    "model_id": "ranks",
    "provider_id": "local",
    "provider_model_id": "ranker",
    "model_type": "rerank",
}
MODELS = [EMBEDDER, CHAT, RANKS]
SCORES = {"tea": 0.9, "moon": 0.5, "mars": 0.25, "sun": 0.125}
NEURAL: dict[str, Any] = {"ranker": "neural", "model": "ranks"}


async def rank(request: web.Request) -> web.StreamResponse:
    """SCORES, whatever the query."""
    documents = json.loads(await request.read())["documents"]
    names = {text: name for name, text in TEXTS.items()}
    results: list[dict[str, Any]] = [
        {"index": place, "relevance_score": SCORES[names[text]]} for place, text in enumerate(documents)
    ]
    return web.json_response({"results": results, "usage": {"total_tokens": 100}})


@pytest.fixture(params=["sqlite", "s3-vectors"])
async def places(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorWorld]:
    async with vector_world(tmp_path, request.param) as world:
        world.upstream.replies["/v1/rerank"] = rank
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VectorWorld]:
    async with vector_world(tmp_path) as world:
        world.upstream.replies["/v1/rerank"] = rank
        yield world


def asked(upstream: FakeUpstream) -> list[Any]:
    return [seen.body for seen in upstream.seen if seen.path == "/v1/rerank"]


async def test_a_model_ranks_what_was_found(places: VectorWorld) -> None:
    client = await places.client(models=MODELS)
    store = await fill(client)
    for options in (NEURAL, {"ranker": "ranks"}, {"model": "ranks"}, {"model": "ranks", "ranker": "auto"}):
        assert await find(client, store, "the sun is a star", ranking_options=options) == SCORES
    assert asked(places.upstream)[0]["query"] == "the sun is a star"
    assert sorted(asked(places.upstream)[0]["documents"]) == sorted(TEXTS.values())
    options = {**NEURAL, "score_threshold": 0.5}
    assert list(await find(client, store, "the sun is a star", ranking_options=options)) == ["tea", "moon"]
    best = await find(client, store, "the sun is a star", ranking_options=NEURAL, max_num_results=1)
    assert best == {"tea": 0.9}  # which, of what is nearest, is the last
    words = await find(client, store, "planet sun", ranking_options=NEURAL, search_mode="keyword")
    assert words == {"mars": 0.25, "sun": 0.125}
    fused = await find(client, store, "planet sun", ranking_options={"ranker": "rrf", "model": "ranks"})
    assert set(fused) >= {"mars", "sun"}
    assert all(score == SCORES[name] for name, score in fused.items())
    filters = {"type": "eq", "key": "topic", "value": "sky"}
    assert list(await find(client, store, "x", ranking_options=NEURAL, filters=filters)) == ["moon", "mars", "sun"]


async def test_the_model_gets_as_many_more_chunks_as_the_run_config_says(world: VectorWorld) -> None:
    params = {"chunk_retrieval_params": {"chunk_multiplier": 2}}
    client = await world.client(models=MODELS, vector_stores=params)
    store = await fill(client)
    found = await find(client, store, "the sun is a star", ranking_options=NEURAL, max_num_results=1)
    assert len(asked(world.upstream)[-1]["documents"]) == 2
    assert found in ({"mars": 0.25}, {"tea": 0.9}, {"moon": 0.5})


async def test_weights_mix_the_models_scores_with_those_before(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = await fill(client)
    by_vector = await find(client, store, "the sun is a star")
    options = {"model": "ranks", "weights": {"vector": 1, "neural": 3}}
    mixed = await find(client, store, "the sun is a star", ranking_options=options)
    assert mixed == pytest.approx({name: 0.75 * SCORES[name] + 0.25 * by_vector[name] for name in SCORES})
    fused_by = {"weights": {"vector": 0.5, "keyword": 0.5}}
    fused = await find(client, store, "planet sun", ranking_options={"ranker": "weighted", **fused_by})
    options = {"ranker": "weighted", "model": "ranks", "weights": {"vector": 0.25, "keyword": 0.25, "neural": 0.5}}
    mixed = await find(client, store, "planet sun", ranking_options=options)
    assert mixed == pytest.approx({name: 0.5 * SCORES[name] + 0.5 * fused[name] for name in fused})
    none = {"model": "ranks", "weights": {"vector": 1, "neural": 0}}
    count = len(asked(world.upstream))
    assert await find(client, store, "the sun is a star", ranking_options=none) == by_vector
    assert len(asked(world.upstream)) == count


async def test_the_run_config_names_the_model_of_who_names_none(world: VectorWorld) -> None:
    default = {"default_reranker_model": {"provider_id": "local", "model_id": "ranker"}}
    client = await world.client(models=MODELS, vector_stores=default)
    store = await fill(client)
    assert await find(client, store, "sun", ranking_options={"ranker": "neural"}) == SCORES
    only = {"weights": {"neural": 1}}
    assert await find(client, store, "sun", ranking_options=only) == SCORES
    assert next(iter(await find(client, store, "the sun is a star"))) == "sun"  # who asks for no model gets none


async def test_several_queries_are_ranked_each_by_itself(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = await fill(client)
    assert await find(client, store, ["sun", "tea"], ranking_options=NEURAL) == SCORES
    assert sorted(body["query"] for body in asked(world.upstream)) == ["sun", "tea"]


async def test_logits_become_scores_and_long_chunks_are_shown_in_part(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = (await make(client))["id"]
    await insert(client, store, "sun " * 10_000, "moon")

    async def logits(request: web.Request) -> web.StreamResponse:
        documents = json.loads(await request.read())["documents"]
        results: list[dict[str, Any]] = [
            {"index": at, "relevance_score": 2.0 if "sun" in text else -900} for at, text in enumerate(documents)
        ]
        return web.json_response({"results": results})

    world.upstream.replies["/v1/rerank"] = logits
    answer = await search(client, store, "sun", ranking_options=NEURAL)
    assert [row["score"] for row in answer.json()["data"]] == [pytest.approx(0.8808, abs=1e-4), 0.0]
    assert max(len(text) for text in asked(world.upstream)[-1]["documents"]) == MOST_TEXT


async def test_chunks_of_vector_io_are_ranked_too(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = await fill(client)

    async def query(ranker: Any, **params: Any) -> httpx.Response:
        body = {"vector_store_id": store, "query": "the sun is a star", "params": {"ranker": ranker, **params}}
        return await client.post("/v1/vector-io/query", json=body, headers=ADA)

    answer = (await query({"type": "neural", "model": "ranks"}, max_chunks=2)).json()
    assert answer["scores"] == [0.9, 0.5]
    assert [chunk["chunk_id"] for chunk in answer["chunks"]] == ["tea", "moon"]
    mixed = {"type": "neural", "model": "ranks", "weights": {"vector": 0, "neural": 1}}
    assert (await query(mixed, max_chunks=1)).json()["scores"] == [0.9]
    for ranker, param in (
        ({"type": "neural"}, "params.ranker.model"),
        ({"type": "neural", "model": "gone"}, "params.ranker.model"),
        ({"type": "neural", "model": 7}, "params.ranker.model"),
        ({"type": "neural", "model": "ranks", "weights": {"neural": "1"}}, "params.ranker.weights"),
        ({"type": "neural", "model": "ranks", "weights": {"neural": 10**400}}, "params.ranker.weights"),
        ({"type": "neural", "model": "ranks", "weights": {"luck": 1, "neural": 1}}, "params.ranker.weights"),
        ({"type": "classifier", "model": "ranks"}, "params.ranker.type"),
    ):
        refused = await query(ranker)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text


async def test_a_search_that_its_model_cannot_rank_fails_with_the_reason(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = await fill(client)
    for reply, code in ((status(500), 502), (status(429), 429), (raw(b'{"results": []}'), 502)):
        world.upstream.replies["/v1/rerank"] = reply
        answer = await search(client, store, "sun", ranking_options=NEURAL)
        assert answer.status_code == code, answer.text
    world.upstream.replies["/v1/rerank"] = status(400, {"error": {"message": "too long for me"}})
    refused = await search(client, store, "sun", ranking_options=NEURAL)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "ranking_options.model")
    assert "too long for me" in message(refused)


async def test_a_model_that_the_caller_may_not_use_ranks_nothing_and_nothing_is_searched(world: VectorWorld) -> None:
    policy = [
        {"permit": {"principal": "ada", "actions": ["create", "read", "update", "delete"]}},
        {"permit": {"principal": "bob", "actions": ["read"]}, "unless": "resource is unowned"},
        {"permit": {"principal": "bob", "actions": ["read"], "resource": "model::words"}},
        {"permit": {"principal": "bob", "actions": ["read"], "resource": "vector_store::*"}},
    ]
    client = await world.client(models=MODELS, policy=policy)
    store = await fill(client)
    assert await find(client, store, "sun", ranking_options=NEURAL) == SCORES
    count = len(world.upstream.seen)
    answer = await search(client, store, "sun", who="bob", ranking_options=NEURAL)
    assert (answer.status_code, message(answer)) == (
        400,
        "There is no rerank model `ranks` here, or you may not use it. GET /v1/models lists what there is.",
    )
    assert [seen.path for seen in world.upstream.seen[count:]] == ["/auth"]


async def test_what_the_model_used_is_charged_to_whoever_searches(world: VectorWorld) -> None:
    client = await world.client(models=MODELS, quota={"max_tokens": 100_000})
    store = await fill(client)

    async def left() -> int:
        answer = await search(client, store, "sun")
        return int(answer.headers["x-ratelimit-remaining-tokens"])

    before = await left()
    await search(client, store, "sun", ranking_options=NEURAL)
    assert before - await left() == 100 + 2 * 1  # and an embedding each


async def test_an_empty_store_asks_no_model(world: VectorWorld) -> None:
    client = await world.client(models=MODELS)
    store = (await make(client))["id"]
    answer = await search(client, store, "sun", ranking_options=NEURAL)
    assert (answer.status_code, answer.json()["data"], asked(world.upstream)) == (200, [], [])
