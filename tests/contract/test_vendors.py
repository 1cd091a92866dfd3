"""Servers and vendors that speak OpenAI's API in ways of their own, with the stack in front: what callers get is OpenAI's."""

from collections.abc import AsyncIterator
import json
from typing import Any

import httpx
import pytest

from tests.parts.live_stack import client_of
from tests.parts.scripted import USAGE
from tests.parts.upstream import FakeUpstream
from tests.parts.vendors.databricks import Databricks
from tests.parts.vendors.double import KEY, Vendor, double
from tests.parts.vendors.llama_cpp import LlamaCpp, OldLlamaCpp
from tests.parts.vendors.openrouter import OpenRouter
from tests.parts.vendors.tgi import OldTgi, Tgi
from tests.parts.vendors.vllm import StrictVllm, Vllm

VENDORS = [Vllm(), StrictVllm(), Tgi(), OldTgi(), LlamaCpp(), OldLlamaCpp(), Databricks(), OpenRouter()]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(params=VENDORS, ids=lambda vendor: type(vendor).__name__)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    vendor: Vendor = request.param
    return vendor


@pytest.fixture
async def upstream(vendor: Vendor) -> AsyncIterator[FakeUpstream]:
    async with double(vendor) as upstream:
        yield upstream


@pytest.fixture
async def client(vendor: Vendor, upstream: FakeUpstream, tmp_path: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(document(vendor, upstream.url, tmp_path)) as client:
        yield client


def document(vendor: Vendor, url: str, folder: Any) -> dict[str, Any]:
    config = {"base_url": url + (vendor.root if vendor.provider_type == "remote::openai-compatible" else "")}
    entry = {"provider_id": "v", "provider_type": vendor.provider_type, "config": config | {key_name(vendor): KEY}}
    store = {"type": "sqlite", "db_path": f"{folder}/registry.db"}
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["inference"],
        "metadata_store": store,
        "providers": {"inference": [entry]},
        "models": [{"model_id": "large", "provider_id": "v", "provider_model_id": "large"}],
    }


def key_name(vendor: Vendor) -> str:
    return "auth_credential" if vendor.provider_type == "remote::llama-cpp-server" else key_of[vendor.provider_type]


key_of = {
    "remote::vllm": "api_token",
    "remote::tgi": "api_token",
    "remote::databricks": "api_token",
    "remote::openai-compatible": "api_key",
}


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "v/small", "messages": [{"role": "user", "content": text}], **more}


async def chunks(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post("/v1/chat/completions", json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if line]
    assert lines[-1] == "[DONE]" or "error" in lines[-1]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def test_a_chat_is_answered(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/v1/chat/completions", json=asked("hi"))).json()
    assert answer["choices"][0]["message"]["content"] == "|hi|None"
    assert "tool_calls" not in answer["choices"][0]["message"]
    assert answer["usage"].items() >= USAGE.items()
    assert answer["model"] == "v/small"


async def test_a_chat_is_streamed(client: httpx.AsyncClient) -> None:
    events = await chunks(client, asked("hi"))
    assert text_of(events) == "|hi|None"
    assert not any("tool_calls" in choice["delta"] for event in events for choice in event["choices"])
    assert not any(event.get("usage") for event in events)


async def test_the_usage_is_had_by_who_asks_for_it_or_the_upstreams_refusal(
    client: httpx.AsyncClient, vendor: Vendor
) -> None:
    body = asked("hi", stream=True, stream_options={"include_usage": True})
    answer = await client.post("/v1/chat/completions", json=body)
    if isinstance(vendor, StrictVllm):  # what a caller sent is not left out for it
        assert answer.status_code == 400
        assert "stream_options" in answer.text
    else:
        assert [event["usage"] for event in await chunks(client, body) if event.get("usage")][
            -1
        ].items() >= USAGE.items()


async def test_tools_are_called(client: httpx.AsyncClient) -> None:
    body = asked("Paris and Oslo", tools=[TOOL])
    message = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"]
    arguments = [json.loads(call["function"]["arguments"]) for call in message["tool_calls"]]
    assert [argument["city"] for argument in arguments] == ["Paris", "Oslo"]
    pieces: dict[int, str] = {}
    for event in await chunks(client, body):
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                pieces[call["index"]] = pieces.get(call["index"], "") + call["function"]["arguments"]
    assert [json.loads(piece)["city"] for piece in pieces.values()] == ["Paris", "Oslo"]


async def test_a_bound_under_either_name_reaches_the_vendor_under_one_that_it_takes(
    client: httpx.AsyncClient, vendor: Vendor, upstream: FakeUpstream
) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = await client.post("/v1/chat/completions", json=asked("hi", **{name: 9}))
        if isinstance(vendor, StrictVllm) and name == "max_completion_tokens":  # which its row cannot know
            assert answer.status_code == 400
            continue
        assert answer.json()["choices"][0]["message"]["content"] == "|hi|9"
        sent = {"max_tokens" if isinstance(vendor, Databricks) else name}
        assert sent == {field for field in upstream.seen[-1].body if field.startswith("max_")}
