"""A model on two real upstreams: what is tried at the second one, and what is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
import logging
import socket

from aiohttp import web
import pytest

from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled, UpstreamTimeout
from core.frame.callers import ANONYMOUS, Call
from tests.contract.targets import (
    KINDS,
    MINE,
    OPERATIONS,
    PATHS,
    STREAMED,
    Operation,
    World,
    chat,
    connect,
    embed,
    rank,
    request,
    two_targets,
    until,
)
from tests.fakes import FakeProvider
from tests.parts.secrets import plant
from tests.parts.upstream import Reply, chunk, hang, raw, status, stream

SOON = 0.2  # seconds; where something hangs, it hangs for an hour


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with two_targets() as world:
        yield world


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("operation", [*OPERATIONS, embed, rank])
@pytest.mark.parametrize(
    "failure",
    [status(429), status(500), status(401), status(503), status(504), status(408), raw(b"<html>"), reset, hang],
    ids=["429", "500", "401", "503", "504", "408", "not json", "reset", "hangs"],
)
async def test_what_fails_before_its_first_byte_is_tried_at_the_next_target(
    world: World, operation: Operation, failure: Reply
) -> None:
    world.first(failure)
    own = {"provider_id": "a", "provider_model_id": "m", "timeout": SOON if failure is hang else 60}
    world.call = Call(ANONYMOUS)
    router = world.router(own, MINE, kind=KINDS.get(operation, "llm"))
    assert (await operation(router, "mine"))["model"] == "mine"
    assert [(row.model, row.provider, row.answers) for row in world.call.ledger.list_rows()] == [("mine", "b", 1)]
    assert world.a.seen[0].body["model"] == "m"
    assert [seen.body["model"] for seen in world.b.seen] == ["n"]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_target_that_refuses_connections_is_passed_over(world: World, operation: Operation) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        world.providers["a"] = connect("a", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert await operation(world.router(MINE), "mine")
        await world.providers["a"].close()
    assert world.asked == (0, 1)


async def test_a_target_whose_provider_is_not_configured_is_passed_over(world: World) -> None:
    del world.providers["a"]
    assert await chat(world.router(MINE))


@pytest.mark.parametrize("operation", [*OPERATIONS, embed, rank])
async def test_a_target_that_answers_is_the_only_one_asked(world: World, operation: Operation) -> None:
    router = world.router(MINE, kind=KINDS.get(operation, "llm"))
    assert (await operation(router, "mine"))["model"] == "mine"
    assert world.asked == (1, 0)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_the_caller_did_wrong_is_not_tried_elsewhere(world: World, operation: Operation) -> None:
    world.first(status(400, {"error": {"message": "too hot"}}))
    world.with_circuits(1)
    with pytest.raises(InvalidRequest, match="too hot"):
        await operation(world.router(MINE), "mine")
    assert world.asked == (1, 0)
    assert world.circuits is not None
    assert world.circuits.describe_failures("a") == []


@pytest.mark.parametrize(("last", "kind"), [(status(500), UpstreamFailed), (status(429), UpstreamThrottled)])
async def test_the_last_failure_is_what_the_caller_gets(world: World, last: Reply, kind: type[ApiError]) -> None:
    world.first(status(504))
    world.b.replies |= dict.fromkeys(PATHS, last)
    with pytest.raises(kind) as failure:
        await chat(world.router(MINE))
    assert type(failure.value) is kind
    assert "`b`" in failure.value.message
    assert world.asked == (1, 1)


async def test_a_models_name_within_its_provider_means_that_provider_alone(world: World) -> None:
    world.first(status(500))
    with pytest.raises(UpstreamFailed):
        await chat(world.router(MINE), "a/m")
    assert world.asked == (1, 0)


@pytest.mark.parametrize("operation", [*OPERATIONS, embed, rank])
async def test_a_timeout_holds_for_a_model_of_one_target_too(world: World, operation: Operation) -> None:
    world.first(hang)
    own = {"provider_id": "a", "provider_model_id": "m", "timeout": SOON}
    with pytest.raises(UpstreamTimeout, match="`a` did not answer in time"):
        await operation(world.router(own, kind=KINDS.get(operation, "llm")), "mine")
    await asyncio.wait_for(world.a.cancelled.wait(), 10)


async def test_a_stream_has_to_begin_in_time_and_may_take_its_time_then(world: World) -> None:
    world.first(stream([chunk("Hel")], hang=True))
    router = world.router({"provider_id": "a", "provider_model_id": "m", "timeout": 0.5}, MINE)
    async with aclosing(await router.stream_chat_completion(request(stream=True))) as chunks:
        assert (await anext(chunks))["model"] == "mine"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.8)
    assert world.asked == (1, 0)


@pytest.mark.parametrize("operation", STREAMED)
async def test_a_stream_that_breaks_off_is_not_tried_again(world: World, operation: Operation) -> None:
    circuits = world.with_circuits(2)
    world.first(stream([chunk("Hel")], done=False))
    for failures in (1, 2):
        with pytest.raises(UpstreamFailed):
            await operation(world.router(MINE), "mine")
        assert [row["failures"] for row in circuits.describe_failures("a")] == [failures]
    assert world.asked == (2, 0)
    await operation(world.router(MINE), "mine")
    assert world.asked == (2, 1)


@pytest.mark.parametrize("seconds", [None, 600])
async def test_a_caller_who_leaves_cancels_the_call_and_asks_nobody_else(world: World, seconds: int | None) -> None:
    world.first(hang)
    own = {"provider_id": "a", "provider_model_id": "m"} | ({} if seconds is None else {"timeout": seconds})
    calling = asyncio.ensure_future(chat(world.router(own, MINE)))
    await until(lambda: world.asked == (1, 0))
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(world.a.cancelled.wait(), 10)
    assert world.asked == (1, 0)


async def test_each_fallback_is_a_warning_that_names_providers_and_nothing_of_the_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.first(status(500))
    await chat(world.router(MINE))
    said = [record.getMessage() for record in caplog.records if record.name == "core.routing.failover"]
    assert said == ["provider a: UpstreamFailed before the first byte; on to provider b"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "Secret" not in caplog.text


async def test_what_a_caller_brings_is_for_every_target(world: World) -> None:
    key = plant("key-of-a-caller-for-vllm")
    world.call = Call(ANONYMOUS, provider_data={"vllm_api_token": key})
    world.first(status(500))
    await chat(world.router(MINE))
    for upstream in (world.a, world.b):
        assert [seen.headers["authorization"] for seen in upstream.seen] == [f"Bearer {key}"]
    assert world.call.tokens == 2


async def test_a_provider_that_takes_nothing_of_callers_gets_nothing(world: World) -> None:
    world.call = Call(ANONYMOUS, provider_data={"vllm_api_token": plant("key-of-a-caller-for-another")})
    world.providers["a"] = FakeProvider()
    assert (await chat(world.router()))["model"] == "mine"


async def test_a_key_that_a_target_refuses_is_the_callers_mistake(world: World) -> None:
    world.call = Call(ANONYMOUS, provider_data={"vllm_api_token": plant("key-that-is-not-taken")})
    world.first(status(401))
    with pytest.raises(InvalidRequest):
        await chat(world.router(MINE))
    assert world.asked == (1, 0)
