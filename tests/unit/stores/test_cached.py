"""CachedRegistry: what it remembers, for how long, and what it never does."""

import asyncio
from collections import Counter

import pytest

from core.errors import Conflict, ProviderUnavailable, ServerStopping
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.stores.registry.cached import CachedRegistry
from core.stores.registry.port import Author, Check

LLAMA = Resource("model", "llama", "vllm", "llama-3", {"metadata": {}})
CHANGED = Resource("model", "llama", "vllm", "llama-3", {"metadata": {"note": "new"}})
OTHER = Resource("model", "other", "vllm", "llama-3", {"metadata": {}})


class Counting:
    """A registry in a dict that counts calls, and whose reads can be held up after they have looked."""

    def __init__(self, *rows: Resource) -> None:
        self.rows = {row.identifier: row for row in rows}
        self.calls: Counter[str] = Counter()
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self.authors: list[Author] = []

    async def _answer(self, call: str, found: Resource | None) -> Resource | None:
        self.calls[call] += 1
        failure = self.failure
        await self.gate.wait()
        if failure is not None:
            raise failure
        return found

    async def get(self, kind: str, identifier: str) -> Resource | None:
        return await self._answer("get", self.rows.get(identifier) if kind == "model" else None)

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        self.calls["page_at"] += 1
        place = (kind, provider_id, provider_resource_id)
        rows = [row for row in self.rows.values() if (row.kind, row.provider_id, row.provider_resource_id) == place]
        return [row for row in rows if row.identifier > after][:limit]

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        self.calls["page"] += 1
        return [row for row in self.rows.values() if row.kind == kind and row.identifier > after][:limit]

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        self.authors.append(by)
        kept = self.rows.setdefault(resource.identifier, resource)
        if kept.content() != resource.content():
            raise Conflict("taken")
        return kept

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        self.authors.append(by)
        there = self.rows.get(resource.identifier) == expect
        if there:
            self.rows[resource.identifier] = resource
        if self.failure is not None:
            raise self.failure
        return there

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        self.authors.append(by)
        if check is not None:
            check(self.rows[identifier])
        if self.failure is not None:
            del self.rows[identifier]
            raise self.failure
        return kind == "model" and self.rows.pop(identifier, None) is not None

    async def close(self) -> None:
        self.closed = True


