"""The adapter against a server on a real socket that speaks OpenAI's API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from core.apis.inference import ChatRequest, InferenceProvider
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled
from core.resolution.external.compliance import check_compliance

from llambda_provider_acme import get_adapter_impl
from llambda_provider_acme.adapter import AcmeAdapter
from llambda_provider_acme.config import AcmeConfig

WORDS = ["Hel", "lo"]


async def chat(request: web.Request) -> web.StreamResponse:
    assert request.headers["authorization"] == "Bearer k-123456"
    body = await request.json()
    if body["model"].isdecimal():
        return web.json_response({"error": {"message": "as you wish"}}, status=int(body["model"]))
    if not body.get("stream"):
        message = {"role": "assistant", "content": "".join(WORDS)}
        return web.json_response({"object": "chat.completion", "choices": [{"index": 0, "message": message}]})
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for word in WORDS:
        event = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def models(_: web.Request) -> web.StreamResponse:
    return web.json_response({"object": "list", "data": [{"id": "small", "object": "model"}]})


@asynccontextmanager
async def adapter() -> AsyncIterator[AcmeAdapter]:
    """The adapter as llambda makes it, over a server of its own."""
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    config = AcmeConfig.model_validate({"url": address, "api_key": "k-123456"})
    made = await get_adapter_impl(config, {})
    try:
        yield made
    finally:
        await made.close()
        await runner.cleanup()


def ask(model: str = "small") -> ChatRequest:
    return ChatRequest(model=model, messages=[{"role": "user", "content": "Say hello."}])


def test_it_keeps_the_protocol() -> None:
    check_compliance("acme", AcmeAdapter(AcmeConfig(url="http://127.0.0.1:9/v1")), InferenceProvider)


def test_it_answers_a_chat() -> None:
    async def scenario() -> None:
        async with adapter() as made:
            answer = await made.chat_completion(ask())
            assert answer["choices"][0]["message"]["content"] == "Hello"

    asyncio.run(scenario())


def test_it_streams_a_chat() -> None:
    async def scenario() -> None:
        async with adapter() as made:
            request = ask().model_copy(update={"stream": True})
            chunks = [chunk async for chunk in await made.stream_chat_completion(request)]
            assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == WORDS

    asyncio.run(scenario())


def test_it_lists_its_models_and_is_well() -> None:
    async def scenario() -> None:
        async with adapter() as made:
            assert [model["id"] for model in await made.list_models()] == ["small"]
            assert await made.health() == {"status": "OK"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "error"),
    [("400", InvalidRequest), ("401", UpstreamFailed), ("404", UpstreamFailed), ("429", UpstreamThrottled)],
)
def test_a_refusal_is_one_of_the_stacks_errors_before_the_stream_begins(status: str, error: type[ApiError]) -> None:
    async def scenario() -> None:
        async with adapter() as made:
            for call in (made.chat_completion, made.stream_chat_completion):
                with pytest.raises(error):
                    await call(ask(status).model_copy(update={"stream": call == made.stream_chat_completion}))

    asyncio.run(scenario())


def test_a_server_that_is_not_there_is_said() -> None:
    async def scenario() -> None:
        made = AcmeAdapter(AcmeConfig(url="http://127.0.0.1:9/v1"))
        with pytest.raises(UpstreamFailed, match="could not be reached"):
            await made.chat_completion(ask())
        assert (await made.health())["status"] == "Error"
        await made.close()

    asyncio.run(scenario())


def test_the_key_is_not_shown() -> None:
    config = AcmeConfig.model_validate({"url": "http://127.0.0.1:9/v1", "api_key": "k-123456"})
    assert "k-123456" not in repr(config) + config.model_dump_json()
