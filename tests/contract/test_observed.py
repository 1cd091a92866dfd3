"""What a whole stack says of its requests, over a real upstream: who served them, how it ended; never what was said, nor a secret."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
from pathlib import Path
import re
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.runtime.log_lines import emf, readable
from core.web.observed import RequestRecord
from tests.contract.test_serve import write
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import CHUNKS, FakeUpstream, chunk, hang, raw, status, stream

CHAT = "/v1/chat/completions"
PROMPT, ANSWER = plant("prompt-that-stays-here"), plant("answer-that-stays-here")
TOKEN, KEY, STRANGE = plant("token-of-the-caller"), plant("key-of-the-operator"), plant("header-of-the-caller")
BROUGHT, MODEL = plant("key-that-a-caller-brought"), "model-that-there-is-not"  # which an error may name
CALLER = "caller-with-a-name"
SECRETS = (CALLER, PROMPT, ANSWER, TOKEN, KEY, STRANGE, BROUGHT, MODEL)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
GUARD = "llama-guard:3b"
SAID = {"message": {"role": "assistant", "content": ANSWER}, "index": 0, "finish_reason": "stop"}
SAFE = status(200, {"choices": [{"message": {"content": "safe"}}]})
USED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


@dataclass
class World:
    """`p` serves `m`, behind it `q`; `g` is the guard's. Who calls with a token that begins with `bad` is refused."""

    upstream: FakeUpstream
    second: FakeUpstream
    client: httpx.AsyncClient
    records: list[RequestRecord] = field(default_factory=list[RequestRecord])

    async def chat(self, model: str = "mine", **more: Any) -> RequestRecord:
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
        return await self.ask("POST", CHAT, json=body)

    async def ask(self, method: str, path: str, **more: Any) -> RequestRecord:
        """The record, of a request with all that must not be logged."""
        brought = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": BROUGHT})}
        headers = {"authorization": f"Bearer {TOKEN}", "x-strange": STRANGE, **brought, **more.pop("headers", {})}
        with suppress(httpx.ReadTimeout):
            answer = await self.client.request(method, path, headers=headers, **more)
            assert answer.headers["x-request-id"] == self.records[-1].request_id
        return self.records[-1]


def provider(name: str, upstream: FakeUpstream) -> dict[str, Any]:
    config = {"url": f"{upstream.url}/v1", "api_token": KEY}
    return {"provider_id": name, "provider_type": "remote::vllm", "config": config}


def document(first: FakeUpstream, second: FakeUpstream, folder: Path) -> dict[str, Any]:
    other = {"provider_id": "q", "provider_model_id": "n", "priority": 1}
    mine = {"provider_id": "p", "provider_model_id": "m", "model_type": "llm"}
    return {
        "image_name": "t",
        "apis": ["inference", "safety"],
        "providers": {
            "inference": [provider("p", first), provider("q", second)],
            "safety": [{"provider_id": "guard", "provider_type": "inline::llama-guard", "config": {}}],
        },
        "models": [
            mine | {"model_id": "mine", "metadata": {"targets": [other]}},
            mine | {"model_id": "guarded", "provider_model_id": "strict", "metadata": {"input_shields": [GUARD]}},
            mine | {"model_id": GUARD, "provider_id": "q", "provider_model_id": "g"},
            mine | {"model_id": "embed", "model_type": "embedding", "metadata": {"embedding_dimension": 2}},
        ],
        "shields": [{"shield_id": GUARD, "provider_id": "guard"}],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        "server": {"auth": {"provider_type": "custom", "config": {"endpoint": f"{first.url}/auth"}}},
    }


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    vouched = {"principal": CALLER, "attributes": {"roles": ["admin"]}}
    said = {CHAT: status(200, {"choices": [SAID], "usage": USED}), "/auth": status(200, vouched)}
    first, second = FakeUpstream(replies=said), FakeUpstream(models=[{"id": "n"}, {"id": "g"}])
    async with upstreams.running(first), upstreams.running(second):
        records = list[RequestRecord]()
        async with client_over(interpret(document(first, second, tmp_path), {}), records.append) as client:
            yield World(first, second, client, records)
    lines = [emf(each, "f", datetime.now(UTC)) + readable(each) for each in records]
    assert lines
    assert not [line for line in lines for secret in SECRETS if secret in line]


