"""What Bedrock's control plane lists as the models that a provider serves, over its wire."""

from typing import Any

import pytest

from core.apis.inference import EmbeddingsRequest
from core.errors import NotFound, UpstreamFailed
from tests.parts.bedrock import (
    COHERE,
    MODEL,
    OWN_PROFILE,
    PROFILE,
    TITAN,
    FakeBedrock,
    chat,
    model,
    profile,
    refusal,
    serving,
)
from tests.parts.upstream import hang, status

FACTS = {
    "name": MODEL.title(),
    "provider_name": "Anthropic",
    "input_modalities": ["TEXT"],
    "output_modalities": ["TEXT"],
    "streaming": True,
}


async def listed(models: list[dict[str, Any]], profiles: list[dict[str, Any]]) -> list[str]:
    async with serving(FakeBedrock(models=models, profiles=profiles)) as (_, bedrock):
        return [served["id"] for served in await bedrock.list_models()]


async def test_models_and_profiles_are_listed_with_what_the_control_plane_says() -> None:
    async with serving() as (fake, bedrock):
        served = {each["id"]: each for each in await bedrock.list_models()}
    assert list(served) == [MODEL, TITAN, COHERE, PROFILE, f"eu.{MODEL}", OWN_PROFILE]
    assert [each["model_type"] for each in served.values()] == ["llm", "embedding", "embedding", "llm", "llm", "llm"]
    assert served[MODEL]["metadata"] == FACTS
    assert served[PROFILE]["metadata"] == FACTS | {"profile": PROFILE, "model_id": MODEL}
    assert served[OWN_PROFILE]["metadata"]["model_id"] == MODEL
    assert fake.operations().count("list-inference-profiles") == 3, "two pages of AWS's own, and one of ours"


async def test_what_cannot_be_called_by_its_id_is_left_out() -> None:
    models = [
        model("a.legacy", "A", modelLifecycle={"status": "LEGACY"}),
        model("a.provisioned", "A", inferenceTypesSupported=["PROVISIONED"]),
        model("a.profiled", "A", inferenceTypesSupported=["INFERENCE_PROFILE"]),
        model("a.picture", "A", "IMAGE"),
        model("a.talks", "A", "SPEECH", outputModalities=["SPEECH", "TEXT"]),
        model("a.silent", "A", outputModalities=[]),
    ]
    profiles = [
        profile("us.a.profiled", "SYSTEM_DEFINED", "a.profiled"),
        profile("eu.a.unknown", "SYSTEM_DEFINED", "a.unknown"),
        profile("us.a.picture", "SYSTEM_DEFINED", "a.picture"),
        profile("us.a.off", "SYSTEM_DEFINED", "a.profiled") | {"status": "INACTIVE"},
        profile("us.a.empty", "SYSTEM_DEFINED"),
    ]
    assert await listed(models, profiles) == ["a.talks", "us.a.profiled"]


async def test_an_id_says_nothing_about_its_model() -> None:
    models = [model("cohere.embed-but-chats", "Meta"), model("anthropic.claude-but-embeds", "Amazon", "EMBEDDING")]
    async with serving(FakeBedrock(models=models, profiles=[])) as (_, bedrock):
        assert [each["model_type"] for each in await bedrock.list_models()] == ["llm", "embedding"]


async def test_a_region_with_nothing_lists_nothing() -> None:
    assert await listed([], []) == []


async def test_health_asks_one_question_and_says_what_is_wrong() -> None:
    async with serving(read_timeout=0.2) as (fake, bedrock):
        assert await bedrock.health() == {"status": "OK"}
        assert fake.operations() == ["list-foundation-models"]
        fake.replies["list-foundation-models"] = refusal(403, "AccessDeniedException", "no such right")
        assert await bedrock.health() == {
            "status": "Error",
            "message": "Provider `b` refused the stack's credentials.",
        }
        fake.replies["list-foundation-models"] = hang
        assert (await bedrock.health())["status"] == "Error"


@pytest.mark.parametrize("operation", ["list-foundation-models", "list-inference-profiles"])
async def test_a_provider_that_may_not_list_still_chats(operation: str) -> None:
    async with serving() as (fake, bedrock):
        fake.replies[operation] = refusal(403, "AccessDeniedException")
        with pytest.raises(UpstreamFailed, match="refused the stack's credentials"):
            await bedrock.list_models()
        assert (await bedrock.chat_completion(chat()))["choices"]


@pytest.mark.parametrize("body", [{}, {"modelSummaries": None}, {"other": []}])
async def test_a_listing_that_says_nothing_lists_nothing(body: dict[str, Any]) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["list-foundation-models"] = fake.replies["list-inference-profiles"] = status(200, body)
        assert await bedrock.list_models() == []


async def test_an_embedding_model_is_looked_up_once_and_unknown_ones_are_not_found() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = status(200, {"embedding": [0.5]})
        for _ in range(3):
            await bedrock.embeddings(EmbeddingsRequest(model=TITAN, input="a"))
        assert fake.operations().count("list-foundation-models") == 1
        with pytest.raises(NotFound, match="lists no embedding model") as failure:
            await bedrock.embeddings(EmbeddingsRequest(model=MODEL, input="a"))
    assert failure.value.param == "model"
