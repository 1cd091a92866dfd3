"""The circuits of two real upstreams: which one is left alone, who tries it again, and where it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from aiohttp import web
import pytest

from core.config.load import interpret
from core.errors import ApiError, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.callers import Call, Principal
from core.resolution.resolve import resolve
from core.routing.circuit_breaker import CircuitBreaker
from tests.contract.targets import (
    MINE,
    OPERATIONS,
    STREAMED,
    Operation,
    World,
    chat,
    request,
    stream_chat,
    two_targets,
    until,
)
from tests.parts.live_stack import client_of
from tests.parts.upstream import CHAT, CHUNKS, chunk, hang, status, stream


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with two_targets() as world:
        yield world


async def open_at_a(world: World) -> CircuitBreaker:
    """CircuitBreaker that open at the second failure, with that of `a` open, and nobody asked since."""
    circuits = world.with_circuits(2)
    world.first(status(500))
    for _ in range(2):
        await chat(world.router(MINE))
    assert [row["state"] for row in circuits.describe_failures("a")] == ["open"]
    world.a.seen.clear()
    world.b.seen.clear()
    return circuits


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_open_target_is_left_alone_until_its_time(world: World, operation: Operation) -> None:
    await open_at_a(world)
    world.first(stream(CHUNKS) if operation in STREAMED else status(200, CHAT))
    await operation(world.router(MINE), "mine")
    assert world.asked == (0, 1)
    world.clock.now = 30.0
    await operation(world.router(MINE), "mine")
    await operation(world.router(MINE), "mine")
    assert world.asked == (2, 1)
    assert world.circuits is not None
    assert world.circuits.describe_failures("a") == []


async def test_where_every_target_is_open_the_call_is_refused_at_once(world: World) -> None:
    world.with_circuits(1)
    world.both(status(500))
    with pytest.raises(UpstreamFailed):
        await chat(world.router(MINE))
    world.clock.now = 0.5
    with pytest.raises(ProviderUnavailable, match="`a`, `b`") as refusal:
        await chat(world.router(MINE))
    assert refusal.value.headers == {"retry-after": "30"}
    assert world.asked == (1, 1)
    world.clock.now = 29.9
    with pytest.raises(ProviderUnavailable) as refusal:
        await chat(world.router(MINE))
    assert refusal.value.headers == {"retry-after": "1"}


async def test_whoever_is_refused_may_come_back_when_the_first_target_may_be_tried(world: World) -> None:
    circuits = world.with_circuits(1)
    for provider, now in (("a", 0.0), ("b", 20.0)):
        world.clock.now = now
        permit = circuits.admit((provider, "m" if provider == "a" else "n"))
        assert permit is not None
        circuits.record_failure(permit)
    with pytest.raises(ProviderUnavailable) as refusal:
        await chat(world.router(MINE))
    assert refusal.value.headers == {"retry-after": "10"}


async def test_a_model_of_one_target_is_refused_while_that_is_open(world: World) -> None:
    world.with_circuits(1)
    world.first(status(500))
    with pytest.raises(UpstreamFailed):
        await chat(world.router())
    with pytest.raises(ProviderUnavailable):
        await stream_chat(world.router())
    assert world.asked == (1, 0)


async def test_throttling_neither_opens_a_circuit_nor_ends_a_row_of_failures(world: World) -> None:
    circuits = world.with_circuits(2)
    for code in (500, 429, 429, 429):
        world.first(status(code))
        await chat(world.router(MINE))
        assert [(row["state"], row["failures"]) for row in circuits.describe_failures("a")] == [("closed", 1)]
    world.first(status(500))
    await chat(world.router(MINE))
    assert [row["state"] for row in circuits.describe_failures("a")] == ["open"]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_of_many_calls_one_tries_a_target_whose_time_has_come(world: World, operation: Operation) -> None:
    await open_at_a(world)
    world.clock.now = 30.0
    gate = asyncio.Event()
    then = stream(CHUNKS) if operation in STREAMED else status(200, CHAT)

    async def slow(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await then(request)

    world.first(slow)
    calls = [asyncio.ensure_future(operation(world.router(MINE), "mine")) for _ in range(6)]
    await until(lambda: sum(call.done() for call in calls) == 5)
    assert world.asked == (1, 5)
    gate.set()
    assert {answer["model"] for answer in await asyncio.gather(*calls)} == {"mine"}
    await operation(world.router(MINE), "mine")
    assert world.asked == (2, 5)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_trial_that_is_cancelled_lets_the_next_call_try(world: World, operation: Operation) -> None:
    await open_at_a(world)
    world.clock.now = 30.0
    world.first(hang)
    trial = asyncio.ensure_future(operation(world.router(MINE), "mine"))
    await until(lambda: world.asked == (1, 0))
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    world.first(stream(CHUNKS) if operation in STREAMED else status(200, CHAT))
    await operation(world.router(MINE), "mine")
    assert world.asked == (2, 0)


@pytest.mark.parametrize("code", [400, 429])
async def test_a_trial_that_tells_nothing_lets_the_next_call_try(world: World, code: int) -> None:
    circuits = await open_at_a(world)
    world.clock.now = 30.0
    world.first(status(code))
    with pytest.raises(ApiError):
        await chat(world.router())
    assert [row["state"] for row in circuits.describe_failures("a")] == ["half_open"]
    world.first(status(200, CHAT))
    await chat(world.router())
    assert circuits.describe_failures("a") == []


async def test_a_stream_that_nobody_reads_does_not_keep_a_target_from_being_tried(world: World) -> None:
    await open_at_a(world)
    world.clock.now = 30.0
    world.first(stream([chunk("Hel")], hang=True))
    async with aclosing(await world.router(MINE).stream_chat_completion(request(stream=True))):
        world.first(status(200, CHAT))
        await chat(world.router(MINE))
    assert world.asked == (2, 0)


def document(world: World, folder: Path, **more: Any) -> dict[str, Any]:
    upstreams = {"a": world.a.url, "b": world.b.url}
    return {
        "image_name": "two",
        "providers": {
            "inference": [
                {"provider_id": name, "provider_type": "remote::vllm", "config": {"url": url}}
                for name, url in upstreams.items()
            ]
        },
        "models": [{"model_id": "mine", "provider_id": "a", "provider_model_id": "m", "metadata": {"targets": [MINE]}}],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        **more,
    }


BODY = {"model": "mine", "messages": [{"role": "user", "content": "Hi"}]}
CHAT_PATH = "/v1/chat/completions"


async def test_an_open_circuit_is_told_by_the_list_of_providers(world: World, tmp_path: Path) -> None:
    world.first(status(500))
    async with client_of(
        document(world, tmp_path, routing={"circuit": {"failures": 2, "open_seconds": 600}})
    ) as client:
        for _ in range(3):
            answer = await client.post(CHAT_PATH, json=BODY)
            assert (answer.status_code, answer.json()["model"]) == (200, "mine")
        a, b = (await client.get("/v1/providers")).json()["data"]
        [circuit] = a["circuits"]
        assert 590 < circuit.pop("retry_in") <= 600
        assert circuit == {"model": "m", "state": "open", "failures": 2}
        assert b["circuits"] == []
        answer = await client.post(CHAT_PATH, json=BODY | {"model": "a/m"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unavailable")
        assert 590 < int(answer.headers["retry-after"]) <= 600
    assert [seen.path for seen in world.a.seen].count(CHAT_PATH) == 2


async def test_without_circuits_nothing_changes_for_clients(world: World, tmp_path: Path) -> None:
    world.first(status(500))
    async with client_of(document(world, tmp_path)) as client:
        for _ in range(10):
            assert (await client.post(CHAT_PATH, json=BODY)).status_code == 200
        rows = (await client.get("/v1/providers")).json()["data"]
    assert not any("circuits" in row for row in rows)
    assert [seen.path for seen in world.a.seen].count(CHAT_PATH) == 10


async def test_targets_can_be_registered_and_are_shown_with_the_model(world: World, tmp_path: Path) -> None:
    world.b.models = [{"id": "n"}]
    wanted = {"model_id": "new", "provider_id": "a", "provider_model_id": "m"}
    async with client_of(document(world, tmp_path)) as client:
        for targets, code in (([MINE | {"weight": 0}], 400), ([MINE | {"provider_id": "c"}], 400), ([MINE], 200)):
            answer = await client.post("/v1/models", json=wanted | {"metadata": {"targets": targets}})
            assert answer.status_code == code, answer.text
        assert (await client.get("/v1/models/new")).json()["metadata"]["targets"] == [MINE]
        world.first(status(503))
        answer = await client.post(CHAT_PATH, json=BODY | {"model": "new"})
    assert answer.json()["model"] == "new"
    assert world.b.seen[-1].body["model"] == "n"


@pytest.mark.parametrize(("forbidden", "there"), [("b/n", False), ("a/m", False), ("b/other", True)])
async def test_a_rule_about_a_target_holds_for_the_declared_model(
    world: World, tmp_path: Path, forbidden: str, *, there: bool
) -> None:
    policy = [{"forbid": {"actions": "read", "resource": f"model::{forbidden}"}}, {"permit": {"actions": "read"}}]
    auth = {"providers": [{"type": "api_key"}], "access_policy": policy}
    stack = await resolve(interpret(document(world, tmp_path, server={"auth": auth}), {}), ["inference"], version="1")
    inference = stack.surfaces["inference"](Call(Principal("ada", {})))
    if there:
        assert (await inference.chat_completion(request()))["model"] == "mine"
    else:
        with pytest.raises(NotFound):
            await inference.chat_completion(request())
    await stack.close()