def facts(record: RequestRecord) -> tuple[Any, ...]:
    observed = record.observed
    return record.status, observed.operation, observed.model, observed.provider, observed.provider_model


async def test_a_chat_is_told_of_with_who_served_it_and_what_it_took(world: World) -> None:
    told = await world.chat()
    assert facts(told) == (200, "chat_completion", "mine", "p", "m")
    assert (told.observed.api, told.streamed) == ("inference", False)
    assert told.observed.tokens == {"prompt": 5, "completion": 2}
    assert 0 < told.observed.upstream.seconds < told.seconds
    assert 0 < told.own < told.seconds


async def test_a_model_has_the_name_that_it_was_asked_for_by(world: World) -> None:
    world.second.replies[CHAT] = SAFE  # `guarded` is a name of it too
    assert facts(await world.chat("p/m")) == (200, "chat_completion", "p/m", "p", "m")


async def test_what_a_caller_asks_for_in_vain_is_no_model_of_any_line(world: World) -> None:
    told = await world.chat(MODEL)
    assert facts(told) == (404, "chat_completion", "", "", "")
    assert not told.observed.upstream.seconds


async def test_a_stream_is_told_of_at_its_end(world: World) -> None:
    world.upstream.replies[CHAT] = stream(CHUNKS)
    told = await world.chat(stream=True)
    assert facts(told) == (200, "chat_completion", "mine", "p", "m")
    assert told.streamed
    assert told.first_byte is not None
    assert told.first_byte <= told.seconds
    assert told.observed.tokens == {"prompt": 1, "completion": 2}


async def test_a_stream_that_breaks_off_has_the_failures_status(world: World) -> None:
    world.upstream.replies[CHAT] = stream([chunk(ANSWER)], done=False)
    assert facts(await world.chat(stream=True)) == (502, "chat_completion", "mine", "p", "m")


async def test_the_target_that_answered_is_the_one_that_is_told_of(world: World) -> None:
    world.upstream.replies[CHAT] = status(500, {"error": {"message": "out of memory"}})
    assert facts(await world.chat()) == (200, "chat_completion", "mine", "q", "n")
    world.second.replies[CHAT] = status(429, {"error": {"message": "too many"}})
    assert facts(await world.chat()) == (429, "chat_completion", "mine", "q", "n")


async def test_a_provider_that_cannot_be_understood_is_a_502(world: World) -> None:
    world.upstream.replies[CHAT] = world.second.replies[CHAT] = raw(ANSWER.encode())
    assert facts(await world.chat()) == (502, "chat_completion", "mine", "q", "n")


async def test_embeddings_and_a_native_batch_are_counted_whole(world: World) -> None:
    told = await world.ask("POST", "/v1/embeddings", json={"model": "embed", "input": PROMPT})
    assert facts(told) == (200, "embeddings", "embed", "p", "m")
    batch = [[{"role": "user", "content": PROMPT}]] * 3
    path = "/v1/inference/batch-chat-completion"
    told = await world.ask("POST", path, json={"model_id": "mine", "messages_batch": batch})
    assert facts(told) == (200, "native_batch_chat_completion", "mine", "p", "m")
    assert told.observed.tokens == {"prompt": 15, "completion": 6}
    assert told.observed.upstream.seconds < told.seconds


async def test_a_shield_is_told_of_and_judging_is_waiting_for_a_provider(world: World) -> None:
    world.second.replies[CHAT] = SAFE
    body = {"shield_id": GUARD, "messages": [{"role": "user", "content": PROMPT}], "params": {}}
    told = await world.ask("POST", "/v1/safety/run-shield", json=body)
    assert facts(told) == (200, "run_shield", GUARD, "guard", GUARD)
    assert 0 < told.observed.upstream.seconds < told.seconds
    told = await world.ask("POST", "/v1/moderations", json={"input": [PROMPT, PROMPT]})
    assert facts(told) == (200, "moderate", GUARD, "guard", GUARD)
    assert 0 < told.observed.upstream.seconds < told.seconds
    assert facts(await world.chat("guarded")) == (200, "chat_completion", "guarded", "p", "strict")
    world.second.replies[CHAT] = status(200, {"choices": [{"message": {"content": "unsafe\nS1"}}]})
    told = await world.chat("guarded")
    assert facts(told) == (200, "chat_completion", "guarded", "", "")
    assert told.observed.upstream.seconds > 0


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v1/models", "list_models"),
        ("GET", "/v1/models/mine", "get_model"),
        ("GET", "/v1/shields", "list_shields"),
        ("GET", "/v1/health", "health"),
        ("HEAD", "/v1/health", "health"),
        ("DELETE", "/v1/models/nothing", "unregister_model"),
        ("POST", "/v1/models", "register_model"),
    ],
)
async def test_every_other_operation_has_its_name_and_no_provider(
    world: World, method: str, path: str, operation: str
) -> None:
    told = await world.ask(method, path)
    assert facts(told)[1:] == (operation, "", "", "")
    assert (told.method, told.path) == (method, path)


