"""The registry between processes: who wins, and what the others see."""

from collections import Counter

import pytest

from core.errors import Conflict
from tests.contract.crew import Crew
from tests.contract.registries import Backend, churn, count, find_at, model, read, register
from tests.parts.audit import read_trail

EACH = 10


async def test_of_50_registrations_of_one_identifier_one_wins(backend: Backend, crew: Crew) -> None:
    contenders = [model("llama", f"name-{n}", number=n) for n in range(50)]
    shares = [contenders[n :: crew.size] for n in range(crew.size)]
    runs = await crew.work(register, *((backend, share) for share in shares))
    assert sorted(outcome for run in runs for outcome in run) == ["conflict"] * 49 + ["won"]
    async with backend.opened() as store:
        winner = await store.get("model", "llama")
        assert winner in contenders
        found = [await find_at(store, "model", "vllm", resource.provider_resource_id) for resource in contenders]
        assert [resource for resource in found if resource is not None] == [winner]


async def test_registering_replacing_and_unregistering_at_once_leaves_no_orphan(backend: Backend, crew: Crew) -> None:
    contenders = [model("llama", f"name-{n}") for n in range(crew.size)]
    changes = sum(await crew.work(churn, *((backend, resource, EACH) for resource in contenders)), Counter[str]())
    assert changes["delete"] > 0
    trail = backend.trail()
    assert Counter(entry["action"] for entry in await read_trail(trail)) == changes  # each one's entry, and no more
    await trail.close()
    async with backend.opened() as store:
        assert await store.get("model", "llama") is None
        for resource in contenders:
            assert await find_at(store, "model", "vllm", resource.provider_resource_id) is None


async def test_of_what_is_read_and_written_back_at_once_no_write_is_lost(backend: Backend, crew: Crew) -> None:
    async with backend.opened() as store:
        await store.create(model(number=0))
        await crew.work(count, *((backend, "llama", EACH) for _ in range(crew.size)))
        last = await find_at(store, "model", "vllm", "llama")
        assert last is not None
        assert last == await store.get("model", "llama")
        assert last.attributes == {"metadata": {"number": EACH * crew.size}}


async def test_another_process_sees_each_change_at_once(backend: Backend, crew: Crew) -> None:
    async with backend.opened() as store:
        assert await crew.work(read, (backend, "llama")) == [None]
        resource = await store.create(model())
        assert await crew.work(read, (backend, "llama")) == [resource]
        await store.delete("model", "llama")
        assert await crew.work(read, (backend, "llama")) == [None]


async def test_a_miss_behind_the_cache_is_read_again_each_time(backend: Backend) -> None:
    cached = Backend(backend.place, backend.endpoint, cached=True)
    async with backend.opened() as elsewhere, cached.opened() as here:
        assert await here.get("model", "llama") is None
        assert await find_at(here, "model", "vllm", "llama") is None
        resource = await elsewhere.create(model())
        assert await here.get("model", "llama") == resource
        assert await find_at(here, "model", "vllm", "llama") == resource
        with pytest.raises(Conflict):
            await here.create(model(note="other"))
