"""What providers say of their upstreams, over real HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.apis.discovery import Describes, Description
from core.errors import ProviderUnavailable, UpstreamFailed
from core.providers.bedrock import inference as models
from core.providers.bedrock import safety as guardrails
from core.providers.bedrock.guardrail_config import Config as GuardrailConfig
from core.providers.nvidia import safety as nvidia
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.providers.sambanova import safety as sambanova
from tests.parts.bedrock import (
    COHERE,
    GUARDRAIL,
    KEYS,
    MODEL,
    OWN_PROFILE,
    PROFILE,
    REGION,
    TITAN,
    FakeBedrock,
    refusal,
)
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, Reply, raw, running, status

KEY = plant("operators-key-that-asks-what-there-is")
LISTED = [
    {"id": "llama", "object": "model", "created": 7, "max_model_len": 8192, "parent": None},
    {"id": "sql", "object": "model", "created": 8, "max_model_len": None, "parent": "llama"},
]
OFFERED = [
    {"id": "llama", "model_type": "llm", "context_length": 8192},
    {"id": "sql", "model_type": "llm", "adapter_of": "llama"},
]


@asynccontextmanager
async def remote(
    provider_type: str, replies: dict[str, Reply] | None = None, path: str = "", **config: Any
) -> AsyncGenerator[tuple[FakeUpstream, OpenAICompatible]]:
    async with running(FakeUpstream(models=LISTED, replies=replies or {})) as upstream:
        settings = config_of(provider_type).model_validate({"url": upstream.url + path, **config})
        provider = OpenAICompatible("here", settings)
        try:
            yield upstream, provider
        finally:
            await provider.close()


async def test_vllm_says_its_version_its_models_their_context_and_its_adapters() -> None:
    replies = {"/version": status(200, {"version": "0.11.0"})}
    async with remote("remote::vllm", replies, api_token=KEY) as (upstream, provider):
        assert await provider.describe() == {"version": "0.11.0", "models": OFFERED}
    assert [seen.path for seen in upstream.seen] == ["/v1/models", "/version"]
    assert {seen.headers["authorization"] for seen in upstream.seen} == {f"Bearer {KEY}"}


async def test_behind_a_path_its_version_is_beside_its_api() -> None:
    replies = {"/gpu/version": status(200, {"version": "1"}), "/gpu/v1/models": status(200, {"data": LISTED})}
    async with remote("remote::vllm", replies, path="/gpu/v1/") as (_, provider):
        assert (await provider.describe()).get("version") == "1"


async def test_ollama_says_its_version_too() -> None:
    async with remote("remote::ollama", {"/api/version": status(200, {"version": "0.5.1"})}) as (_, provider):
        assert await provider.describe() == {"version": "0.5.1", "models": OFFERED}


async def test_others_are_asked_for_their_models_alone() -> None:
    replies = {"/openai/v1/models": status(200, {"data": LISTED})}
    async with remote("remote::groq", replies, api_key=KEY) as (upstream, provider):
        assert await provider.describe() == {"models": OFFERED}
    assert [seen.path for seen in upstream.seen] == ["/openai/v1/models"]


@pytest.mark.parametrize(
    "reply",
    [
        status(404, {"detail": "Not Found"}),
        status(500),
        raw(b"<html>"),
        status(200, {"version": 7}),
        status(200, ["1"]),
    ],
    ids=["absent", "broken", "no JSON", "no text", "no mapping"],
)
async def test_a_stand_in_that_says_no_version_still_lists_its_models(reply: Reply) -> None:
    async with remote("remote::vllm", {"/version": reply}) as (_, provider):
        assert await provider.describe() == {"models": OFFERED}


async def test_only_the_models_that_may_be_called_are_described() -> None:
    async with remote("remote::ollama", allowed_models=["sql"]) as (_, provider):
        assert await provider.describe() == {"models": OFFERED[1:]}


async def test_a_server_that_is_down_is_a_failure_that_says_so() -> None:
    async with remote("remote::vllm") as (upstream, provider):
        upstream.replies["/v1/models"] = status(503)
        with pytest.raises(UpstreamFailed, match="503"):
            await provider.describe()
    provider = OpenAICompatible("here", config_of("remote::vllm").model_validate({"url": upstream.url}))
    with pytest.raises(UpstreamFailed, match="could not be reached"):
        await provider.describe()
    await provider.close()


async def test_without_a_key_that_is_needed_nobody_is_asked() -> None:
    provider = OpenAICompatible("here", config_of("remote::openai").model_validate({"url": "http://127.0.0.1:1"}))
    with pytest.raises(ProviderUnavailable, match="It has no key of its own"):
        await provider.describe()
    await provider.close()


@asynccontextmanager
async def bedrock(fake: FakeBedrock, **config: Any) -> AsyncGenerator[tuple[Describes, Describes]]:
    """Its inference provider and its safety provider."""
    async with running(fake):
        given = {"endpoint_url": fake.url, "region_name": REGION, "total_max_attempts": 1, **KEYS, **config}
        inference = models.Bedrock("b", models.Config.model_validate(given))
        safety = guardrails.BedrockGuardrails("g", GuardrailConfig.model_validate(given))
        try:
            yield inference, safety
        finally:
            await inference.close()
            await safety.close()


async def test_bedrock_says_its_region_and_what_may_be_called_there() -> None:
    listing = {"guardrails": [{"id": GUARDRAIL, "name": "mine", "version": "DRAFT"}]}
    async with bedrock(FakeBedrock(replies={"list-guardrails": status(200, listing)})) as (inference, safety):
        assert await inference.describe() == {
            "region": REGION,
            "credentials": True,
            "models": [
                {"id": MODEL, "model_type": "llm"},
                {"id": TITAN, "model_type": "embedding"},
                {"id": COHERE, "model_type": "embedding"},
                {"id": PROFILE, "model_type": "llm", "profile_of": MODEL},
                {"id": f"eu.{MODEL}", "model_type": "llm", "profile_of": MODEL},
                {"id": OWN_PROFILE, "model_type": "llm", "profile_of": MODEL},
            ],
        }
        assert await safety.describe() == {"region": REGION, "credentials": True, "guardrails": [GUARDRAIL]}


async def test_bedrock_without_credentials_says_so_and_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    fake, nothing = FakeBedrock(), dict.fromkeys(KEYS)
    async with bedrock(fake, **nothing) as both:
        for provider in both:
            described: Description = await provider.describe()
            assert (described.get("region"), described.get("credentials")) == (REGION, False)
            assert "no AWS credentials were found" in described.get("error", "")
            assert "models" not in described
    assert fake.seen == []


async def test_credentials_that_bedrock_refuses_are_there_all_the_same() -> None:
    denied: dict[str, Reply] = dict.fromkeys(
        ["list-foundation-models", "list-inference-profiles", "list-guardrails"], refusal(403, "AccessDeniedException")
    )
    async with bedrock(FakeBedrock(replies=denied)) as both:
        for provider in both:
            described = await provider.describe()
            assert (described.get("region"), described.get("credentials")) == (REGION, True)
            assert "refused the stack's credentials" in described.get("error", "")
            assert KEYS["aws_access_key_id"] not in str(described)


@pytest.mark.parametrize(
    ("reply", "described"),
    [
        (
            {"data": [{"name": "self-check", "namespace": "default"}, {"id": 1}, "x", {"name": 7}]},
            {"guardrails": ["self-check"]},
        ),
        ({"data": []}, {"guardrails": []}),
        ([{"id": "self-check"}], {}),
    ],
)
async def test_nemo_guardrails_names_its_configurations(reply: Any, described: Description) -> None:
    async with running(FakeUpstream(replies={"/v1/guardrail/configs": status(200, reply)})) as upstream:
        provider = nvidia.NemoGuardrails("n", nvidia.Config(guardrails_service_url=upstream.url))
        assert await provider.describe() == described
        await provider.close()


async def test_sambanovas_shields_are_described_by_its_models() -> None:
    async with running(FakeUpstream(models=LISTED)) as upstream:
        config = sambanova.Config.model_validate({"url": upstream.url, "api_key": KEY})
        provider = sambanova.SambaNovaGuard("s", config)
        assert await provider.describe() == {"models": OFFERED}
        await provider.close()
