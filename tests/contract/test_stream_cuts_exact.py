"""A hundred streams of `llambda serve` whose sockets are closed at any byte, half of them taken up again while the run goes on: nothing is lost, nothing doubled."""

import asyncio
import json
from random import Random
from typing import Any

import httpx
import pytest

from tests.parts.model_script import Call, Round
from tests.parts.model_script import write_script as script
from tests.parts.response_schema import check_stream, read_events
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, served_responses

CUTS = 100
AT_ONCE = 8
ROUNDS = (
    Round("Let me see. " * 3, (Call("greet", {"name": "Bo"}),), reasoning="Who is it? " * 3, pause=0.02),
    Round("{quote} " + "So it is. " * 20, pause=0.01),
)


def whole_frames(body: bytes) -> list[dict[str, Any]]:
    """Those that came to their end."""
    return read_events(body.rpartition(b"\n\n")[0].decode())


async def read(client: httpx.AsyncClient, most: int | None, method: str, path: str, **how: Any) -> list[dict[str, Any]]:
    """The events of a stream whose socket is closed once `most` bytes have come; None reads it to its end."""
    body = b""
    async with client.stream(method, path, **how) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for piece in answer.aiter_raw(64):
            body += piece
            if most is not None and len(body) >= most:
                break
    return whole_frames(body)


async def one_cut(url: str, world: ResponseWorld, random: Random, *, waits: bool) -> str:
    """The id of a response whose stream was cut, and taken up again, once or more."""
    tools = [{"type": "mcp", "server_label": "box", "server_url": world.mcp_url, "require_approval": "never"}]
    asked = {"model": MODEL, "input": script(*ROUNDS), "tools": tools, "stream": True}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        told = await read(client, random.randint(2500, 30_000), "POST", RESPONSES, json=asked)
        path = f"{RESPONSES}/{told[0]['response']['id']}"
        if waits:
            while (await client.get(path)).json().get("status") in (None, "in_progress"):  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.1)
        while told[-1]["type"] != "response.completed":
            after = {"stream": "true", "starting_after": told[-1]["sequence_number"]}
            most = random.randint(200, 20_000) if random.random() < 0.5 else None
            told += await read(client, most, "GET", path, params=after)
        response = check_stream(told)
        assert told == await read(client, None, "GET", path, params={"stream": "true"})
        assert response == (await client.get(path)).json()
        assert [item["type"] for item in response["output"]].count("mcp_call") == 1
    return str(response["id"])


@pytest.mark.exact
async def test_a_hundred_cuts_lose_and_double_nothing() -> None:
    seed = Random().randrange(2**32)  # noqa: S311 - no secret, as below
    print(json.dumps({"seed": seed}))
    places = asyncio.Semaphore(AT_ONCE)
    with served_responses() as (url, world):

        async def cut(number: int) -> str:
            async with places:
                return await one_cut(url, world, Random(seed + number), waits=number % 2 == 1)  # noqa: S311

        ids = await asyncio.gather(*map(cut, range(CUTS)))
    assert len({*ids}) == CUTS
