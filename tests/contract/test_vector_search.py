"""Searches over HTTP: modes, rankers, filters, several queries, rewriting; and chunks by themselves, in both generations' forms."""

import json
from typing import Any

from aiohttp import web
import httpx
import pytest

from tests.parts.upstream import CHAT as REPLY
from tests.parts.vector_stack import ADA, EMBEDDER, STORES, VectorWorld, message, search

TEXTS = {
    "sun": "the sun is a star",
    "moon": "the moon goes round the earth",
    "mars": "mars is red, and the next planet but one from the sun",
    "tea": "tea is a drink of leaves",
}


async def fill(client: httpx.AsyncClient) -> str:
    """The id of a new store with TEXTS, whose metadata have `topic` and `n`."""
    store: str = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    chunks = [
        {
            "content": text,
            "chunk_id": name,
            "metadata": {"document_id": f"doc-{name}", "topic": "sky" if name != "tea" else "food", "n": place},
        }
        for place, (name, text) in enumerate(TEXTS.items())
    ]
    answer = await client.post("/v1/vector-io/insert", json={"vector_store_id": store, "chunks": chunks}, headers=ADA)
    assert answer.status_code == 204, answer.text
    return store


async def find(client: httpx.AsyncClient, store: str, query: Any, **more: Any) -> dict[str, float]:
    """The scores of what was found, by the names of TEXTS and in their order."""
    answer = await search(client, store, query, **more)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["data"]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return {row["file_id"].removeprefix("doc-"): row["score"] for row in rows}


async def test_modes_and_rankers(places: VectorWorld) -> None:
    client = await places.client()
    store = await fill(client)
    by_vector = await find(client, store, "the sun is a star")
    assert next(iter(by_vector)) == "sun"
    assert by_vector["sun"] == pytest.approx(1, abs=1e-5)
    assert len(by_vector) == 4
    assert await find(client, store, "the sun is a star", search_mode="vector") == by_vector
    for ranker in ("none", "auto", "default-2024-11-15"):
        assert await find(client, store, "the sun is a star", ranking_options={"ranker": ranker}) == by_vector
    by_words = await find(client, store, "planet sun", search_mode="keyword")
    assert list(by_words) == ["mars", "sun"]
    fused = await find(client, store, "planet sun", search_mode="hybrid")
    assert {"mars", "sun"} <= set(fused)
    assert await find(client, store, "planet sun", ranking_options={"ranker": "rrf"}) == fused
    for options in (
        {"ranker": "weighted"},
        {"ranker": "weighted", "alpha": 0.3},
        {"ranker": "normalized"},
        {"ranker": "rrf", "impact_factor": 5},
        {"weights": {"vector": 0.2, "keyword": 0.8}},
    ):
        assert set(await find(client, store, "planet sun", ranking_options=options)) >= {"mars", "sun"}
    words_alone = {"hybrid_search": {"embedding_weight": 0, "text_weight": 2}}
    assert list(await find(client, store, "planet sun", ranking_options=words_alone)) == ["mars", "sun"]
    weighted = {"ranker": "weighted", "alpha": 1}
    assert list(await find(client, store, "the sun is a star", ranking_options=weighted)) == list(by_vector)


async def test_filters_thresholds_and_limits_come_before_or_after_as_they_should(places: VectorWorld) -> None:
    client = await places.client()
    store = await fill(client)
    food = {"type": "eq", "key": "topic", "value": "food"}
    assert list(await find(client, store, "sun", filters=food, max_num_results=1)) == ["tea"]
    both = {
        "type": "and",
        "filters": [{"type": "gte", "key": "n", "value": 1}, {"type": "ne", "key": "topic", "value": "food"}],
    }
    assert set(await find(client, store, "sun", filters=both)) == {"moon", "mars"}
    assert set(await find(client, store, "sun", filters=both, search_mode="keyword")) == {"mars"}
    scores = await find(client, store, "the sun is a star")
    threshold = {"score_threshold": sorted(scores.values())[-2]}
    assert len(await find(client, store, "the sun is a star", ranking_options=threshold)) == 2
    several = await search(client, store, ["sun star", "tea leaves"], max_num_results=2)
    assert several.json()["search_query"] == ["sun star", "tea leaves"]
    assert {row["file_id"] for row in several.json()["data"]} == {"doc-sun", "doc-tea"}
    assert len(await find(client, store, ["sun", "sun"])) == 4
    row = (await search(client, store, "tea leaves")).json()["data"][0]
    assert {name: row[name] for name in ("attributes", "content")} == {
        "attributes": {"document_id": "doc-tea", "topic": "food", "n": 3},
        "content": [{"type": "text", "text": TEXTS["tea"]}],
    }


async def test_a_search_before_the_first_file_is_an_empty_page(places: VectorWorld) -> None:
    client = await places.client()
    store = (await client.post(STORES, json={}, headers=ADA)).json()["id"]
    for mode in ("vector", "keyword", "hybrid"):
        answer = await search(client, store, "anything", search_mode=mode)
        assert answer.json() == {
            "object": "vector_store.search_results.page",
            "search_query": ["anything"],
            "data": [],
            "has_more": False,
            "next_page": None,
        }


RANKERS = "`none`, `auto`, `default-2024-11-15`, `rrf`, `weighted`, `normalized`, `neural`"
NO_RERANKER = (
    "No model ranks what a search finds on this stack unless you name one: give a rerank model as `model`, or have it named at "
    "`vector_stores.default_reranker_model` of the run config."
)


