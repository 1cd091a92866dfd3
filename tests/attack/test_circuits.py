"""One tenant against another's model: poison, impatience, keys of one's own and names that nobody serves open no circuit for others."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import pytest

from tests.attack.charged import CHAT, WORDS, Stack, stack_over
from tests.parts.upstream import CHAT as REPLY

MOST = 3
BODY: dict[str, Any] = {"model": "p/m", "messages": WORDS}
DATA = "x-llamastack-provider-data"


async def _sick(request: web.Request) -> web.StreamResponse:
    """What the last message says is what happens."""
    text = json.loads(await request.read())["messages"][-1]["content"]
    if text.startswith("slow"):
        await asyncio.sleep(3)
    if text.isdecimal():
        return web.json_response({"error": {"message": "a bug of the engine"}}, status=int(text))
    return web.json_response(REPLY)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncGenerator[Stack]:
    circuit = {"failures": MOST, "open_seconds": 300}
    async with stack_over(tmp_path, {"/v1/chat/completions": _sick}, routing={"circuit": circuit}) as stack:
        yield stack


async def say(stack: Stack, name: str, text: str, model: str = "p/m", **headers: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return (await stack.ask(CHAT, body, name, **headers)).status_code


async def circuits(stack: Stack) -> list[dict[str, Any]]:
    (provider,) = (await stack.ask("/v1/providers", None, "admin")).json()["data"]
    rows: list[dict[str, Any]] = provider["circuits"]
    return rows


@pytest.mark.parametrize("poison", ["500", "503", "401", "403", "404", "408", "504"])
async def test_a_callers_poison_keeps_that_caller_away_alone(stack: Stack, poison: str) -> None:
    for _ in range(3 * MOST):
        assert await say(stack, "mallory", poison) in {502, 503, 504}
    assert await say(stack, "mallory", "hello") == 503
    assert [await say(stack, "ada", "hello") for _ in range(3)] == [200] * 3
    assert await say(stack, "bob", poison) != 503
    assert await say(stack, "ada", "hello") == 200


async def test_with_a_failure_of_a_bystander_in_each_row_others_are_still_served(stack: Stack) -> None:
    for _ in range(5):
        for _ in range(MOST):
            await say(stack, "mallory", "500")
        assert await say(stack, "ada", "hello") == 200
    assert await say(stack, "bob", "500") == 502
    assert await say(stack, "ada", "hello") == 200


async def test_what_fails_for_several_callers_in_a_row_is_left_alone_by_all(stack: Stack) -> None:
    for name in ("ada", "bob", "ada"):
        assert await say(stack, name, "500") == 502
    assert await say(stack, "carol", "hello") == 503
    assert [(row["state"], "callers" in row) for row in await circuits(stack)] == [("open", False)]


async def test_one_caller_by_itself_sees_the_circuit_open_as_before(stack: Stack) -> None:
    assert [await say(stack, "ada", "500") for _ in range(MOST + 1)] == [502] * MOST + [503]
    assert [(row["state"], row["callers"]) for row in await circuits(stack)] == [("open", 1)]


@pytest.mark.parametrize("seconds", [1e-9, 0.01, 0.5, 0.999])
async def test_a_timeout_has_a_floor(stack: Stack, seconds: float) -> None:
    answer = await register(stack, "mallory", seconds)
    assert answer == 400


async def register(stack: Stack, name: str, seconds: float) -> int:
    target = {"provider_id": "p", "provider_model_id": "m", "timeout": seconds}
    body = {"model_id": f"of-{name}", "provider_id": "p", "provider_model_id": "m", "metadata": {"targets": [target]}}
    return (await stack.ask("/v1/models", body, name)).status_code


async def test_impatience_is_no_failure_of_the_target_not_even_that_of_two(stack: Stack) -> None:
    for name in ("mallory", "eve"):
        assert await register(stack, name, 1) == 200
    asked = [say(stack, name, "slow", f"of-{name}") for name in ("mallory", "eve") for _ in range(MOST)]
    assert set(await asyncio.gather(*asked)) == {504}
    assert await say(stack, "mallory", "hello", "of-mallory") == 503
    assert await say(stack, "ada", "hello") == 200


async def test_a_key_of_ones_own_says_nothing_of_the_target(stack: Stack) -> None:
    key = {DATA: json.dumps({"vllm_api_token": "mine"})}
    for name in ("mallory", "eve"):
        for poison in ("401", "500", "500", "500", "500"):
            assert await say(stack, name, poison, **key) in {400, 502, 503}
    assert await say(stack, "ada", "hello") == 200


async def test_names_that_nobody_serves_are_circuits_of_their_own_and_bounded(stack: Stack) -> None:
    for number in range(20):
        body = {"model_id": f"x{number}", "provider_id": "p", "provider_model_id": f"no-such-{number}"}
        if (await stack.ask("/v1/models", body)).status_code == 200:
            await say(stack, "mallory", "404", f"x{number}")
    assert await say(stack, "ada", "hello") == 200
