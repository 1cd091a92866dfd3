"""What the stack adds to a request and an upstream refuses: sent once more without, remembered, and never the caller's own."""

from collections.abc import AsyncIterator
import json
from typing import Any

from aiohttp import web
import pytest

from core.apis.additions import ASK_USAGE
from core.apis.inference import ChatRequest
from core.apis.native import NativeChatRequest
from core.errors import InvalidRequest
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.services.inference.native.request import to_openai_chat
from core.services.inference.router import ask_usage
from tests.parts.upstream import CHAT, CHUNKS, FakeUpstream, Reply, running, status, stream

CHAT_PATH = "/v1/chat/completions"
FORBIDDEN = [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs"}]
REFUSALS: dict[str, tuple[int, Any]] = {
    "vllm": (400, {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options')}]"}),
    "openai": (400, {"error": {"message": "Unrecognized request argument", "param": "stream_options", "code": "unknown_parameter"}}),
    "databricks": (400, {"error_code": "BAD_REQUEST", "message": 'Bad request: json: unknown field "stream_options"\n'}),
    "mistral": (422, {"object": "error", "message": {"detail": FORBIDDEN}, "type": "invalid_request_error", "code": None}),
    "fastapi": (422, {"detail": FORBIDDEN}),
    "bedrock behind": (400, {"message": "extraneous key [include_usage] is not permitted"}),
    "azure": (400, {"error": {"message": "Validation error at #/stream_options/include_usage: Extra inputs", "code": "BadRequest"}}),
}  # fmt: skip


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


def connect(upstream: FakeUpstream, provider_type: str = "remote::vllm", **config: Any) -> OpenAICompatible:
    return OpenAICompatible("p", config_of(provider_type).model_validate({"base_url": upstream.url, **config}))


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more})


def refusing(name: str, refusal: tuple[int, Any], otherwise: Reply) -> Reply:
    """Refuses bodies that have the field, at any depth of dots."""

    async def reply(request: web.Request) -> web.StreamResponse:
        value: Any = await request.json()
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return await (otherwise if value is None else status(*refusal))(request)

    return reply


def bodies(upstream: FakeUpstream) -> list[dict[str, Any]]:
    return [seen.body for seen in upstream.seen]


async def streamed(provider: OpenAICompatible, request: ChatRequest) -> list[Any]:
    return [event async for event in await provider.stream_chat_completion(ask_usage(request, request.model))]


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
async def test_a_stream_whose_usage_may_not_be_asked_for_is_asked_for_without_from_then_on(
    upstream: FakeUpstream, refusal: tuple[int, Any]
) -> None:
    upstream.replies[CHAT_PATH] = refusing("stream_options", refusal, stream(CHUNKS))
    provider = connect(upstream)
    for _ in range(2):
        assert await streamed(provider, chat(stream=True)) == CHUNKS
    assert [body.get("stream_options") for body in bodies(upstream)] == [ASK_USAGE, None, None]
    assert await streamed(provider, chat(stream=True, model="other")) == CHUNKS
    assert len(upstream.seen) == 5  # another model's server may be another
    await provider.close()


async def test_an_error_in_the_first_event_is_such_a_refusal_too(upstream: FakeUpstream) -> None:
    error = {"error": {"message": "unknown field `stream_options`", "http_status_code": 422}}
    first = stream([error])

    async def reply(request: web.Request) -> web.StreamResponse:
        return await (first if "stream_options" in await request.json() else stream(CHUNKS))(request)

    upstream.replies[CHAT_PATH] = reply
    provider = connect(upstream)
    assert await streamed(provider, chat(stream=True)) == CHUNKS
    await provider.close()


@pytest.mark.parametrize("sent", [{"include_usage": True}, {"include_usage": True, "continuous_usage_stats": True}])
async def test_what_a_caller_sent_is_never_left_out(upstream: FakeUpstream, sent: dict[str, Any]) -> None:
    upstream.replies[CHAT_PATH] = refusing("stream_options", REFUSALS["openai"], stream(CHUNKS))
    provider = connect(upstream)
    with pytest.raises(InvalidRequest):
        await streamed(provider, chat(stream=True, stream_options=sent))
    assert [body["stream_options"] for body in bodies(upstream)] == [sent]
    await provider.close()


@pytest.mark.parametrize("sent", [{}, {"include_usage": False}, {"include_obfuscation": False}])
async def test_in_the_place_of_ours_comes_what_the_caller_sent(upstream: FakeUpstream, sent: dict[str, Any]) -> None:
    taken = refusing("stream_options.include_usage", REFUSALS["openai"], stream(CHUNKS))

    async def reply(request: web.Request) -> web.StreamResponse:
        options = (await request.json())["stream_options"]
        return await (stream(CHUNKS) if not options.get("include_usage") else taken)(request)

    upstream.replies[CHAT_PATH] = reply
    provider = connect(upstream)
    assert await streamed(provider, chat(stream=True, stream_options=sent)) == CHUNKS
    assert [body["stream_options"] for body in bodies(upstream)] == [{**sent, **ASK_USAGE}, sent]
    await provider.close()


async def test_words_that_a_caller_has_quoted_change_nothing_for_others(upstream: FakeUpstream) -> None:
    quoted = {"error": {"message": "tools: not a list: 'stream_options'", "code": "invalid"}}
    upstream.replies[CHAT_PATH] = refusing("tools", (400, quoted), stream(CHUNKS))
    provider = connect(upstream)
    with pytest.raises(InvalidRequest, match="not a list"):
        await streamed(provider, chat(stream=True, tools="stream_options"))
    assert len(upstream.seen) == 2
    await streamed(provider, chat(stream=True))
    assert bodies(upstream)[-1]["stream_options"] == ASK_USAGE
    await provider.close()


@pytest.mark.parametrize("code", [401, 404, 429, 500, 503])
async def test_only_a_refusal_of_the_request_is_answered_so(upstream: FakeUpstream, code: int) -> None:
    error = {"error": {"message": "stream_options broke the server", "param": "stream_options"}}
    upstream.replies[CHAT_PATH] = status(code, error)
    provider = connect(upstream)
    with pytest.raises(Exception, match=r"Provider|stream_options"):
        await streamed(provider, chat(stream=True))
    assert len(upstream.seen) == 1
    await provider.close()


async def test_a_callers_own_key_has_what_was_learned_and_teaches_it(upstream: FakeUpstream) -> None:
    upstream.replies[CHAT_PATH] = refusing("stream_options", REFUSALS["openai"], stream(CHUNKS))
    provider = connect(upstream)
    for _ in range(2):
        view = provider.with_provider_data({"vllm_api_token": "anybodys-key"})
        assert [event async for event in await view.stream_chat_completion(ask_usage(chat(stream=True), "m"))] == CHUNKS
    assert len(upstream.seen) == 3
    await provider.close()


async def test_databricks_sends_the_usage_unasked_and_is_never_asked(upstream: FakeUpstream) -> None:
    upstream.replies["/serving-endpoints/chat/completions"] = stream(CHUNKS)
    provider = connect(upstream, "remote::databricks", api_token="operators-own-key")
    for options in (None, {"include_usage": True}, {"include_usage": False}):
        more = {} if options is None else {"stream_options": options}
        assert await streamed(provider, chat(stream=True, **more)) == CHUNKS
        assert "stream_options" not in bodies(upstream)[-1]
    await streamed(provider, chat(stream=True, stream_options={"include_obfuscation": False}))
    assert bodies(upstream)[-1]["stream_options"] == {"include_obfuscation": False}
    await provider.close()


@pytest.mark.parametrize(
    ("provider_type", "first", "second"),
    [
        ("remote::openai", "max_completion_tokens", "max_tokens"),
        ("remote::groq", "max_tokens", "max_completion_tokens"),
    ],
)
async def test_the_operators_bound_is_kept_under_its_other_name(
    upstream: FakeUpstream, provider_type: str, first: str, second: str
) -> None:
    unsupported = {
        "error": {"message": f"Unsupported parameter: '{first}'", "param": first, "code": "unsupported_parameter"}
    }
    path = f"{'/openai' if provider_type == 'remote::groq' else ''}/v1/chat/completions"
    upstream.replies[path] = refusing(first, (400, unsupported), status(200, CHAT))
    provider = connect(upstream, provider_type, max_tokens=9, api_key="operators-own-key")
    for _ in range(2):
        assert await provider.chat_completion(chat()) == CHAT
    sent = [{name: body[name] for name in (first, second) if name in body} for body in bodies(upstream)]
    assert sent == [{first: 9}, {second: 9}, {second: 9}]
    upstream.replies[path] = status(400, unsupported)
    with pytest.raises(InvalidRequest):
        await provider.chat_completion(chat(**{first: 3}))
    assert bodies(upstream)[-1][first] == 3
    await provider.close()


async def test_each_of_several_is_given_up_once(upstream: FakeUpstream) -> None:
    def unknown(name: str) -> tuple[int, Any]:
        return 400, {"error": {"message": f"unknown: {name}"}}

    inner = refusing("response_format.json_schema.strict", unknown("strict"), stream(CHUNKS))
    upstream.replies[CHAT_PATH] = refusing(
        "stream_options", unknown("stream_options"), refusing("temperature", unknown("temperature"), inner)
    )
    provider = connect(upstream)
    request = NativeChatRequest.model_validate({
        "model_id": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
    })  # fmt: skip
    for _ in range(2):
        assert await streamed(provider, to_openai_chat(request, stream=True)) == CHUNKS
    last = bodies(upstream)[-1]
    assert len(upstream.seen) == 5
    assert last["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": {"type": "object"}},
    }
    assert not {"stream_options", "temperature"} & last.keys()
    await provider.close()


async def test_a_greedy_strategy_that_the_caller_named_is_the_callers(upstream: FakeUpstream) -> None:
    refusal = 400, {"error": {"message": "temperature does not support 0.0 with this model", "param": "temperature"}}
    upstream.replies[CHAT_PATH] = refusing("temperature", refusal, status(200, CHAT))
    provider = connect(upstream)
    greedy = {"strategy": {"type": "greedy"}}
    body = {"model_id": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert await provider.chat_completion(to_openai_chat(NativeChatRequest.model_validate(body))) == CHAT
    with pytest.raises(InvalidRequest):
        await provider.chat_completion(
            to_openai_chat(NativeChatRequest.model_validate({**body, "sampling_params": greedy}))
        )
    assert json.dumps(bodies(upstream)[-1]).count("temperature") == 1
    await provider.close()
