"""Reranking over HTTP: Cohere's and Jina's shape and Llama Stack's, over the vendors that rerank, with guards, quota and limits."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.inference import MOST_DOCUMENTS
from core.apis.rerank import RerankRequest
from core.errors import InvalidRequest
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.providers.openai.rows import ROWS, Row
from tests.parts.guarded_stack import WORD, guarded_stack
from tests.parts.live_stack import client_of, message
from tests.parts.upstream import FakeUpstream, Reply, in_turn, rank_by_words, raw, running, status

RERANK = "/v1/rerank"
NATIVE = "/v1alpha/inference/rerank"
ABOUT = ["tea is a drink", "the sun is a star", "the moon goes round"]
MODELS = [
    {"model_id": name, "provider_id": provider, "provider_model_id": "m", "model_type": kind, "metadata": metadata}
    for name, provider, kind, metadata in (
        ("ranks", "local", "rerank", {}),
        ("nim", "nim", "rerank", {}),
        ("none", "groq", "rerank", {}),
        ("chats", "local", "llm", {}),
        ("embeds", "local", "embedding", {"embedding_dimension": 1}),
    )
]


def document(upstream: FakeUpstream, folder: Path, **more: Any) -> dict[str, Any]:
    kinds = {"local": "remote::vllm", "nim": "remote::nvidia", "groq": "remote::groq"}
    keys = {"groq": {"api_key": "k"}}
    return {
        "image_name": "t",
        "apis": ["inference"],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        "providers": {
            "inference": [
                {"provider_id": name, "provider_type": kind, "config": {"url": upstream.url, **keys.get(name, {})}}
                for name, kind in kinds.items()
            ]
        },
        "models": MODELS,
        **more,
    }


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running(FakeUpstream(replies={"/v1/rerank": rank_by_words})) as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(document(upstream, tmp_path)) as client:
        yield client


def ask(**more: Any) -> dict[str, Any]:
    return {"model": "ranks", "query": "sun star", "documents": ABOUT, **more}


def order(answer: httpx.Response) -> list[tuple[int, float]]:
    assert answer.status_code == 200, answer.text
    rows = answer.json().get("results") or answer.json()["data"]
    return [(row["index"], row["relevance_score"]) for row in rows]


async def test_documents_are_ranked_the_best_first_in_coheres_shape(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    answer = await client.post(RERANK, json=ask())
    assert order(answer) == [(1, 1.0), (0, 0.0), (2, 0.0)]
    body = answer.json()
    assert (body["id"], body["model"]) == ("r1", "ranks")
    assert body["usage"] == {"prompt_tokens": 21, "total_tokens": 21}
    assert upstream.seen[-1].body == {"model": "m", "query": "sun star", "documents": ABOUT}
    documents = [{"text": ABOUT[0], "id": 7}, ABOUT[1], {"text": ABOUT[2]}]
    answer = await client.post(
        RERANK, json=ask(documents=documents, top_n=9, return_documents=True, max_tokens_per_doc=5)
    )
    assert [row["document"] for row in answer.json()["results"]] == [
        {"text": ABOUT[1]},
        {"text": ABOUT[0], "id": 7},
        {"text": ABOUT[2]},
    ]
    sent = upstream.seen[-1].body
    assert (sent["documents"], sent["top_n"], sent["max_tokens_per_doc"]) == (ABOUT, 3, 5)
    assert "return_documents" not in sent
    for path in (RERANK, "/v2/rerank"):  # where Cohere's own client asks
        assert order(await client.post(path, json=ask(top_n=1))) == [(1, 1.0)]


async def test_a_rerank_model_is_registered_while_the_stack_runs(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    upstream.models.append({"id": "r", "object": "model", "created": 7})
    body = {"model_id": "later", "provider_id": "local", "provider_model_id": "r", "model_type": "rerank"}
    assert (await client.post("/v1/models", json=body)).status_code == 200
    assert (await client.get("/v1/models/later")).json()["model_type"] == "rerank"
    assert order(await client.post(RERANK, json=ask(model="later", top_n=1))) == [(1, 1.0)]


async def test_items_are_ranked_in_llama_stacks_shape(client: httpx.AsyncClient, upstream: FakeUpstream) -> None:
    part = {"type": "text", "text": ABOUT[1]}
    body = {"model": "ranks", "query": {"type": "text", "text": "sun star"}, "items": [ABOUT[0], part]}
    answer = await client.post(NATIVE, json=body)
    assert answer.json() == {"data": [{"index": 1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.0}]}
    assert order(await client.post(NATIVE, json={**body, "max_num_results": 1, "task": "t"})) == [(1, 1.0)]
    sent = {"model": "m", "query": "sun star", "documents": ABOUT[:2], "top_n": 1, "task": "t"}
    assert upstream.seen[-1].body == sent


async def test_nvidias_ranking_has_its_own_shape(client: httpx.AsyncClient, upstream: FakeUpstream) -> None:
    rankings = [{"index": place, "logit": -float(place)} for place in (2, 0, 1)]
    upstream.replies["/v1/ranking"] = status(200, {"rankings": rankings})
    answer = await client.post(RERANK, json=ask(model="nim", top_n=2, truncate="END", passages=["not mine"]))
    assert order(answer) == [(0, 0.0), (1, -1.0)]
    assert upstream.seen[-1].body == {
        "model": "m",
        "query": {"text": "sun star"},
        "passages": [{"text": text} for text in ABOUT],
        "truncate": "END",
    }
    assert "usage" not in answer.json()
    assert answer.json()["id"].startswith("rerank-")


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (RERANK, ask(model="chats"), "Model `chats` is an llm and does not support reranking.", "model"),
    (RERANK, ask(model="embeds"), "Model `embeds` is an embedding model and does not support reranking.", "model"),
    (
        RERANK,
        ask(model="none"),
        "Model `m` is served by provider `groq` (remote::groq), whose API has no rerank.",
        "model",
    ),
    (
        "/v1/chat/completions",
        {"model": "ranks", "messages": [{"role": "user", "content": "hi"}]},
        "Model `ranks` is a rerank model and does not support chat completions.",
        "model",
    ),
    (RERANK, ask(query=" "), "query: is empty.", "query"),
    (RERANK, ask(query=7), "query: must be a text, or an object with a `text`.", "query"),
    (
        RERANK,
        ask(documents=["a", {"title": "b"}]),
        "documents[1]: must be a text, or an object with a `text`.",
        "documents[1]",
    ),
    (
        RERANK,
        ask(documents=["a", {"image": "http://x/y.png"}]),
        "documents[1]: images are not ranked here; send a text.",
        "documents[1]",
    ),
    (
        RERANK,
        ask(documents=["a"] * (MOST_DOCUMENTS + 1)),
        "documents: has 1001 entries; one request takes at most 1000. Send several, and put the results together by their scores.",
        "documents",
    ),
    (
        RERANK,
        ask(rank_fields=["title"]),
        "rank_fields: documents are ranked by their `text` alone; put what counts into it.",
        "rank_fields",
    ),
    (
        RERANK,
        ask(models=["other"]),
        "models: a request is for one model; for failover, give that `targets`.",
        "models",
    ),
    (
        NATIVE,
        {"model": "ranks", "query": "q", "items": ["a"], "Model": "other"},
        "Model: write `model`; some servers take the one for the other.",
        "Model",
    ),
    (
        NATIVE,
        {"model": "ranks", "query": "q", "items": ["a", {"type": "image_url", "image_url": {"url": "http://x"}}]},
        "items[1]: images are not ranked here; send a text.",
        "items[1]",
    ),
]


@pytest.mark.parametrize(("path", "body", "text", "param"), REFUSED)
async def test_what_cannot_be_ranked_is_refused_before_anybody_is_asked(
    client: httpx.AsyncClient, upstream: FakeUpstream, path: str, body: Any, text: str, param: str
) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, message(answer), answer.json()["error"]["param"]) == (400, text, param)
    assert not [seen for seen in upstream.seen if seen.method == "POST"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "x"}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
    ],
)
async def test_fields_of_a_wrong_type_are_named(client: httpx.AsyncClient, more: dict[str, Any], param: str) -> None:
    answer = await client.post(RERANK, json=ask(**more))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post(RERANK, json=ask(model="gone"))
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")


def ranked(*rows: Any) -> Reply:
    return raw(json.dumps({"results": rows}).encode())


def row(index: Any, score: Any = 0.5) -> dict[str, Any]:
    return {"index": index, "relevance_score": score}


NO_RANKINGS: dict[str, Reply] = {
    "beyond": ranked(row(0), row(1), row(3)),
    "below": ranked(row(0), row(1), row(-1)),
    "twice": ranked(row(0), row(1), row(1)),
    "boolean index": ranked(row(0), row(1), row(index=True)),
    "index as text": ranked(row(0), row(1), row("2")),
    "score as text": ranked(row(0), row(1), row(2, "high")),
    "null": ranked(row(0), row(1), row(2, None)),
    "boolean score": ranked(row(0), row(1), row(2, score=True)),
    "nan": ranked(row(0), row(1), row(2, float("nan"))),
    "infinite": ranked(row(0), row(1), row(2, float("inf"))),
    "beyond every float": ranked(row(0), row(1), row(2, 10**400)),
    "one missing": ranked(row(0), row(1)),
    "numbers": ranked(7, 8, 9),
    "object": raw(b'{"results": {}}'),
    "no results": raw(b'{"id": "r"}'),
    "list": raw(b"[]"),
    "page": raw(b"<html>"),
    "500": status(500),
}


@pytest.mark.parametrize("reply", NO_RANKINGS.values(), ids=list(NO_RANKINGS))
async def test_what_is_no_ranking_is_the_upstreams_failure(
    client: httpx.AsyncClient, upstream: FakeUpstream, reply: Reply
) -> None:
    upstream.replies["/v1/rerank"] = reply
    answer = await client.post(RERANK, json=ask())
    assert answer.status_code == 502, answer.text
    assert "sun" not in answer.text


async def test_a_query_and_documents_go_past_the_models_shields(tmp_path: Path) -> None:
    async with guarded_stack(str(tmp_path)) as stack:
        stack.model.replies["/v1/rerank"] = rank_by_words
        assert order(await stack.post(RERANK, ask()))[0] == (1, 1.0)
        stack.forget()
        bodies = [
            ask(query=f"a {WORD}"),
            ask(documents=["a", f"b {WORD}"]),
            ask(documents=["a", {"text": f"b {WORD}"}]),
            ask(Documents=[f"b {WORD}"]),
        ]
        native = {"model": "ranks", "query": "q", "items": ["a", WORD]}
        for path, body in [*((RERANK, body) for body in bodies), (NATIVE, native)]:
            answer = await stack.post(path, body)
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["code"] == "content_filter"
            assert WORD not in answer.text
        assert not [seen for seen in stack.model.seen if seen.path == "/v1/rerank"]
        assert answer.json()["error"]["param"] == "items"


async def test_tokens_are_charged_as_they_are_told_and_requests_by_the_hundred_documents(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    store = {"type": "sqlite", "db_path": str(tmp_path / "quota.db")}
    limits = {"kvstore": store, "anonymous_max_requests": 7, "max_tokens": 100_000, "period": "day"}
    async with client_of(document(upstream, tmp_path, server={"quota": limits})) as client:
        left = []
        native = {"model": "ranks", "query": "q", "items": ["a"] * 101}
        for path, body in ((RERANK, ask()), (RERANK, ask(documents=["a"] * 201)), (NATIVE, native)):
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            left.append(int(answer.headers["ratelimit-remaining"]))
        assert left == [6, 3, 1]
        last = await client.post(RERANK, json=ask())
        reserved = 1024
        assert last.headers["x-ratelimit-remaining-tokens"] == str(100_000 - 3 * 21 - reserved)
        assert (await client.post(RERANK, json=ask())).status_code == 429


@pytest.mark.parametrize("row_", [row for row in ROWS.values() if row.rerank], ids=[n for n in ROWS if ROWS[n].rerank])
async def test_every_row_that_reranks_is_asked_at_its_path_with_its_key(row_: Row) -> None:
    assert row_.rerank is not None
    results = [{"index": 0, row_.rerank.score: 0.25}]
    async with running() as upstream:
        config = {row_.urls[0]: upstream.url, row_.keys[0]: "operators-key"}
        provider = OpenAICompatible("p", config_of(row_.provider_type).model_validate(config))
        replies = [status(200, {name: results}) for name in row_.rerank.results]
        upstream.replies[row_.root + row_.rerank.path] = in_turn(*replies)
        for _ in replies:
            answer = await provider.rerank(RerankRequest(model="m", query="q", documents=["a"]))
            assert answer["results"] == [{"index": 0, "relevance_score": 0.25}]
        assert upstream.seen[-1].headers["authorization"] == "Bearer operators-key"
        await provider.close()


@pytest.mark.parametrize(
    "row_", [row for row in ROWS.values() if not row.rerank], ids=[n for n in ROWS if not ROWS[n].rerank]
)
async def test_every_other_row_says_that_it_does_not(row_: Row) -> None:
    async with running() as upstream:
        config = {row_.urls[0]: upstream.url, row_.keys[0]: "operators-key"}
        provider = OpenAICompatible("p", config_of(row_.provider_type).model_validate(config))
        with pytest.raises(InvalidRequest, match=f"{row_.provider_type}.*has no rerank"):
            await provider.rerank(RerankRequest(model="m", query="q", documents=["a"]))
        assert not upstream.seen
        await provider.close()
