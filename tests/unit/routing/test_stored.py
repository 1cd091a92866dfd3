"""What is registered for a place: all of it, remembered for a while, and what this process does is seen at once."""

from dataclasses import replace

import pytest

from core.apis.manifests.inference import MODEL
from core.frame.resources import Resource
from core.routing.stored import PAGE, StoredResources
from tests.fakes import Clock, MemoryStore

PLACE = ("vllm", "llama-3")


def row(identifier: str, name: str = PLACE[1]) -> Resource:
    return Resource("model", identifier, PLACE[0], name, {"metadata": {}, "model_type": "llm"})


class World:
    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), Clock()
        self.stored = StoredResources(MODEL, self.store, remember=30, clock=self.clock)

    async def names(self) -> list[str]:
        return [row.identifier for row in (await self.stored.at(PLACE)).rows]


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_registered_for_a_place_is_read_once_within_its_time(world: World) -> None:
    assert await world.names() == []
    await world.store.create(row("theirs"))  # by another process
    assert (await world.names(), world.store.reads) == ([], 1)
    world.clock.now += 30
    assert (await world.names(), world.store.reads) == (["theirs"], 2)


async def test_what_this_process_registers_and_removes_is_seen_at_once(world: World) -> None:
    await world.names()
    await world.stored.create(row("b"), None)
    await world.stored.create(row("a"), None)
    assert await world.names() == ["a", "b"]
    await world.stored.create(row("c", "other"), None)
    await world.stored.delete("a", None, None)
    assert await world.names() == ["b"]


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, 2 * PAGE + 1])
async def test_a_place_with_many_names_is_read_to_its_end(world: World, count: int) -> None:
    for number in range(count):
        await world.store.create(row(f"n{number:04}"))
    assert len(await world.names()) == count


async def test_rows_that_are_no_mere_names_are_told_apart(world: World) -> None:
    guarded = replace(row("guarded"), attributes={"metadata": {"input_shields": ["s"]}, "model_type": "llm"})
    for resource in (row("a"), guarded, row("z")):
        await world.store.create(resource)
    at = await world.stored.at(PLACE)
    assert ([row.identifier for row in at.rows], at.own) == (["a", "guarded", "z"], [guarded])
    await world.stored.delete("guarded", None, None)
    assert (await world.stored.at(PLACE)).own == []


async def test_a_page_goes_on_past_the_rows_that_do_not_count(world: World) -> None:
    for number in range(10):
        await world.store.create(row(f"n{number}"))
    rows = await world.stored.page("n0", 2, lambda row: row.identifier in {"n5", "n9"})
    assert [row.identifier for row in rows] == ["n5", "n9"]
    assert [row.identifier for row in await world.stored.page("", 3, lambda _: True)] == ["n0", "n1", "n2"]
