"""Chat through Bedrock with the real SDK over its wire: what is sent, what comes back, and how connections are kept."""

import asyncio
from base64 import b64encode

import pytest

from core.apis.inference import CompletionRequest
from core.errors import InvalidRequest
from core.providers.bedrock.inference import Bedrock, Config, connect
from tests.parts.bedrock import (
    EVENTS,
    HELLO,
    KEYS,
    MODEL,
    OWN_PROFILE,
    PROFILE,
    REGION,
    FakeBedrock,
    chat,
    collected,
    events,
    frames,
    serving,
    text_of,
)
from tests.parts.upstream import in_thread, raw, status

PNG = b"\x89PNG\r\n\x1a\n"
GUARDRAIL = {"guardrailIdentifier": "gr1234567890", "guardrailVersion": "1"}


async def test_a_chat_is_one_converse_call_and_its_answer_openais() -> None:
    async with serving() as (fake, bedrock):
        answer = await bedrock.chat_completion(chat(max_tokens=5, stop="."))
    assert fake.operations() == ["converse"]
    assert fake.seen[0].body == {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 5, "stopSequences": ["."]},
    }
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert (answer["model"], answer["usage"]["total_tokens"]) == (MODEL, 5)


async def test_a_stream_is_one_converse_stream_call_with_usage_if_wanted() -> None:
    async with serving() as (fake, bedrock):
        chunks = await collected(bedrock, stream_options={"include_usage": True})
        assert all(chunk["choices"] for chunk in await collected(bedrock))
    assert fake.operations() == ["converse-stream"] * 2
    assert text_of(chunks) == "Hello"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (MODEL, "anthropic.claude-test-v1%3A0"),
        (PROFILE, "us.anthropic.claude-test-v1%3A0"),
        (
            OWN_PROFILE,
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123def456",
        ),
        ("../../guardrails?a=b#c d", "..%2F..%2Fguardrails%3Fa%3Db%23c%20d"),
    ],
)
async def test_a_model_is_named_in_the_path_and_escapes_nothing_else(name: str, path: str) -> None:
    async with serving() as (fake, bedrock):
        await bedrock.chat_completion(chat(model=name))
    assert fake.raw_paths == [f"/model/{path}/converse"]


