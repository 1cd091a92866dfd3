"""A request's own time is what it spent here: not the wait for an upstream that hangs, is silent or cannot be reached."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.web.observed import RequestRecord
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream, chunk, hang, running, stream

CHAT = "/v1/chat/completions"
PATIENCE = 0.3
NATIVE = {"model_id": "m", "messages": [{"role": "user", "content": "hi"}]}
EMBED = {"model": "embed", "input": "hi"}


class World:
    """Everything that the upstream is asked hangs; the provider waits for `PATIENCE`."""

    def __init__(self, upstream: FakeUpstream, client: httpx.AsyncClient, records: list[RequestRecord]) -> None:
        self.upstream = upstream
        self._client = client
        self._records = records

    async def ask(self, method: str, path: str, body: Any = None) -> RequestRecord:
        with suppress(httpx.ReadTimeout):
            await self._client.request(method, path, json=body)
        return self._records[-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    upstream = FakeUpstream()
    upstream.replies = dict.fromkeys((CHAT, "/v1/embeddings", "/v1/models", "/version"), hang)
    async with running(upstream):
        config = {"url": upstream.url, "timeout": PATIENCE}
        model = {"provider_id": "p", "provider_model_id": "m"}
        embedding = {"model_type": "embedding", "metadata": {"embedding_dimension": 1}}
        document = {
            "image_name": "t",
            "apis": ["inference"],
            "providers": {"inference": [{"provider_id": "p", "provider_type": "remote::vllm", "config": config}]},
            "models": [{"model_id": "m", **model}, {"model_id": "embed", **model, **embedding}],
            "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        }
        records: list[RequestRecord] = []
        async with client_over(interpret(document, {}), records.append) as client:
            yield World(upstream, client, records)


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CHAT, chat()),
        ("POST", CHAT, chat(stream=True)),
        ("POST", "/v1/embeddings", EMBED),
        ("POST", "/v1/inference/chat-completion", NATIVE),
        ("GET", "/v1/models", None),
        ("GET", "/v1/providers", None),
        ("GET", "/v1/providers/p", None),
        ("GET", "/v1/inspect/environment", None),
    ],
)
async def test_waiting_for_an_upstream_that_hangs_is_not_our_own(
    world: World, method: str, path: str, body: Any
) -> None:
    record = await world.ask(method, path, body)
    assert record.observed.upstream.seconds >= PATIENCE * 0.95
    assert record.own <= record.seconds - PATIENCE * 0.95


async def test_waiting_within_a_stream_is_not_our_own(world: World) -> None:
    world.upstream.replies[CHAT] = stream([chunk("a")], hang=True)
    record = await world.ask("POST", CHAT, chat(stream=True))
    assert (record.status, record.streamed) == (504, True)
    assert record.own <= record.seconds - PATIENCE * 0.95


async def test_what_is_remembered_is_not_waited_for(world: World) -> None:
    await world.ask("GET", "/v1/models")
    assert not (await world.ask("GET", "/v1/models")).observed.upstream.seconds
