"""The options of 0.2's native embeddings: in the words of the vendor that has them, refused where there is nothing like them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.inference import EmbeddingsRequest
from core.apis.native import NativeEmbeddingsRequest
from core.errors import InvalidRequest
from core.services.inference.native.request import to_openai_embeddings
from tests.parts.bedrock import COHERE, TITAN, FakeBedrock, embedded, serving
from tests.parts.live_stack import client_of
from tests.parts.upstream import FakeUpstream, running

PATH = "/v1/inference/embeddings"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Models `nim`, at NVIDIA's, and `plain`, at a vLLM."""
    kinds = {"nim": "remote::nvidia", "plain": "remote::vllm"}
    embedding = {"provider_model_id": "m", "model_type": "embedding", "metadata": {"embedding_dimension": 1}}
    document = {
        "image_name": "t",
        "apis": ["inference"],
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        "providers": {
            "inference": [
                {"provider_id": name, "provider_type": kind, "config": {"url": upstream.url}}
                for name, kind in kinds.items()
            ]
        },
        "models": [{"model_id": name, "provider_id": name, **embedding} for name in kinds],
    }
    async with client_of(document) as client:
        yield client


def native(model: str, **options: Any) -> dict[str, Any]:
    return {"model_id": model, "contents": ["a", "b"], **options}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {}),
        ({"text_truncation": None, "task_type": None}, {}),
        ({"text_truncation": "none"}, {"truncate": "NONE"}),
        ({"text_truncation": "start"}, {"truncate": "START"}),
        ({"text_truncation": "end", "task_type": "query"}, {"truncate": "END", "input_type": "query"}),
        ({"task_type": "document", "output_dimension": 8}, {"input_type": "passage", "dimensions": 8}),
        ({"modality": "text"}, {"modality": "text"}),
    ],
)
async def test_nvidia_gets_the_fields_that_it_knows(
    client: httpx.AsyncClient, upstream: FakeUpstream, options: dict[str, Any], fields: dict[str, Any]
) -> None:
    answer = await client.post(PATH, json=native("nim", **options))
    assert answer.json() == {"embeddings": [[0.5]]}
    assert upstream.seen[-1].body == {"model": "m", "input": ["a", "b"], **fields}


@pytest.mark.parametrize(("name", "value"), [("text_truncation", "start"), ("text_truncation", "end"), ("task_type", "query")])  # fmt: skip
async def test_a_vendor_with_nothing_like_it_is_not_asked(
    client: httpx.AsyncClient, upstream: FakeUpstream, name: str, value: str
) -> None:
    answer = await client.post(PATH, json=native("plain", **{name: value}))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == name
    assert "provider `plain` has nothing like it" in answer.json()["error"]["message"]
    assert not [seen for seen in upstream.seen if seen.path == "/v1/embeddings"]
    assert (await client.post(PATH, json=native("plain", text_truncation="none"))).status_code == 200
    assert upstream.seen[-1].body == {"model": "m", "input": ["a", "b"]}


async def test_fields_of_the_same_names_on_openais_wire_are_the_vendors_own(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    body = {"model": "plain", "input": "a", "task_type": "retrieval.passage", "text_truncation": True}
    assert (await client.post("/v1/embeddings", json=body)).status_code == 200
    assert upstream.seen[-1].body == {**body, "model": "m"}


async def test_values_that_are_none_are_refused(client: httpx.AsyncClient) -> None:
    for name, value in (("text_truncation", "END"), ("text_truncation", "middle"), ("task_type", "passage")):
        answer = await client.post(PATH, json=native("nim", **{name: value}))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


def bedrock_request(model: str, **options: Any) -> EmbeddingsRequest:
    return to_openai_embeddings(NativeEmbeddingsRequest.model_validate(native(model, **options)))


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"input_type": "search_document"}),
        ({"text_truncation": "none"}, {"input_type": "search_document", "truncate": "NONE"}),
        ({"text_truncation": "end", "task_type": "query"}, {"input_type": "search_query", "truncate": "END"}),
        ({"text_truncation": "start", "task_type": "document"}, {"input_type": "search_document", "truncate": "START"}),
    ],
)
async def test_cohere_on_bedrock_has_words_of_its_own(options: dict[str, Any], fields: dict[str, Any]) -> None:
    fake = FakeBedrock(replies={"invoke": embedded({"embeddings": {"float": [[1.0], [2.0]]}}, 2)})
    async with serving(fake) as (fake, bedrock):
        await bedrock.embeddings(bedrock_request(COHERE, **options))
    assert [seen.body for seen in fake.seen if seen.path.endswith("/invoke")] == [{"texts": ["a", "b"], **fields}]


async def test_titan_has_none() -> None:
    fake = FakeBedrock(replies={"invoke": embedded({"embedding": [1.0], "inputTextTokenCount": 1}, 1)})
    async with serving(fake) as (_, bedrock):
        await bedrock.embeddings(bedrock_request(TITAN, text_truncation="none"))
        for name, value in (("text_truncation", "end"), ("task_type", "query")):
            with pytest.raises(InvalidRequest, match="nothing like it") as refusal:
                await bedrock.embeddings(bedrock_request(TITAN, **{name: value}))
            assert refusal.value.param == name
