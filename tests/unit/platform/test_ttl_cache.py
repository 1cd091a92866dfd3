"""TtlCache: what CachedRegistry and Catalog do not show of it."""

import asyncio

import pytest

from core.errors import QuotaExceeded, ServerStopping
from core.platform.ttl_cache import TtlCache
from tests.fakes import Clock


class Source:
    """Answers with the number of the read, when it is let."""

    def __init__(self) -> None:
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return number


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> TtlCache[str, int]:
    return TtlCache(30, clock=clock)


async def test_value_is_remembered_from_before_its_read(cache: TtlCache[str, int], clock: Clock) -> None:
    source = Source()
    source.gate.clear()
    reading = asyncio.create_task(cache.get("a", source.read))
    await asyncio.sleep(0)
    clock.now += 29
    source.gate.set()
    assert await reading == 1
    assert cache.peek("a") == 1
    clock.now += 1
    assert cache.peek("a") is None
    assert await cache.get("a", source.read) == 2


async def test_what_is_put_is_remembered_from_now_and_forgotten_when_told(
    cache: TtlCache[str, int], clock: Clock
) -> None:
    cache.put("a", 0)
    cache.put("b", 1)
    assert (cache.peek("a"), cache.peek("b")) == (0, 1)
    cache.forget("a", "c")
    assert (cache.peek("a"), cache.peek("b")) == (None, 1)
    clock.now += 30
    assert cache.peek("b") is None


async def test_refresh_reads_whatever_is_remembered_and_joins_a_read_under_way(cache: TtlCache[str, int]) -> None:
    source = Source()
    assert await cache.get("a", source.read) == 1
    source.gate.clear()
    assert not cache.is_reading("a")
    reading = [asyncio.create_task(cache.refresh("a", source.read)) for _ in range(3)]
    await asyncio.sleep(0)
    assert cache.is_reading("a")
    assert cache.peek("a") == 1
    source.gate.set()
    assert await asyncio.gather(*reading) == [2, 2, 2]
    assert (cache.peek("a"), cache.is_reading("a")) == (2, False)


async def test_failed_refresh_leaves_what_is_remembered(cache: TtlCache[str, int]) -> None:
    source = Source()
    await cache.get("a", source.read)
    source.failure = OSError("down")
    with pytest.raises(OSError, match="down"):
        await cache.refresh("a", source.read)
    assert cache.peek("a") == 1


async def test_those_who_wait_for_one_failure_may_each_say_more_of_it(cache: TtlCache[str, int]) -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise QuotaExceeded(retry_after=3, headers={"a": "b"}) from ValueError("why")

    failures = await asyncio.gather(*(cache.get("a", fail) for _ in range(3)), return_exceptions=True)
    before = QuotaExceeded(retry_after=3, headers={"a": "b"})
    for failure in failures:
        assert isinstance(failure, QuotaExceeded)
        assert (failure.message, failure.body(), failure.headers) == (before.message, before.body(), before.headers)
        assert str(failure.__cause__) == "why"
        failure.message, failure.param, failure.headers["a"] = f"rows[0]: {failure.message}", "rows[0]", "c"


async def test_failure_that_nobody_waits_for_is_nobodys(cache: TtlCache[str, int]) -> None:
    source = Source()
    source.gate.clear()
    source.failure = OSError("down")
    reading = asyncio.create_task(cache.get("a", source.read))
    await asyncio.sleep(0)
    reading.cancel()
    source.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert reading.cancelled()
    assert not cache.is_reading("a")
    source.failure = None
    assert await cache.get("a", source.read) == 2


async def test_read_that_is_forgotten_under_way_is_not_remembered(cache: TtlCache[str, int]) -> None:
    source = Source()
    source.gate.clear()
    early = asyncio.create_task(cache.get("a", source.read))
    await asyncio.sleep(0)
    cache.forget("a")
    late = asyncio.create_task(cache.get("a", source.read))
    await asyncio.sleep(0)
    source.gate.set()
    assert (await early, await late) == (1, 2)
    assert cache.peek("a") == 2


def test_read_of_a_loop_that_is_gone_is_begun_again(cache: TtlCache[str, int]) -> None:
    async def leave() -> None:
        source = Source()
        source.gate.clear()
        reading = asyncio.create_task(cache.get("a", source.read))
        await asyncio.sleep(0)
        reading.cancel()

    async def read() -> int:
        return await cache.get("a", Source().read)

    first = asyncio.new_event_loop()
    first.run_until_complete(leave())
    try:
        assert asyncio.run(read()) == 1
    finally:
        for task in asyncio.all_tasks(first):
            task.cancel()
        first.run_until_complete(asyncio.sleep(0))
        first.close()


async def test_beyond_the_most_the_oldest_is_forgotten() -> None:
    cache: TtlCache[int, int] = TtlCache(30, most=2)
    for number in (1, 2, 1, 3):
        cache.put(number, number)
    assert [cache.peek(number) for number in (1, 2, 3)] == [1, None, 3]


async def test_closed_it_ends_every_read_even_one_that_was_disowned_and_begins_none(cache: TtlCache[str, int]) -> None:
    source, tasks = Source(), asyncio.all_tasks()
    source.gate.clear()
    waiting: list[asyncio.Task[int]] = []
    for name in "aab":
        waiting.append(asyncio.create_task(cache.get(name, source.read)))
        await asyncio.sleep(0)
    cache.forget("b")
    cache.put("c", 3)
    await cache.close()
    assert [type(failure) for failure in await asyncio.gather(*waiting, return_exceptions=True)] == [ServerStopping] * 3
    assert asyncio.all_tasks() == tasks
    for key in "ac":
        with pytest.raises(ServerStopping):
            await cache.get(key, source.read)
    assert source.reads == 1


async def test_a_caller_that_is_cancelled_while_it_closes_is_cancelled(cache: TtlCache[str, int]) -> None:
    source = Source()
    source.gate.clear()
    waiting = asyncio.create_task(cache.get("a", source.read))
    await asyncio.sleep(0)
    waiting.cancel()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