async def under_way() -> None:
    """Let every task run until it waits for the gate."""
    for _ in range(5):
        await asyncio.sleep(0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Counting:
    return Counting(LLAMA)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(store: Counting, clock: Clock) -> CachedRegistry:
    return CachedRegistry(store, seconds=30, clock=clock, most=3)


async def test_what_is_there_is_read_once_within_its_time(
    store: Counting, cached: CachedRegistry, clock: Clock
) -> None:
    for _ in range(3):
        assert await cached.get("model", "llama") == LLAMA
    clock.now += 29.9
    assert await cached.get("model", "llama") == LLAMA
    assert store.calls == {"get": 1}


async def test_what_another_removed_is_gone_when_the_time_is_over(
    store: Counting, cached: CachedRegistry, clock: Clock
) -> None:
    await cached.get("model", "llama")
    store.rows.clear()
    clock.now += 30
    assert await cached.get("model", "llama") is None


async def test_what_is_not_there_is_asked_each_time(store: Counting, cached: CachedRegistry) -> None:
    assert await cached.get("model", "other") is None
    store.rows["other"] = OTHER
    assert await cached.get("model", "other") == OTHER


async def test_kinds_are_remembered_apart(cached: CachedRegistry) -> None:
    assert await cached.get("model", "llama") == LLAMA
    assert await cached.get("shield", "llama") is None


async def test_no_time_means_no_memory(store: Counting, clock: Clock) -> None:
    cached = CachedRegistry(store, seconds=0, clock=clock)
    await cached.get("model", "llama")
    await cached.get("model", "llama")
    assert store.calls["get"] == 2


async def test_own_removal_is_seen_at_once(cached: CachedRegistry) -> None:
    await cached.get("model", "llama")
    assert await cached.delete("model", "llama") is True
    assert await cached.get("model", "llama") is None
    assert await cached.delete("model", "llama") is False


async def test_a_conflict_shows_what_is_really_there(store: Counting, cached: CachedRegistry) -> None:
    await cached.get("model", "llama")
    theirs = Resource("model", "llama", "vllm", "theirs", {})
    store.rows["llama"] = theirs
    with pytest.raises(Conflict):
        await cached.create(LLAMA)
    assert await cached.get("model", "llama") == theirs


async def test_a_removal_that_failed_may_have_happened(store: Counting, cached: CachedRegistry) -> None:
    await cached.get("model", "llama")
    store.failure = ProviderUnavailable("the answer was lost")
    with pytest.raises(ProviderUnavailable):
        await cached.delete("model", "llama")
    store.failure = None
    assert await cached.get("model", "llama") is None


async def test_the_store_hears_whose_doing_a_change_is(store: Counting, cached: CachedRegistry) -> None:
    ada = Principal("ada", {}, "api_key")
    await cached.create(LLAMA, by=ada)
    await cached.replace(CHANGED, expect=LLAMA, by=ada)
    await cached.delete("model", "llama", by=ada)
    assert store.authors == [ada] * 3


async def test_own_replacement_is_seen_at_once(cached: CachedRegistry) -> None:
    await cached.get("model", "llama")
    assert await cached.replace(CHANGED, expect=LLAMA) is True
    assert await cached.get("model", "llama") == CHANGED
    assert await cached.replace(OTHER, expect=LLAMA) is False


async def test_a_replacement_of_what_another_removed_shows_that_it_is_gone(
    store: Counting, cached: CachedRegistry
) -> None:
    await cached.get("model", "llama")
    store.rows.clear()
    assert await cached.replace(CHANGED, expect=LLAMA) is False
    assert await cached.get("model", "llama") is None


async def test_a_replacement_that_failed_may_have_happened(store: Counting, cached: CachedRegistry) -> None:
    await cached.get("model", "llama")
    store.failure = ProviderUnavailable("the answer was lost")
    with pytest.raises(ProviderUnavailable):
        await cached.replace(CHANGED, expect=LLAMA)
    store.failure = None
    assert await cached.get("model", "llama") == CHANGED


async def test_a_removal_is_checked_against_what_is_stored_not_what_is_remembered(
    store: Counting, cached: CachedRegistry
) -> None:
    await cached.get("model", "llama")
    store.rows["llama"] = CHANGED
    seen: list[Resource] = []
    assert await cached.delete("model", "llama", seen.append) is True
    assert seen == [CHANGED]


async def test_gets_of_one_name_at_a_time_make_one_read(store: Counting, cached: CachedRegistry) -> None:
    store.gate.clear()
    reading = [asyncio.create_task(cached.get("model", "llama")) for _ in range(10)]
    await under_way()
    store.gate.set()
    assert await asyncio.gather(*reading) == [LLAMA] * 10
    assert store.calls == {"get": 1}


async def test_a_miss_is_not_shared_with_who_came_after_it_began(store: Counting, cached: CachedRegistry) -> None:
    store.gate.clear()
    early = asyncio.create_task(cached.get("model", "other"))
    await under_way()
    store.rows["other"] = OTHER  # by another process, after the read has looked
    late = [asyncio.create_task(cached.get("model", "other")) for _ in range(5)]
    await under_way()
    store.gate.set()
    assert await early is None
    assert await asyncio.gather(*late) == [OTHER] * 5
    assert store.calls["get"] == 2


async def test_a_miss_is_not_shared_with_who_came_as_it_ended(store: Counting, cached: CachedRegistry) -> None:
    store.gate.clear()
    early = asyncio.create_task(cached.get("model", "other"))
    await under_way()
    store.rows["other"] = OTHER
    store.gate.set()
    late = asyncio.create_task(cached.get("model", "other"))  # runs next, when the read is done and not yet landed
    assert await late == OTHER
    assert await early is None


@pytest.mark.parametrize("waiters", [0, 3])
async def test_a_read_from_before_a_removal_does_not_bring_it_back(
    store: Counting, cached: CachedRegistry, waiters: int
) -> None:
    store.gate.clear()
    early = [asyncio.create_task(cached.get("model", "llama")) for _ in range(1 + waiters)]
    await under_way()
    await cached.delete("model", "llama")
    late = asyncio.create_task(cached.get("model", "llama"))
    await under_way()
    store.gate.set()
    assert await asyncio.gather(*early) == [LLAMA] * (1 + waiters)
    assert await late is None
    assert await cached.get("model", "llama") is None


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(store: Counting, cached: CachedRegistry) -> None:
    store.gate.clear()
    store.failure = ProviderUnavailable("down")
    reading = [asyncio.create_task(cached.get("model", "llama")) for _ in range(3)]
    await under_way()
    store.gate.set()
    outcomes = await asyncio.gather(*reading, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ProviderUnavailable] * 3
    store.failure = None
    assert await cached.get("model", "llama") == LLAMA


async def test_who_gives_up_does_not_take_the_others_answer_away(store: Counting, cached: CachedRegistry) -> None:
    store.gate.clear()
    first, second = (asyncio.create_task(cached.get("model", "llama")) for _ in range(2))
    await under_way()
    first.cancel()
    await under_way()
    store.gate.set()
    assert await second == LLAMA
    assert first.cancelled()
    assert store.calls["get"] == 1


async def test_pages_are_read_each_time(store: Counting, cached: CachedRegistry) -> None:
    assert await cached.page("model", after="", limit=5) == [LLAMA]
    assert await cached.page("model", after="llama", limit=5) == []
    for _ in range(2):
        assert await cached.page_at("model", "vllm", "llama-3", after="", limit=5) == [LLAMA]
    assert store.calls == {"page": 2, "page_at": 2}


async def test_closing_closes_the_store_and_neither_remembers_nor_reads(
    store: Counting, cached: CachedRegistry
) -> None:
    await cached.get("model", "llama")
    await cached.close()
    assert store.closed
    calls = store.calls.copy()
    with pytest.raises(ServerStopping):
        await cached.get("model", "llama")
    assert store.calls == calls
