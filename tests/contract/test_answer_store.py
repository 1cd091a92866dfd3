"""What AnswerStore promises, over both adapters, in one process and in several."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
import multiprocessing
from pathlib import Path
import random
import uuid

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import IdempotencyUnavailable
from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease
from tests.contract.answers import KINDS, NOW, UNTIL, Answering, crash, rush
from tests.contract.crew import Crew
from tests.unit.web.fakes import MemoryAnswers

ANSWER = Answer(200, "application/json", b'{"a":"\xc3\xa4"}')
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "finish", "release"]),
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.integers(0, 4),
    ),
    max_size=25,
)
type Step = tuple[str, str, str, int]


@pytest.fixture(params=KINDS)
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Answering:
    return Answering.fresh(request, request.param, tmp_path, "state_table")


@pytest.fixture
async def store(answering: Answering) -> AsyncGenerator[AnswerStore]:
    async with answering.opened() as store:
        yield store


async def begun(store: AnswerStore, key: str = "k", fingerprint: str = "f", now: int = NOW) -> Lease | Earlier:
    return await store.begin(key, fingerprint, now=now, until=now + UNTIL - NOW)


async def leased(store: AnswerStore, key: str = "k", fingerprint: str = "f", now: int = NOW) -> Lease:
    lease = await begun(store, key, fingerprint, now)
    assert isinstance(lease, Lease)
    return lease


async def test_the_first_gets_the_key_and_the_second_learns_whose_it_is(store: AnswerStore) -> None:
    assert (await leased(store)).key == "k"
    assert await begun(store, fingerprint="g") == Earlier("f", None)
    assert isinstance(await begun(store, key="l"), Lease)


async def test_an_answer_is_there_until_it_expires(store: AnswerStore) -> None:
    lease = await leased(store)
    assert await store.finish(lease, ANSWER, expires=NOW + 5000)
    assert await begun(store, now=NOW + 4999) == Earlier("f", ANSWER)
    assert await begun(store, now=NOW + 4999) == Earlier("f", ANSWER)
    assert isinstance(await begun(store, fingerprint="g", now=NOW + 5000), Lease)
    assert await begun(store, now=NOW + 5000) == Earlier("g", None)


async def test_an_ended_lease_is_taken_over_and_its_holder_changes_nothing_any_more(store: AnswerStore) -> None:
    slow = await leased(store)
    assert await begun(store, now=UNTIL - 1) == Earlier("f", None)
    quick = await leased(store, fingerprint="g", now=UNTIL)
    assert not await store.finish(slow, ANSWER, expires=UNTIL + 5000)
    await store.release(slow)
    assert await begun(store, now=UNTIL) == Earlier("g", None)
    assert await store.finish(quick, ANSWER, expires=UNTIL + 5000)
    assert not await store.finish(slow, Answer(200, "x", b"late"), expires=UNTIL + 5000)
    await store.release(slow)
    assert await begun(store, now=UNTIL) == Earlier("g", ANSWER)


async def test_what_an_owner_has_is_counted_and_goes_with_its_answers_and_no_others(answering: Answering) -> None:
    long = Answer(200, "x", random.Random(1).randbytes(500))  # noqa: S311 - no secret
    async with answering.opened(most_part=100) as store, answering.opened("other") as elsewhere:
        for namespace in (store, elsewhere):
            for key, owner in (("a", "ada"), ("b", "ada"), ("c", "adam"), ("d", "")):
                lease = await namespace.begin(key, "f", now=NOW, until=UNTIL, owner=owner)
                assert isinstance(lease, Lease)
                assert key == "b" or await namespace.finish(lease, long, expires=UNTIL)
        assert [await store.erase(owner, dry=True) for owner in ("ada", "adam", "eve", "")] == [2, 1, 0, 0]
        assert [await store.erase("ada"), await store.erase("ada")] == [2, 0]
        assert isinstance(await begun(store, "a"), Lease)
        assert isinstance(await begun(store, "b"), Lease)
        assert await begun(store, "c") == await begun(store, "d") == Earlier("f", long)
        assert await elsewhere.erase("ada", dry=True) == 2


async def test_a_holder_that_is_late_but_alone_may_still_answer(store: AnswerStore) -> None:
    slow = await leased(store)
    assert await store.finish(slow, ANSWER, expires=UNTIL + 5000)
    assert await begun(store, now=UNTIL + 1) == Earlier("f", ANSWER)


async def test_a_released_key_is_free(store: AnswerStore) -> None:
    lease = await leased(store)
    await store.release(lease)
    assert not await store.finish(lease, ANSWER, expires=NOW + 5000)
    again = await leased(store, fingerprint="g")
    assert again.holder != lease.holder


async def test_an_answer_that_was_taken_over_leaves_nothing_of_itself(store: AnswerStore) -> None:
    assert await store.finish(await leased(store), ANSWER, expires=NOW + 10)
    await leased(store, now=NOW + 10)
    assert await begun(store, now=NOW + 10) == Earlier("f", None)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000, 2_000_000])
async def test_answers_of_any_size_come_back_byte_for_byte(answering: Answering, size: int) -> None:
    body = random.Random(size).randbytes(size)  # noqa: S311 - what does not deflate
    async with answering.opened(most_part=100 if size < 10_000 else 350_000) as store:
        assert await store.finish(await leased(store), Answer(201, "a/b", body), expires=NOW + 5000)
        assert await begun(store) == Earlier("f", Answer(201, "a/b", body))


async def test_what_one_store_keeps_another_finds_but_for_another_namespace(answering: Answering) -> None:
    async with answering.opened() as one, answering.opened() as two, answering.opened("other #/ä") as other:
        await one.finish(await leased(one), ANSWER, expires=NOW + 5000)
        assert await begun(two) == Earlier("f", ANSWER)
        assert isinstance(await begun(other), Lease)
        assert await begun(other) == Earlier("f", None)


async def test_a_closed_store_opens_again(store: AnswerStore) -> None:
    lease = await leased(store)
    await store.close()
    await store.close()
    assert await store.finish(lease, ANSWER, expires=NOW + 5000)


async def test_of_many_at_once_one_gets_the_key(store: AnswerStore) -> None:
    got = await asyncio.gather(*(begun(store) for _ in range(30)))
    assert [type(one) for one in got].count(Lease) == 1


async def test_of_many_processes_at_once_one_gets_each_key_whether_it_is_free_or_its_lease_has_ended(
    answering: Answering, crew: Crew
) -> None:
    keys = [f"k{number}" for number in range(25)]
    for now in (NOW, UNTIL):
        runs = await crew.work(rush, *[(answering, keys, now)] * crew.size)
        assert Counter(key for got in runs for key in got) == dict.fromkeys(keys, 1)


async def test_what_a_dead_process_held_is_taken_over_when_its_lease_has_ended(answering: Answering) -> None:
    process = multiprocessing.get_context("spawn").Process(target=crash, args=(answering, "k"))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == 9
    async with answering.opened() as store:
        assert await begun(store, now=UNTIL - 1) == Earlier("f", None)
        assert isinstance(await begun(store, now=UNTIL), Lease)


@dataclass
class Run:
    """The same steps on two stores; a step's time never goes back."""

    stores: tuple[AnswerStore, AnswerStore]
    now: int = NOW
    leases: dict[str, list[tuple[Lease, Lease]]] = field(default_factory=dict[str, list[tuple[Lease, Lease]]])

    async def step(self, step: Step) -> None:
        what, key, fingerprint, number = step
        self.now += number % 3
        held = self.leases.setdefault(key, [])
        if what == "begin":
            one, two = [
                await each.begin(key, fingerprint, now=self.now, until=self.now + number) for each in self.stores
            ]
            assert type(one) is type(two)
            if isinstance(one, Lease) and isinstance(two, Lease):
                held.append((one, two))
            else:
                assert one == two
        elif held:
            pair = held[number % len(held)]
            answer, expires = Answer(200, fingerprint, bytes([number])), self.now + number
            if what == "finish":
                done = [
                    await store.finish(lease, answer, expires=expires)
                    for store, lease in zip(self.stores, pair, strict=True)
                ]
                assert done[0] == done[1]
            else:
                for store, lease in zip(self.stores, pair, strict=True):
                    await store.release(lease)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_store_does_what_the_model_does(answering: Answering, steps: list[Step]) -> None:
    async def compare() -> None:
        async with answering.opened(uuid.uuid4().hex) as store:
            run = Run((store, MemoryAnswers()))
            for step in steps:
                await run.step(step)

    asyncio.run(compare())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("aws_credentials")
async def test_a_store_that_cannot_be_reached_is_unavailable_for_every_call(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        (tmp_path / "answers.db").mkdir()
        answering = Answering(str(tmp_path / "answers.db"))
    else:
        answering = Answering("state", f"http://127.0.0.1:{unused_port()}")
    async with answering.opened() as store:
        lease = Lease("k", "h")
        for work in (begun(store), store.finish(lease, ANSWER, expires=1), store.release(lease)):
            with pytest.raises(IdempotencyUnavailable):
                await work
