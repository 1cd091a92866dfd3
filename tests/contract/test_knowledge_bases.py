"""Knowledge bases of Bedrock as vector stores, over a double that the SDK's own client asks."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
import pytest

from core.apis.vector_filters import Comparison, parse_filter
from core.apis.vector_io import VectorIndex, VectorQuery
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.providers.knowledge_bases.wire import print_filter
from tests.contract.vector_providers import chunk
from tests.parts import filters as ours
from tests.parts.bedrock import REGION
from tests.parts.file_stack import upload
from tests.parts.knowledge_bases import ID, KnowledgeBaseDouble, config_of, holds, knowledge_bases
from tests.parts.upstream import running
from tests.parts.vector_stack import ADA, STORES, message, search, texts, vector_world

INDEX = VectorIndex("manuals", ID, 0)
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("the sun is a star", {"year": 1999, "kind": "astronomy"}),
    ("the moon is none", {"year": 2005}),
    ("a recipe for bread", {"year": 2005.0, "kind": "food", "tags": ["flour"]}),
]


async def test_a_search_is_by_text_and_its_results_are_chunks() -> None:
    async with knowledge_bases(documents=DOCUMENTS) as (double, provider):
        [best, *_] = await provider.search(INDEX, VectorQuery(text="sun star", limit=2))
        assert (best.chunk.key, best.chunk.text, best.score) == ("chunk-0", "the sun is a star", 1.0)
        assert (best.chunk.source, best.chunk.filename) == ("s3://docs/0.txt", "0.txt")
        assert best.chunk.attributes == {"x-amz-bedrock-kb-chunk-id": "chunk-0", "year": 1999, "kind": "astronomy"}
        assert double.seen[-1].body == {
            "retrievalQuery": {"text": "sun star"},
            "retrievalConfiguration": {
                "vectorSearchConfiguration": {"numberOfResults": 2, "overrideSearchType": "SEMANTIC"}
            },
        }
        await provider.search(INDEX, VectorQuery(text="sun", hybrid=True))
        by_arn = VectorIndex("m", f"arn:aws:bedrock:{REGION}:123456789012:knowledge-base/{ID}", 0)
        only = Comparison("in", "year", (2005, "x"))
        rows = await provider.search(by_arn, VectorQuery(text="moon", filter=only))
        assert sorted(row.chunk.text for row in rows) == ["a recipe for bread", "the moon is none"]
        kinds = [
            seen.body["retrievalConfiguration"]["vectorSearchConfiguration"]["overrideSearchType"]
            for seen in double.seen
        ]
        assert kinds == ["SEMANTIC", "HYBRID", "SEMANTIC"]
        count = len(double.seen)
        assert await provider.search(INDEX, VectorQuery(text=" ")) == []
        assert await provider.search(INDEX, VectorQuery(text="a", limit=0)) == []
        assert await provider.fetch(INDEX, ["chunk-0"]) == []
        assert len(double.seen) == count
        assert (await provider.health()) == {"status": "OK"}


RESULTS: list[tuple[dict[str, Any], tuple[str, str, float]]] = [
    ({"content": {"text": "a"}, "score": 1.7}, ("a", "", 1.0)),
    ({"content": {"text": "a"}, "score": -3}, ("a", "", 0.0)),
    ({"content": {"type": "IMAGE", "byteContent": "data:"}}, ("", "", 0.0)),
    (
        {"content": {"type": "ROW", "row": [{"columnName": "n", "columnValue": "1"}, {"columnName": "m"}]}},
        ("n: 1\nm: ", "", 0.0),
    ),
    (
        {
            "content": {"audio": {"s3Uri": "s3://a", "transcription": "said"}},
            "location": {"type": "WEB", "webLocation": {"url": "https://a/b/"}},
        },
        ("said", "https://a/b/", 0.0),
    ),
    (
        {
            "content": {"text": "a"},
            "documentId": "doc-1",
            "location": {"type": "CUSTOM", "customDocumentLocation": {"id": "x"}},
        },
        ("a", "doc-1", 0.0),
    ),
]


@pytest.mark.parametrize(("result", "expected"), RESULTS, ids=range(len(RESULTS)))
async def test_a_result_of_any_kind_is_a_chunk(result: dict[str, Any], expected: tuple[str, str, float]) -> None:
    async with knowledge_bases(results=[result]) as (_, provider):
        [one] = await provider.search(INDEX, VectorQuery(text="a"))
        assert (one.chunk.text, one.chunk.source, one.score) == expected
        assert len(one.chunk.key) == 64


@pytest.mark.parametrize(
    ("refusal", "kind", "text"),
    [
        (
            (403, "AccessDeniedException", "User: arn:aws:sts::1:x is not authorized"),
            UpstreamFailed,
            "`bedrock:Retrieve` on it",
        ),
        (
            (404, "ResourceNotFoundException", "no"),
            ProviderUnavailable,
            "has no knowledge base `KB12345678` in its region: correct",
        ),
        ((400, "ValidationException", "The filter is too deep"), InvalidRequest, "The filter is too deep"),
        ((429, "ThrottlingException", "slow"), UpstreamThrottled, "is throttling"),
        ((403, "UnrecognizedClientException", "token"), UpstreamFailed, "refused the stack's credentials"),
        ((500, "InternalServerException", "secret"), UpstreamFailed, "failed to answer"),
        ((424, "DependencyFailedException", "OpenSearch"), UpstreamFailed, "failed to answer"),
    ],
    ids=range(7),
)
async def test_a_refusal_says_what_to_do(refusal: tuple[int, str, str], kind: type[ApiError], text: str) -> None:
    async with knowledge_bases(documents=DOCUMENTS, refuse=[refusal]) as (_, provider):
        with pytest.raises(kind, match=text) as raised:
            await provider.search(INDEX, VectorQuery(text="sun"))
        assert "arn:aws:sts" not in raised.value.message
        assert "secret" not in raised.value.message


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "NaN", "much", []])
async def test_a_score_that_is_no_number_is_a_failure(score: object) -> None:
    async with knowledge_bases(results=[{"content": {"text": "a"}, "score": score}]) as (_, provider):
        with pytest.raises(UpstreamFailed):
            await provider.search(INDEX, VectorQuery(text="sun"))


async def test_an_id_that_is_none_is_not_asked_for() -> None:
    async with knowledge_bases() as (double, provider):
        for name in ("", "KB1", "KB12345678/../x", "vs_1", "a" * 3000):
            with pytest.raises(ProviderUnavailable, match="the id or the ARN of a knowledge base"):
                await provider.search(VectorIndex("manuals", name, 0), VectorQuery(text="sun"))
        for query in (VectorQuery([1.0]), VectorQuery(text="a", limit=101)):
            with pytest.raises(InvalidRequest):
                await provider.search(INDEX, query)
        assert not double.seen


async def test_nothing_can_be_made_put_or_removed() -> None:
    async with knowledge_bases() as (double, provider):
        for coming in (
            provider.create(INDEX),
            provider.put(INDEX, [chunk("a")]),
            provider.delete(INDEX, ["a"]),
            provider.drop(INDEX),
        ):
            with pytest.raises(
                InvalidRequest, match=r"which Amazon Bedrock fills itself.*add documents to its data source"
            ):
                await coming
        assert not double.seen


@settings(max_examples=300, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(ours.filters, ours.attributes)
def test_filters_mean_there_what_they_mean_here(tree: Any, attributes: dict[str, Any]) -> None:
    parsed = parse_filter(tree)
    assert parsed is not None
    assert holds(print_filter(parsed), {name: _as_json(value) for name, value in attributes.items()}) is ours.holds(
        parsed, attributes
    )


def _as_json(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncGenerator[tuple[KnowledgeBaseDouble, httpx.AsyncClient]]:
    """A stack without any embedding model, which declares a knowledge base."""
    async with vector_world(tmp_path) as world, running(KnowledgeBaseDouble(documents=DOCUMENTS)) as double:
        assert isinstance(double, KnowledgeBaseDouble)
        world.provider = {
            "provider_id": "kb",
            "provider_type": "remote::bedrock-knowledge-base",
            "config": config_of(double),
        }
        declared = [{"vector_store_id": "manuals", "provider_id": "kb", "provider_vector_store_id": ID}]
        yield double, await world.client(models=[], vector_stores=declared)


async def test_a_declared_knowledge_base_is_searched_on_the_wire(
    stack: tuple[KnowledgeBaseDouble, httpx.AsyncClient],
) -> None:
    double, client = stack
    shown = (await client.get(f"{STORES}/manuals", headers=ADA)).json()
    assert (shown["status"], shown["file_counts"]["total"]) == ("completed", 0)
    only = {"type": "ne", "key": "kind", "value": "food"}
    assert await texts(client, "manuals", "sun moon", filters=only) == ["the sun is a star", "the moon is none"]
    assert await texts(client, "manuals", "sun", search_mode="hybrid", max_num_results=1) == ["the sun is a star"]
    native = {"vector_store_id": "manuals", "query": "bread", "params": {"max_chunks": 1}}
    [row] = (await client.post("/v1/vector-io/query", json=native, headers=ADA)).json()["chunks"]
    assert row["content"] == "a recipe for bread"
    assert all(seen.path.startswith("/knowledgebases/") for seen in double.seen)
    double.hybrid = False
    refused = await search(client, "manuals", "sun", search_mode="hybrid")
    assert (refused.status_code, message(refused)) == (
        400,
        "HYBRID search type is not supported for search operation on index x",
    )


async def test_what_a_knowledge_base_cannot_is_refused_before_it_is_asked(
    stack: tuple[KnowledgeBaseDouble, httpx.AsyncClient],
) -> None:
    double, client = stack
    refused = await search(client, "manuals", "sun", search_mode="keyword")
    assert refused.status_code == 400
    assert "searches by meaning, or by meaning and words (`hybrid`)" in message(refused)
    weighted = {"ranker": "weighted", "alpha": 0.2}
    refused = await search(client, "manuals", "sun", ranking_options=weighted)
    assert (refused.status_code, "leave rankers and weights out" in message(refused)) == (400, True)
    file = (await upload(client, b"the sun")).json()["id"]
    one = f"{STORES}/manuals/files"
    chunks = {"vector_store_id": "manuals", "chunks": [{"content": "a"}]}
    for method, path, body in (
        ("POST", one, {"file_id": file}),
        ("POST", f"{one}/{file}", {"attributes": {"a": 1}}),
        ("DELETE", f"{one}/{file}", None),
        ("POST", f"{STORES}/manuals/file_batches", {"file_ids": [file]}),
        ("POST", "/v1/vector-io/insert", chunks),
    ):
        answer = await client.request(method, path, json=body, headers=ADA)
        if method == "DELETE":  # there is none, whoever asks
            assert answer.status_code == 404
        else:
            assert (answer.status_code, "keeps what is filled elsewhere" in message(answer)) == (400, True), path
    copy = await client.post(f"{STORES}/manuals/copy", json={}, headers=ADA)
    assert (copy.status_code, "does not tell what is in it" in message(copy)) == (400, True)
    made = await client.post(STORES, json={"name": "mine"}, headers=ADA)
    assert made.status_code == 400
    assert message(made).startswith(
        "Provider `kb` has only stores that are filled elsewhere, none that a request makes: declare one"
    )
    assert (await client.delete(f"{STORES}/manuals", headers=ADA)).status_code == 409
    assert not double.seen
