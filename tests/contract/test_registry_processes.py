"""The registry between processes: who wins, and what the others see."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor

import pytest

from core.errors import Conflict
from tests.contract.registries import PROCESSES, Backend, churn, model, read, register, workers

EACH = 10


@pytest.fixture
def pool() -> Generator[ProcessPoolExecutor]:
    with workers() as pool:
        yield pool


async def test_of_50_registrations_of_one_identifier_one_wins(backend: Backend, pool: ProcessPoolExecutor) -> None:
    contenders = [model("llama", f"name-{n}", number=n) for n in range(PROCESSES * EACH)]
    shares = [contenders[n::PROCESSES] for n in range(PROCESSES)]
    loop = asyncio.get_running_loop()
    runs = [loop.run_in_executor(pool, register, backend, share) for share in shares]
    outcomes = [outcome for run in await asyncio.gather(*runs) for outcome in run]
    assert sorted(outcomes) == ["conflict"] * 49 + ["won"]
    async with backend.opened() as store:
        winner = await store.get("model", "llama")
        assert winner in contenders
        found = [await store.find("model", "vllm", resource.provider_resource_id) for resource in contenders]
        assert [resource for resource in found if resource is not None] == [winner]


async def test_registering_replacing_and_unregistering_at_once_leaves_no_orphan(
    backend: Backend, pool: ProcessPoolExecutor
) -> None:
    contenders = [model("llama", f"name-{n}") for n in range(PROCESSES)]
    loop = asyncio.get_running_loop()
    runs = [loop.run_in_executor(pool, churn, backend, resource, EACH) for resource in contenders]
    assert sum(await asyncio.gather(*runs)) > 0
    async with backend.opened() as store:
        assert await store.get("model", "llama") is None
        for resource in contenders:
            assert await store.find("model", "vllm", resource.provider_resource_id) is None


async def test_another_process_sees_each_change_at_once(backend: Backend, pool: ProcessPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    async with backend.opened() as store:
        assert await loop.run_in_executor(pool, read, backend, "llama") is None
        resource = await store.create(model())
        assert await loop.run_in_executor(pool, read, backend, "llama") == resource
        await store.delete("model", "llama")
        assert await loop.run_in_executor(pool, read, backend, "llama") is None


async def test_a_miss_behind_the_cache_is_read_again_each_time(backend: Backend) -> None:
    cached = Backend(backend.place, backend.endpoint, cached=True)
    async with backend.opened() as elsewhere, cached.opened() as here:
        assert await here.get("model", "llama") is None
        assert await here.find("model", "vllm", "llama") is None
        resource = await elsewhere.create(model())
        assert await here.get("model", "llama") == resource
        assert await here.find("model", "vllm", "llama") == resource
        with pytest.raises(Conflict):
            await here.create(model(note="other"))
