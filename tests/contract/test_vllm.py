"""The vLLM adapter over real HTTP: what passes through, and what every failure of the upstream becomes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
import math
import socket
from typing import Any

import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, InferenceProvider
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled, UpstreamTimeout
from core.frame.types import JsonObject
from core.providers.openai.inference import config_of
from core.providers.openai.inference import connect as connect_row
from tests.parts import upstream as wire
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, CHUNKS, FakeUpstream, chunk, raw, running, status, stream

CHAT_PATH = "/v1/chat/completions"
TOKEN = plant("token-of-the-model-server-itself")
Config = config_of("remote::vllm")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[InferenceProvider]:
    provider = connect(upstream.url)
    yield provider
    await provider.close()


def connect(url: str, **more: Any) -> InferenceProvider:
    return connect_row("v", Config.model_validate({"url": url, "api_token": TOKEN, **more}), {})


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more})


async def collected(provider: InferenceProvider, request: ChatRequest) -> list[JsonObject]:
    return [event async for event in await provider.stream_chat_completion(request)]


async def test_unknown_parameters_reach_the_provider_and_unset_ones_do_not(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    more = {
        "tools": [{"type": "function"}],
        "response_format": {"type": "json_object"},
        "guided_choice": ["a"],
        "seed": 0,
    }
    assert await provider.chat_completion(chat(**more)) == CHAT
    assert upstream.seen[-1].path == CHAT_PATH
    assert upstream.seen[-1].body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}
    assert upstream.seen[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert upstream.seen[-1].headers["content-type"] == "application/json"


async def test_what_is_no_json_number_is_not_made_into_another_value(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    text = '{"model": "m", "messages": [{}], "temperature": NaN, "seed": 123456789012345678901234567890}'
    await provider.chat_completion(ChatRequest.model_validate_json(text))
    assert math.isnan(upstream.seen[-1].body["temperature"])
    assert upstream.seen[-1].body["seed"] == 123456789012345678901234567890


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("key", ["url", "base_url"])
async def test_the_url_may_end_in_v1_and_have_either_name(upstream: FakeUpstream, key: str, suffix: str) -> None:
    provider = connect_row("v", Config.model_validate({key: upstream.url + suffix}), {})
    await provider.completion(CompletionRequest(model="m", prompt="Hi"))
    await provider.close()
    assert upstream.seen[-1].path == "/v1/completions"


@pytest.mark.parametrize("config", [{}, {"url": "http://a", "base_url": "http://b"}, {"url": "ftp://a"}, {"ulr": "x"}])
def test_a_config_needs_exactly_one_http_url(config: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"url|pattern|ulr"):
        Config.model_validate(config)


def test_the_token_is_in_no_repr() -> None:
    config = Config.model_validate({"url": "http://a", "api_token": TOKEN})
    assert TOKEN not in repr(config) + repr(vars(connect_row("v", config, {})))


async def test_the_connection_is_used_again(upstream: FakeUpstream, provider: InferenceProvider) -> None:
    for _ in range(3):
        await provider.chat_completion(chat())
        await provider.embeddings(EmbeddingsRequest(model="m", input="Hi"))
        await collected(provider, chat(stream=True))
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_a_stream_yields_every_event_until_done(
    upstream: FakeUpstream, provider: InferenceProvider, newline: str
) -> None:
    upstream.replies[CHAT_PATH] = stream(CHUNKS, newline=newline)
    assert await collected(provider, chat(stream=True)) == CHUNKS


async def test_a_bound_on_tokens_is_set_only_where_the_request_has_none(upstream: FakeUpstream) -> None:
    provider = connect(upstream.url, max_tokens=9)
    for more, expected in (({}, 9), ({"max_tokens": 3}, 3), ({"max_completion_tokens": 4}, None)):
        await provider.chat_completion(chat(**more))
        assert upstream.seen[-1].body.get("max_tokens") == expected
    await provider.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, InvalidRequest),
        (401, UpstreamFailed),
        (403, UpstreamFailed),
        (404, UpstreamFailed),
        (408, UpstreamTimeout),
        (422, InvalidRequest),
        (429, UpstreamThrottled),
        (500, UpstreamFailed),
        (503, UpstreamFailed),
        (504, UpstreamTimeout),
        (302, UpstreamFailed),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_upstream_status_becomes_our_own(
    upstream: FakeUpstream, provider: InferenceProvider, code: int, kind: type[ApiError], *, streamed: bool
) -> None:
    upstream.replies[CHAT_PATH] = status(code, {"error": {"message": "max_tokens is too large"}}, {"retry-after": "7"})
    with pytest.raises(kind) as failure:
        await (provider.stream_chat_completion(chat(stream=True)) if streamed else provider.chat_completion(chat()))
    assert type(failure.value) is kind
    assert (failure.value.message == "max_tokens is too large") == (kind is InvalidRequest)
    assert failure.value.headers == ({"retry-after": "7"} if code in {429, 503} else {})
    assert upstream.url not in failure.value.message


async def test_a_redirect_is_not_followed_with_our_key(upstream: FakeUpstream, provider: InferenceProvider) -> None:
    upstream.replies[CHAT_PATH] = status(307, {}, {"location": "/elsewhere"})
    with pytest.raises(UpstreamFailed):
        await provider.chat_completion(chat())
    assert [seen.path for seen in upstream.seen] == [CHAT_PATH]


async def test_refused_credentials_are_said_to_be_the_stacks(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    upstream.replies[CHAT_PATH] = status(401, {"error": {"message": f"bad key {TOKEN}"}})
    with pytest.raises(UpstreamFailed, match="refused the stack's credentials") as failure:
        await provider.chat_completion(chat())
    assert TOKEN not in failure.value.message


async def test_a_message_of_the_upstream_is_quoted_in_bounds(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    upstream.replies[CHAT_PATH] = status(400, {"message": "x" * 10_000})
    with pytest.raises(InvalidRequest) as failure:
        await provider.chat_completion(chat())
    assert failure.value.message == "x" * 500


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b"<html>"])
async def test_an_answer_that_is_no_json_object_is_the_upstreams_failure(
    upstream: FakeUpstream, provider: InferenceProvider, body: bytes
) -> None:
    upstream.replies[CHAT_PATH] = raw(body)
    with pytest.raises(UpstreamFailed):
        await provider.chat_completion(chat())


async def test_a_stream_that_ends_early_is_a_failure_after_its_events(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    upstream.replies[CHAT_PATH] = stream([chunk("Hel")], done=False)
    events = await provider.stream_chat_completion(chat(stream=True))
    assert await anext(events) == chunk("Hel")
    with pytest.raises(UpstreamFailed, match="before it was complete"):
        await anext(events)


@pytest.mark.parametrize(
    ("body", "what"), [(b"data: {\n\n", "JSON"), (b"data: [1]\n\n", "object"), (b": ping\n\n", "complete")]
)
async def test_a_broken_first_event_fails_before_the_stream_opens(
    upstream: FakeUpstream, provider: InferenceProvider, body: bytes, what: str
) -> None:
    upstream.replies[CHAT_PATH] = raw(body, "text/event-stream")
    with pytest.raises(UpstreamFailed, match=what):
        await provider.stream_chat_completion(chat(stream=True))


async def test_an_error_event_in_a_stream_is_translated_by_its_code(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    upstream.replies[CHAT_PATH] = stream([chunk("Hel"), {"error": {"message": "too long", "code": 400}}])
    events = await provider.stream_chat_completion(chat(stream=True))
    await anext(events)
    with pytest.raises(InvalidRequest, match="too long"):
        await anext(events)


async def test_a_json_answer_to_a_stream_request_is_a_failure(
    upstream: FakeUpstream, provider: InferenceProvider
) -> None:
    upstream.replies[CHAT_PATH] = status(200, CHAT)
    with pytest.raises(UpstreamFailed, match="stream"):
        await provider.stream_chat_completion(chat(stream=True))


async def test_a_provider_that_hangs_is_a_timeout(upstream: FakeUpstream) -> None:
    upstream.replies[CHAT_PATH] = wire.hang
    provider = connect(upstream.url, timeout=0.05)
    with pytest.raises(UpstreamTimeout):
        await provider.chat_completion(chat())
    upstream.replies[CHAT_PATH] = stream([chunk("Hel")], hang=True)
    events = await provider.stream_chat_completion(chat(stream=True))
    await anext(events)
    with pytest.raises(UpstreamTimeout):
        await anext(events)
    await provider.close()


async def test_a_refused_connection_is_a_failure_without_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = connect(f"http://127.0.0.1:{port}")
    with pytest.raises(UpstreamFailed, match="could not be reached") as failure:
        await provider.chat_completion(chat())
    assert str(port) not in failure.value.message
    health = await provider.health()
    assert health["status"] == "Error"
    await provider.close()


async def test_closing_a_stream_cancels_the_call_upstream(upstream: FakeUpstream, provider: InferenceProvider) -> None:
    upstream.replies[CHAT_PATH] = stream([chunk("Hel")], hang=True)
    async with aclosing(await provider.stream_chat_completion(chat(stream=True))) as events:
        await anext(events)
    await asyncio.wait_for(upstream.cancelled.wait(), 5)


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(
    provider: InferenceProvider, upstream: FakeUpstream
) -> None:
    await provider.chat_completion(chat())
    for transport in upstream.connections:
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # at once, and the event loop has not heard of it
    assert await provider.chat_completion(chat()) == CHAT
    assert [seen.path for seen in upstream.seen] == [CHAT_PATH] * 2


async def test_listed_models_take_their_type_and_dimension_from_the_config(upstream: FakeUpstream) -> None:
    provider = connect(upstream.url, model_type="embedding", embedding_dimension=576)
    assert await provider.list_models() == [
        {"id": "m", "model_type": "embedding", "metadata": {"embedding_dimension": 576}, "created": 7}
    ]
    assert await provider.health() == {"status": "OK"}
    upstream.replies["/v1/models"] = status(200, {"data": [{"name": "m"}]})
    with pytest.raises(UpstreamFailed, match="without an id"):
        await provider.list_models()
    upstream.replies["/v1/models"] = status(200, {})
    with pytest.raises(UpstreamFailed, match="did not list"):
        await provider.list_models()
    await provider.close()