async def test_what_is_refused_at_the_door_is_told_of(world: World) -> None:
    world.upstream.replies["/auth"] = status(401, {"message": TOKEN})
    assert facts(await world.chat()) == (401, "chat_completion", "", "", "")
    assert facts(await world.ask("POST", CHAT, content=b"{")) == (401, "chat_completion", "", "", "")


async def test_what_has_no_route_has_no_operation(world: World) -> None:
    assert facts(await world.ask("GET", "/v1/nothing")) == (404, "", "", "", "")
    assert facts(await world.ask("DELETE", CHAT)) == (405, "", "", "", "")


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_trace_is_handed_to_the_provider_and_nothing_else_of_the_caller(
    world: World, *, streamed: bool
) -> None:
    if streamed:
        world.upstream.replies[CHAT] = stream(CHUNKS)
    headers = {"traceparent": TRACEPARENT, "tracestate": "a=1", "baggage": STRANGE}
    body = {"model": "mine", "messages": [{"role": "user", "content": PROMPT}], "stream": streamed}
    assert (await world.ask("POST", CHAT, json=body, headers=headers)).trace_id == TRACE
    seen = world.upstream.seen[-1].headers
    assert (seen["traceparent"], seen["tracestate"]) == (TRACEPARENT, "a=1")
    assert not {"x-strange", "baggage", "x-request-id"} & set(seen)
    await world.chat(stream=streamed)
    assert not {"traceparent", "tracestate"} & set(world.upstream.seen[-1].headers)


async def test_a_traceparent_that_is_not_valid_reaches_no_provider(world: World) -> None:
    body = {"model": "mine", "messages": [{"role": "user", "content": PROMPT}]}
    for wrong in (TRACEPARENT.upper(), "00-0-0-0", TRACEPARENT + STRANGE):
        told = await world.ask("POST", CHAT, json=body, headers={"traceparent": wrong, "tracestate": STRANGE})
        assert (told.status, told.trace_id) == (200, "")
        assert not {"traceparent", "tracestate"} & set(world.upstream.seen[-1].headers)


async def test_the_local_server_logs_a_readable_line_for_each(tmp_path: Path) -> None:
    async with upstreams.running() as upstream:
        with serving(write(tmp_path, {"a": upstream.url}), tmp_path / "log") as url:
            async with httpx.AsyncClient(base_url=url) as client:
                body = {"model": "a/m", "messages": [{"role": "user", "content": PROMPT}]}
                answer = await client.post(f"{CHAT}?secret={TOKEN}", json=body, headers={"x-request-id": STRANGE})
                await client.get("/v1/no%0Asuch")
                upstream.replies[CHAT] = hang
                with suppress(httpx.ReadTimeout):
                    await client.post(CHAT, json=body, timeout=0.5)
                upstream.replies[CHAT] = stream([chunk(ANSWER)], hang=True)
                async with client.stream("POST", CHAT, json=body | {"stream": True}) as begun:
                    await anext(begun.aiter_bytes())
        log = (tmp_path / "log").read_text("utf-8")
    identity = answer.headers["x-request-id"]
    chat = rf"POST {CHAT} a/m -> a \d+ ms \(own \d+\.\d ms"
    wanted = [
        rf"200 {chat}\) 2 tokens {identity}",
        r"404 GET /v1/no%0Asuch \d+ ms .* not_found req_[0-9a-f]{32}",
        rf"499 {chat}\) .*",
    ]
    wanted.append(rf"499 {chat}, first byte \d+ ms\) .*")
    said = [line.partition("INFO core.requests: ")[2] for line in log.splitlines() if "core.requests" in line]
    assert len(said) == len(wanted)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(wanted, said, strict=True)), said
