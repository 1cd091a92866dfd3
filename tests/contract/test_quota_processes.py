"""Many callers in several processes at once: exactly the limit is admitted, the rest refused, and no more counted."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.quota.quota import Quota
from tests.contract.counters import CALLERS, KINDS, LATER, PROCESSES, Counting, crowd, fresh_counters, workers
from tests.unit.quota.fakes import quota_config, user

LIMIT = 101


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return fresh_counters(request, request.param, tmp_path)


@pytest.fixture
def pool() -> Generator[ProcessPoolExecutor]:
    with workers() as pool:
        yield pool


async def rushed(counting: Counting, pool: ProcessPoolExecutor, tokens: int | None, settings: dict[str, Any]) -> int:
    loop = asyncio.get_running_loop()
    runs = [loop.run_in_executor(pool, crowd, counting, tokens, settings) for _ in range(PROCESSES)]
    return sum(await asyncio.gather(*runs))


async def used(counting: Counting, settings: dict[str, Any]) -> dict[str, Any]:
    async with counting.opened() as store:
        return await Quota(quota_config(**settings), store, clock=lambda: LATER).remaining(user())


@pytest.mark.parametrize("shards", [1, 5])
async def test_exactly_the_limit_of_requests_is_admitted(
    counting: Counting, pool: ProcessPoolExecutor, shards: int
) -> None:
    assert PROCESSES * CALLERS > 2 * LIMIT
    settings = {"authenticated_max_requests": LIMIT, "shards": shards}
    assert await rushed(counting, pool, None, settings) == LIMIT
    assert (await used(counting, settings))["requests"] == {"limit": LIMIT, "used": LIMIT, "remaining": 0}
    assert await rushed(counting, pool, None, settings) == 0
    assert (await used(counting, settings))["requests"]["used"] == LIMIT


async def test_exactly_the_reservations_that_fit_are_admitted(counting: Counting, pool: ProcessPoolExecutor) -> None:
    settings = {"max_tokens": 1000}
    assert await rushed(counting, pool, 30, settings) == 33
    left = await used(counting, settings)
    assert (left["requests"]["used"], left["tokens"]) == (33, {"limit": 1000, "used": 990, "remaining": 10})


async def test_in_the_shadow_every_call_of_every_process_is_counted(
    counting: Counting, pool: ProcessPoolExecutor
) -> None:
    settings = {"authenticated_max_requests": LIMIT, "shadow": True, "shards": 5}
    assert await rushed(counting, pool, None, settings) == PROCESSES * CALLERS
    assert (await used(counting, settings))["requests"]["used"] == PROCESSES * CALLERS
