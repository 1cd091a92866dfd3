"""Servers and vendors that speak OpenAI's API in ways of their own, with the stack in front: what callers get is OpenAI's."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.providers.openai.rows import ROWS
from tests.parts.live_stack import client_of
from tests.parts.scripted import USAGE
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream
from tests.parts.vendors.databricks import Databricks
from tests.parts.vendors.double import KEY, Vendor, double
from tests.parts.vendors.llama_cpp import LlamaCpp, OldLlamaCpp
from tests.parts.vendors.openrouter import OpenRouter
from tests.parts.vendors.tgi import OldTgi, Tgi
from tests.parts.vendors.vllm import StrictVllm, Vllm

VENDORS = [Vllm(), StrictVllm(), Tgi(), OldTgi(), LlamaCpp(), OldLlamaCpp(), Databricks(), OpenRouter()]
WRONG = plant("key-that-the-vendor-does-not-know")
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
async def client(vendor: Vendor, upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(document(vendor, upstream.url, tmp_path)) as client:
        yield client


def document(vendor: Vendor, url: str, folder: Path) -> dict[str, Any]:
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
    return ROWS[vendor.provider_type].keys[0]


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


async def test_the_usage_is_had_by_who_asks_for_it_where_it_can_be_had(
    client: httpx.AsyncClient, vendor: Vendor
) -> None:
    if isinstance(vendor, StrictVllm | OldTgi):
        return
    events = await chunks(client, asked("hi", stream_options={"include_usage": True}))
    assert [event["usage"] for event in events if event.get("usage")][-1].items() >= USAGE.items()


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


async def test_what_is_too_long_is_the_callers_mistake_streamed_or_not(client: httpx.AsyncClient) -> None:
    for streamed in (False, True):
        answer = await client.post("/v1/chat/completions", json=asked("fail: too_long", stream=streamed))
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if "model" in vendor.errors], indirect=True)
async def test_a_model_that_the_server_has_not_is_the_callers_mistake(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json=asked("hi") | {"model": "large"})
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["type"] != "server_error"


async def test_a_server_that_is_busy_is_no_mistake_of_the_callers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json=asked("fail: busy"))
    assert answer.status_code in {429, 502, 503}


async def test_a_stream_that_breaks_ends_with_an_error_and_no_done(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json=asked("break: it goes on", stream=True))
    *_, last = [line for line in answer.text.split("\n") if line.startswith("data: {")]
    assert "error" in json.loads(last.removeprefix("data: "))
    assert "choices" not in json.loads(last.removeprefix("data: "))
    assert "it go" in "".join(
        choice["delta"].get("content") or ""
        for line in answer.text.split("\n")
        if line.startswith("data: {")
        for choice in json.loads(line.removeprefix("data: ")).get("choices", ())
    )


async def test_its_models_are_listed_with_their_context(client: httpx.AsyncClient, vendor: Vendor) -> None:
    models = (await client.get("/v1/models")).json()["data"]
    assert "v/small" in [model["identifier"] for model in models]
    upstream = (await client.get("/v1/inspect/environment")).json()["upstreams"][0]
    context = {"remote::vllm": 8192, "remote::llama-cpp-server": 4096, "remote::openai-compatible": 131072}
    assert upstream["models"][0].get("context_length") == context.get(vendor.provider_type)


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if "key" in vendor.errors], indirect=True)
async def test_a_wrong_key_of_the_stacks_is_named_to_the_operator_and_not_to_callers(
    vendor: Vendor, upstream: FakeUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = document(vendor, upstream.url, tmp_path)
    wrong["providers"]["inference"][0]["config"][key_name(vendor)] = WRONG
    async with client_of(wrong) as client:
        answer = await client.post("/v1/chat/completions", json=asked("hi") | {"model": "large"})
        health = (await client.get("/v1/providers/v")).json()["health"]
    assert answer.status_code == 502
    assert "refused the stack's credentials" in answer.json()["error"]["message"]
    assert "check the key in its config" not in answer.text
    assert health["status"] == "Error"
    assert "check the key in its config" in health["message"]
    assert "check the key in its config" in caplog.text
    assert WRONG not in caplog.text + health["message"] + answer.text
