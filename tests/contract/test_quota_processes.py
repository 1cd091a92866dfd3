"""Many callers in several processes at once: exactly the limit is admitted, the rest refused, and no more counted."""

from pathlib import Path
from typing import Any

import pytest

from core.quota.quota import Quota
from tests.contract.counters import CALLERS, KINDS, LATER, Counting, crowd
from tests.contract.crew import Crew
from tests.unit.quota.fakes import quota_config, user

LIMIT = 51


@pytest.fixture(params=KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


async def rushed(counting: Counting, crew: Crew, tokens: int | None, settings: dict[str, Any]) -> int:
    return sum(await crew.work(crowd, *[(counting, tokens, settings)] * crew.size))


async def used(counting: Counting, settings: dict[str, Any]) -> dict[str, Any]:
    async with counting.opened() as store:
        return await Quota(quota_config(**settings), store, clock=lambda: LATER).remaining(user())


@pytest.mark.parametrize("shards", [1, 5])
async def test_exactly_the_limit_of_requests_is_admitted(counting: Counting, crew: Crew, shards: int) -> None:
    assert crew.size * CALLERS > 2 * LIMIT
    settings = {"authenticated_max_requests": LIMIT, "shards": shards}
    assert await rushed(counting, crew, None, settings) == LIMIT
    assert (await used(counting, settings))["requests"] == {"limit": LIMIT, "used": LIMIT, "remaining": 0}
    assert await rushed(counting, crew, None, settings) == 0
    assert (await used(counting, settings))["requests"]["used"] == LIMIT


@pytest.mark.parametrize("shards", [1, 5])
async def test_batches_are_admitted_whole_and_never_beyond_the_limit(
    counting: Counting, crew: Crew, shards: int
) -> None:
    settings = {"authenticated_max_requests": LIMIT, "shards": shards}
    admitted = sum(await crew.work(crowd, *[(counting, None, settings, 4)] * crew.size))
    assert admitted <= LIMIT // 4
    assert shards > 1 or admitted == LIMIT // 4
    assert (await used(counting, settings))["requests"]["used"] == 4 * admitted


async def test_exactly_the_reservations_that_fit_are_admitted(counting: Counting, crew: Crew) -> None:
    settings = {"max_tokens": 1000}
    assert await rushed(counting, crew, 30, settings) == 33
    left = await used(counting, settings)
    assert (left["requests"]["used"], left["tokens"]) == (33, {"limit": 1000, "used": 990, "remaining": 10})


async def test_in_the_shadow_every_call_of_every_process_is_counted(counting: Counting, crew: Crew) -> None:
    settings = {"authenticated_max_requests": LIMIT, "shadow": True, "shards": 5}
    assert await rushed(counting, crew, None, settings) == crew.size * CALLERS
    assert (await used(counting, settings))["requests"]["used"] == crew.size * CALLERS