async def test_a_call_is_signed_for_the_region() -> None:
    async with serving(region_name="eu-central-1") as (fake, bedrock):
        await bedrock.chat_completion(chat())
    signed = fake.seen[0].headers["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock/aws4_request" in signed


@pytest.mark.parametrize("name", ["guardrail_config", "guardrailConfig"])
async def test_a_guardrail_that_intervenes_is_a_content_filter(name: str) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = status(200, HELLO | {"stopReason": "guardrail_intervened"})
        fake.replies["converse-stream"] = frames(
            events([*EVENTS[:4], ("messageStop", {"stopReason": "guardrail_intervened"})])
        )
        answer = await bedrock.chat_completion(chat(**{name: GUARDRAIL}))
        streamed = GUARDRAIL | {"streamProcessingMode": "async"}
        chunks = await collected(bedrock, **{name: streamed})
    assert [seen.body["guardrailConfig"] for seen in fake.seen] == [GUARDRAIL, streamed]
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert chunks[-1]["choices"][0]["finish_reason"] == "content_filter"


async def test_what_bedrock_cannot_do_is_refused_before_it_is_asked() -> None:
    async with serving() as (fake, bedrock):
        for more, param in (({"logprobs": True}, "logprobs"), ({"top_logprobs": 3}, "top_logprobs"), ({"n": 2}, "n")):
            with pytest.raises(InvalidRequest) as refusal:
                await bedrock.chat_completion(chat(**more))
            assert refusal.value.param == param
            with pytest.raises(InvalidRequest):
                await bedrock.stream_chat_completion(chat(stream=True, **more))
        with pytest.raises(InvalidRequest, match="chat completions"):
            await bedrock.completion(CompletionRequest(model=MODEL, prompt="Hi"))
        with pytest.raises(InvalidRequest, match="chat completions"):
            await bedrock.stream_completion(CompletionRequest(model=MODEL, prompt="Hi"))
    assert fake.seen == []


async def test_an_image_is_fetched_only_from_where_it_may_be() -> None:
    fake = FakeBedrock()
    fake.replies["unknown"] = raw(PNG, "image/png")
    async with serving(fake) as (fake, bedrock):
        port = int(fake.url.rpartition(":")[2])
        parts = [{"type": "image_url", "image_url": {"url": f"{fake.url}/cat.png"}}]
        request = chat(messages=[{"role": "user", "content": parts}])
        with pytest.raises(InvalidRequest) as refusal:
            await bedrock.chat_completion(request)
        assert refusal.value.param == "messages[0].content[0].image_url.url"
        assert fake.seen == []
        fetch = {"allow_private_addresses": True, "allowed_ports": [port]}
        config = {"endpoint_url": fake.url, "region_name": REGION, **KEYS, "fetch": fetch}
        trusting = Bedrock("b", Config.model_validate(config))
        await trusting.chat_completion(request)
        assert [chunk async for chunk in await trusting.stream_chat_completion(request)]
        await trusting.close()
    assert fake.operations() == ["unknown", "converse", "unknown", "converse-stream"]
    image = {"format": "png", "source": {"bytes": b64encode(PNG).decode()}}
    for asked in fake.seen[1::2]:
        assert asked.body["messages"][0]["content"] == [{"image": image}]
    assert "authorization" not in fake.seen[0].headers


async def test_a_connection_is_used_again_and_a_closed_provider_opens_another() -> None:
    async with serving() as (fake, bedrock):
        for _ in range(3):
            await bedrock.chat_completion(chat())
            await collected(bedrock)
        assert len(fake.connections) == 1
        await bedrock.close()
        await bedrock.close()
        assert await bedrock.chat_completion(chat())
    assert len(fake.connections) == 2


async def test_calls_at_the_same_time_share_one_client() -> None:
    async with serving() as (fake, bedrock):
        answers = await asyncio.gather(*(bedrock.chat_completion(chat()) for _ in range(20)))
    assert len({answer["id"] for answer in answers}) == len(fake.seen) == 20


# What the first loop left open is not closed: that loop is gone.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:Unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_after_another_has_clients_of_its_own() -> None:
    async def twice() -> None:
        await bedrock.chat_completion(chat())
        await collected(bedrock)

    async def last() -> None:
        await twice()
        await bedrock.close()

    with in_thread(FakeBedrock()) as fake:
        bedrock = Bedrock("b", Config.model_validate({"endpoint_url": fake.url, "region_name": REGION, **KEYS}))
        asyncio.run(twice())
        asyncio.run(last())
    assert len(fake.seen) == 4


async def test_a_warmed_provider_has_opened_nothing_and_works() -> None:
    async with serving() as (fake, bedrock):
        bedrock.warm()
        assert fake.connections == set()
        await bedrock.chat_completion(chat())


def test_it_connects_with_no_io_and_shows_no_secret() -> None:
    config = Config.model_validate({**KEYS, "aws_session_token": "session-token-of-a-caller"})
    shown = repr(config) + repr(vars(connect("b", config, {})))
    assert KEYS["aws_secret_access_key"] not in shown
    assert "session-token-of-a-caller" not in shown


@pytest.mark.parametrize(
    "config",
    [
        {"aws_access_key_id": "AKIDEXAMPLE"},
        {"aws_secret_access_key": "x"},
        {"aws_session_token": "x"},
        {"role_arn": "my-role"},
        {"endpoint_url": "ftp://a"},
        {"total_max_attempts": 0},
        {"retry_mode": "often"},
        {"session_ttl": 60},
        {"read_timeout": 0},
        {"regoin_name": "us-east-1"},
        {"fetch": {"max_bytes": 0}},
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        Config.model_validate(config)
