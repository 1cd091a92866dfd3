"""Bedrock's Rerank: what is sent is what the SDK would send, pages are put together, and failures have their words."""

import asyncio
from typing import Any

import boto3
import pytest

from core.apis.rerank import RerankRequest
from core.errors import ApiError, InvalidRequest, NotFound, ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from tests.parts.bedrock import KEYS, REGION, FakeBedrock, model, refusal, serving
from tests.parts.secrets import plant
from tests.parts.upstream import Reply, hang, in_turn, raw, status

RANKER = "amazon.rerank-test-v1:0"
ARN = f"arn:aws:bedrock:{REGION}::foundation-model/{RANKER}"
TEXTS = ["tea is a drink", "the sun is a star"]


def request(**more: Any) -> RerankRequest:
    return RerankRequest.model_validate({"model": RANKER, "query": "sun", "documents": TEXTS, **more})


def sdk(region: str, **more: Any) -> Any:
    keys: dict[str, Any] = {**KEYS, **more}
    return boto3.client("bedrock-agent-runtime", region, **keys)


def results(*rows: tuple[Any, Any], **more: Any) -> Reply:
    return status(200, {"results": [{"index": index, "relevanceScore": score} for index, score in rows], **more})


async def test_what_is_sent_is_what_the_sdk_sends() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["rerank"] = results((1, 0.9), (0, 0.1))
        answer = await bedrock.rerank(request(top_n=5, max_tokens_per_doc=7))
        assert answer == {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}
        client = sdk(REGION, endpoint_url=fake.url)
        sources = [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
            for text in TEXTS
        ]
        ranking = {
            "modelConfiguration": {"modelArn": ARN, "additionalModelRequestFields": {"max_tokens_per_doc": 7}},
            "numberOfResults": 2,
        }
        theirs = await asyncio.to_thread(
            client.rerank,
            queries=[{"type": "TEXT", "textQuery": {"text": "sun"}}],
            sources=sources,
            rerankingConfiguration={"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": ranking},
        )
        assert [row["index"] for row in theirs["results"]] == [1, 0]
    ours, sdks = fake.seen
    assert (ours.method, ours.path, ours.body) == (sdks.method, sdks.path, sdks.body)
    for seen in (ours, sdks):
        assert f"/{REGION}/bedrock/aws4_request" in seen.headers["authorization"]


async def test_pages_are_put_together_and_an_arn_is_sent_as_it_is() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["rerank"] = in_turn(results((1, 0.9), nextToken="more"), results((0, 0.1)))
        arn = ARN.replace(REGION, "us-west-2")
        answer = await bedrock.rerank(request(model=arn))
    assert [row["index"] for row in answer["results"]] == [1, 0]
    assert [seen.body.get("nextToken") for seen in fake.seen] == [None, "more"]
    ranking = fake.seen[0].body["rerankingConfiguration"]["bedrockRerankingConfiguration"]
    assert ranking["modelConfiguration"] == {"modelArn": arn}


async def test_a_ranking_without_an_end_is_the_services_failure() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["rerank"] = results((1, 0.9), nextToken="more")
        with pytest.raises(UpstreamFailed, match="too many pages"):
            await bedrock.rerank(request())
        assert len(fake.seen) == 20


FAILURES: dict[str, tuple[Reply, type[ApiError], str]] = {
    "invalid": (refusal(400, "ValidationException", "The model is no reranker."), InvalidRequest, "no reranker"),
    "missing": (refusal(404, "ResourceNotFoundException"), NotFound, "does not have that model"),
    "denied": (refusal(403, "AccessDeniedException"), UpstreamFailed, "refused the stack's credentials"),
    "throttled": (refusal(429, "ThrottlingException"), UpstreamThrottled, "throttling"),
    "dependency": (refusal(424, "DependencyFailedException"), ApiError, "`b`"),
    "broken": (refusal(500, "InternalServerException"), ApiError, "`b`"),
    "nan": (raw(b'{"results": [{"index": 0, "relevanceScore": NaN}]}'), UpstreamFailed, "`b`"),
    "page": (raw(b"<html>", "text/html"), UpstreamFailed, "`b`"),
}


@pytest.mark.parametrize(("reply", "kind", "text"), FAILURES.values(), ids=list(FAILURES))
async def test_failures_have_their_words(reply: Reply, kind: type[ApiError], text: str) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["rerank"] = reply
        with pytest.raises(kind, match=text):
            await bedrock.rerank(request())


async def test_who_does_not_answer_in_time_is_given_up() -> None:
    async with serving(read_timeout=0.2) as (fake, bedrock):
        fake.replies["rerank"] = hang
        with pytest.raises(ApiError, match="did not answer in time"):
            await bedrock.rerank(request())


@pytest.mark.parametrize(
    ("more", "text", "param"),
    [
        ({"query": "q" * 32_001}, "The query has 32001 characters, and Bedrock ranks texts of 1 to 32000", "query"),
        ({"documents": ["a", "b" * 32_001]}, "Document 1 has 32001 characters", "documents[1]"),
        ({"documents": ["", "b"]}, "Document 0 has 0 characters", "documents[0]"),
    ],
)
async def test_texts_that_bedrock_does_not_rank_are_refused_by_name(more: Any, text: str, param: str) -> None:
    async with serving() as (fake, bedrock):
        with pytest.raises(InvalidRequest, match=text) as refused:
            await bedrock.rerank(request(**more))
    assert (refused.value.param, fake.seen) == (param, [])


async def test_an_api_key_of_bedrock_is_told_that_rerank_takes_none() -> None:
    none = dict.fromkeys(KEYS)
    async with serving(api_key=plant("bedrock-api-key-of-the-tests"), **none) as (fake, bedrock):
        with pytest.raises(ProviderUnavailable, match="an API key of Bedrock, which Rerank does not take"):
            await bedrock.rerank(request())
    assert not fake.seen


async def test_rerank_models_are_listed_as_such() -> None:
    fake = FakeBedrock(models=[model(RANKER, "Amazon"), model("cohere.rerank-v3-5:0", "Cohere")], profiles=[])
    async with serving(fake) as (_, bedrock):
        offers = await bedrock.list_models()
    assert [(offer["id"], offer["model_type"]) for offer in offers] == [
        (RANKER, "rerank"),
        ("cohere.rerank-v3-5:0", "rerank"),
    ]


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1"])
def test_the_endpoint_is_the_services_own(region: str) -> None:
    from core.platform import aws_sdk

    session = aws_sdk.session()
    theirs = sdk(region).meta.endpoint_url
    assert aws_sdk.own_endpoint(session, "bedrock-agent-runtime", region, dual_stack=False) == theirs
    assert aws_sdk.partition_of(region) == ("aws" if region.startswith("us") else "aws-cn")