UNSEARCHABLE: list[tuple[Any, ...]] = [
    ({"query": ""}, "query is empty.", "query"),
    ({"query": []}, "query must be a string, or a list of 1 to 10.", "query"),
    ({"query": ["x"] * 11}, "query must be a string, or a list of 1 to 10.", "query"),
    (
        {"query": "x" * 16_385},
        "query has 16385 characters, and may have 16384. Search for what it is about.",
        "query",
    ),
    ({"ranking_options": {"ranker": "neural"}}, NO_RERANKER, "ranking_options.model"),
    (
        {"ranking_options": {"model": "m"}},
        "There is no rerank model `m` here, or you may not use it. GET /v1/models lists what there is.",
        "ranking_options.model",
    ),
    (
        {"ranking_options": {"model": "chat"}},
        "Model `chat` does not rerank. Name one whose `model_type` is `rerank`.",
        "ranking_options.model",
    ),
    *(
        (
            {"ranking_options": {"ranker": name}},
            f"There is no ranker `{name}`: there are {RANKERS}, and the rerank models that you may use.",
            "ranking_options.ranker",
        )
        for name in ("fastest", "classifier", " ")
    ),
    (
        {"ranking_options": {"ranker": "fastest", "model": "m"}},
        f"There is no ranker `fastest`: there are {RANKERS}, and the rerank models that you may use.",
        "ranking_options.ranker",
    ),
    (
        {"ranking_options": {"ranker": "none", "model": "m"}},
        "The ranker `none` has no model: leave one of them out.",
        "ranking_options.model",
    ),
    ({"ranking_options": {"weights": {"neural": 1}}}, NO_RERANKER, "ranking_options.model"),
    (
        {"ranking_options": {"model": "m", "weights": {"neural": 0.5, "luck": 0.5}}},
        "Nothing has the weight `luck`: there are vector, keyword, neural.",
        "ranking_options.weights",
    ),
    (
        {"ranking_options": {"model": "m", "weights": {"neural": -1, "vector": 2}}},
        "vector, keyword, neural must be 0 or more, and one of them above 0.",
        "ranking_options.weights",
    ),
    (
        {"ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}},
        "embedding_weight and text_weight must be 0 or more, and one of them above 0.",
        "ranking_options.hybrid_search",
    ),
    (
        {"ranking_options": {"ranker": "rrf", "alpha": 0.5}},
        "`alpha` is of the ranker `weighted`.",
        "ranking_options.alpha",
    ),
    ({"max_num_results": 51}, "max_num_results: Input should be less than or equal to 50", "max_num_results"),
    (
        {"filter": {"type": "eq", "key": "a", "value": "b"}},
        "What a search is held to is named `filters`, not `filter`.",
        "filter",
    ),
    ({"filters": {"type": "like", "key": "a", "value": "b"}}, None, "filters.type"),
    ({"filters": {"type": "gt", "key": "n", "value": "b"}}, None, "filters.value"),
    (
        {"rewrite_query": True},
        (
            "Query rewriting is not available on this stack: name a chat model at `vector_stores.rewrite_query_params.model` of the run config, "
            "or leave `rewrite_query` out."
        ),
        "rewrite_query",
    ),
]


async def test_what_cannot_be_searched_for_is_refused(world: VectorWorld) -> None:
    client = await world.client()
    store = await fill(client)
    for body, text, param in UNSEARCHABLE:
        answer = await client.post(f"{STORES}/{store}/search", json={"query": "sun", **body}, headers=ADA)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert text in {None, message(answer)}


async def test_filters_of_depth_100_are_refused(world: VectorWorld) -> None:
    client = await world.client()
    store = await fill(client)
    condition: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for depth in range(1, 101):
        condition = {"type": "and", "filters": [condition]}
        if depth in {8, 60, 100}:
            answer = await search(client, store, "sun", filters=condition)
            assert answer.status_code == 400
            text = "is nested too deep: filters have at most 8 levels" if depth < 100 else "recursion limit exceeded"
            assert text in message(answer)


async def test_a_chat_model_rewrites_queries_where_the_run_config_names_one(world: VectorWorld) -> None:
    params = {"model": {"provider_id": "local", "model_id": "chat"}, "prompt": "Better: {query}", "max_tokens": 9}
    client = await world.client(vector_stores={"rewrite_query_params": params})
    store = await fill(client)

    async def reply(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        assert (body["model"], body["max_tokens"]) == ("chat", 9)
        content = {"Better: hot drink": " tea leaves \n", "Better: sun": ""}[body["messages"][0]["content"]]
        return web.json_response(
            REPLY
            | {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}
        )

    world.upstream.replies["/v1/chat/completions"] = reply
    answer = await search(client, store, ["hot drink", "sun"], rewrite_query=True, max_num_results=1)
    assert answer.json()["search_query"] == ["tea leaves", "sun"]
    gone = await world.client(models=[EMBEDDER], vector_stores={"rewrite_query_params": params})
    refused = await search(gone, store, "sun", rewrite_query=True)
    assert (refused.status_code, message(refused)) == (
        400,
        "The model `local/chat`, which rewrites queries here, is not there, or you may not use it. Leave `rewrite_query` out.",
    )
    assert answer.json()["data"][0]["file_id"] == "doc-tea"


async def test_the_run_config_says_how_a_search_is_made_that_does_not_say(world: VectorWorld) -> None:
    client = await world.client(vector_stores={"chunk_retrieval_params": {"default_search_mode": "keyword"}})
    store = await fill(client)
    assert list(await find(client, store, "planet sun")) == ["mars", "sun"]
    assert len(await find(client, store, "planet sun", search_mode="vector")) == 4
