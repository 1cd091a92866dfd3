"""What JobStore promises, over both adapters, in one process; test_job_processes.py has several."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, field, replace
from math import nextafter
from pathlib import Path
from typing import Any
import uuid

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest, NotFound, StateUnavailable
from core.frame.callers import ANONYMOUS, Principal
from core.stores.jobs.codec import MOST_BODY
from core.stores.jobs.port import ENDED, Counts, Job, JobStore, Outcome, Shard, Status
from infra.local import dynamodb
from tests.contract.jobs import ADA, EXPIRES, KINDS, NOW, UNTIL, Clock, Jobs, Model, job, running, shards_of

COUNTS = Counts(5, 2, {"llama/ü": 1234, "b": 0})
BOB = Principal("bob", {})


@pytest.fixture(scope="module")
def jobs_table(dynamodb_endpoint: str) -> str:
    name = f"jobs-{uuid.uuid4().hex}"
    dynamodb.create_table(dynamodb_endpoint, name, range_key="sk")
    return name


@pytest.fixture(params=KINDS)
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Jobs:
    request.getfixturevalue("aws_credentials")
    return Jobs.fresh(request, request.param, tmp_path, "jobs_table", space=uuid.uuid4().hex)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(jobs: Jobs, clock: Clock) -> AsyncGenerator[JobStore]:
    async with jobs.opened(clock=clock) as store:
        yield store


async def there(store: JobStore, job_id: str = "job_1") -> Job:
    found = await store.get(job_id)
    assert found is not None
    return found


async def test_a_job_goes_with_its_shards_and_its_key_and_no_other(store: JobStore) -> None:
    for number, who, key in ((1, ADA, "k"), (2, ADA, "l"), (3, BOB, "k")):
        await store.create(job(number, principal=who), key=key)
    held = await leased(store)
    shards = shards_of(held, 3)
    assert await store.start(held, shards, now=NOW)
    one = await there(store)
    shard = await store.lease_shard(one, 0, "me", now=NOW, until=UNTIL)
    assert shard is not None
    await store.delete(one)
    await store.delete(one)
    assert await store.get("job_1") is None
    assert await store.shards(one) == []
    assert not await store.checkpoint(shard)
    assert await store.finish_shard(shard) is None
    owners = [ADA.identity, BOB.identity, None]
    pages = [await store.page("batch", owner=owner, after=None, limit=9) for owner in owners]
    assert [[job.id for job in page.jobs] for page in pages] == [["job_2"], ["job_3"], ["job_3", "job_2"]]
    assert (await store.create(job(4), key="k")).id == "job_4"
    assert (await store.create(job(5), key="l")).id == "job_2"
    assert (await store.create(job(6, principal=BOB), key="k")).id == "job_3"


async def leased(store: JobStore, holder: str = "me", now: float = NOW, job_id: str = "job_1") -> Job:
    found = await store.lease(job_id, holder, now=now, until=now + UNTIL - NOW)
    assert found is not None
    assert found.holder == holder
    return found


async def leased_shard(store: JobStore, one: Job, number: int = 0, holder: str = "me", now: float = NOW) -> Shard:
    shard = await store.lease_shard(one, number, holder, now=now, until=now + UNTIL - NOW)
    assert shard is not None
    assert shard.holder == holder
    return shard


async def finishing(store: JobStore, status: Status = "finishing") -> Job:
    """A job all of whose shards are done, held by `me` to be finished."""
    one = await running(store, 1)
    assert await store.finish_shard(await leased_shard(store, one)) == 0
    assert (await there(store)).status == status
    return await leased(store)


async def end(store: JobStore, mine: Job, status: Outcome = "completed", now: float = NOW + 9, **how: Any) -> bool:
    values: dict[str, Any] = {"reason": "why", "counts": COUNTS, "result": {"file": "f"}} | how
    return await store.end(mine, status, now=now, **values)


def worked(shard: Shard, rows: int = 3, **more: Any) -> Shard:
    """With so many rows done, in one part."""
    values: dict[str, Any] = {
        "done": 2**rows - 1, "parts": (f"parts/{shard.holder}/{rows}",), "counts": Counts(rows, 0, {"m": rows})
    }  # fmt: skip
    return replace(shard, **values | more)


@pytest.mark.parametrize(
    "one",
    [
        job(),
        job(principal=ANONYMOUS, kind="eval", request={}),
        job(request={"text": "ü🦙 \ud800 \x00", "n": [1.5, 2**70, None, {"x": ""}]}),
        job(id="batch_" + "x" * 500, deadline=NOW + 0.125, created=0.1),
        job(principal=Principal("ü\ud800#/", {"a#": ("b", "ü")}, "v")),
    ],
)
async def test_a_job_comes_back_as_it_was_made(store: JobStore, one: Job) -> None:
    assert await store.create(one) == one
    assert await store.get(one.id) == one
    assert (await store.page(one.kind, owner=one.owner, after=None, limit=1)).jobs == [one]


@pytest.mark.parametrize("name", ["", "job_2", "ü", "\ud800", "a\x00", "x" * 3000])
async def test_what_is_not_there_is_none(store: JobStore, name: str) -> None:
    await store.create(job())
    assert await store.get(name) is None
    assert await store.lease(name, "me", now=NOW, until=UNTIL) is None
    assert await store.stop(name, "cancelled") is None
    with pytest.raises(NotFound, match="no job"):
        await store.page("batch", owner=None, after=name, limit=9)


@pytest.mark.parametrize("name", ["", "ü", "x" * 513, "a\n"])
async def test_an_id_that_cannot_be_a_key_is_refused(store: JobStore, name: str) -> None:
    with pytest.raises(InvalidRequest, match="printable ASCII"):
        await store.create(job(id=name))


async def test_under_a_taken_key_is_the_job_that_is_there(store: JobStore) -> None:
    first = await store.create(job(1), key="k ü\ud800")
    assert await store.create(job(2), key="k ü\ud800") == first
    assert await store.create(job(3), key="other") == job(3)
    assert await store.create(job(4, principal=BOB), key="k ü\ud800") == job(4, principal=BOB)
    assert await store.get("job_2") is None
    listed = (await store.page("batch", owner=None, after=None, limit=9)).jobs
    assert [one.id for one in listed] == ["job_4", "job_3", "job_1"]


async def test_without_a_key_each_is_a_job_and_a_taken_id_is_the_job_that_is_there(store: JobStore) -> None:
    await store.create(job(1))
    await store.create(job(2))
    assert await store.create(job(1, request={"other": 1})) == job(1)
    assert len((await store.page("batch", owner=None, after=None, limit=9)).jobs) == 2


async def test_of_many_at_once_one_is_made_under_a_key(store: JobStore) -> None:
    made = await asyncio.gather(*(store.create(job(number), key="k") for number in range(12)))
    assert len({one.id for one in made}) == 1
    assert (await store.page("batch", owner=None, after=None, limit=100)).jobs == [made[0]]


async def test_pages_have_the_newest_first_of_one_owner_or_all(store: JobStore) -> None:
    rows = [job(number, principal=BOB if number % 3 == 0 else ANONYMOUS) for number in range(7)]
    rows += [job(7, kind="eval")]
    for row in rows:
        await store.create(row)
    newest = rows[6::-1]
    assert (await store.page("batch", owner=None, after=None, limit=100)).jobs == newest
    for owner in (None, BOB.identity, ""):
        mine = [row for row in newest if owner in (None, row.owner)]
        for limit in (1, 2, 7):
            pages: list[Job] = []
            more = True
            while more:
                page = await store.page("batch", owner=owner, after=pages[-1].id if pages else None, limit=limit)
                pages += page.jobs
                more = page.has_more
            assert pages == mine


async def test_jobs_of_one_moment_are_in_the_order_of_their_ids(store: JobStore) -> None:
    for name in "bca":
        await store.create(job(id=name))
    page = await store.page("batch", owner=ADA.identity, after="c", limit=1)
    assert ([one.id for one in page.jobs], page.has_more) == (["b"], True)


async def test_a_moment_is_as_short_as_clocks_have_it(store: JobStore) -> None:
    for name, created in (("z", NOW), ("a", nextafter(NOW, EXPIRES))):
        await store.create(job(id=name, created=created))
    page = await store.page("batch", owner=None, after=None, limit=2)
    assert [one.id for one in page.jobs] == ["a", "z"]


async def test_a_cursor_of_another_list_is_not_found(store: JobStore) -> None:
    await store.create(job(1))
    for kind, owner in (("eval", None), ("batch", BOB.identity)):
        with pytest.raises(NotFound, match="no job `job_1`"):
            await store.page(kind, owner=owner, after="job_1", limit=9)


async def test_a_free_job_is_leased_and_a_held_one_stays_its_holders(store: JobStore) -> None:
    await store.create(job())
    mine = await leased(store)
    assert (mine.until, mine.attempts, mine.status) == (UNTIL, 0, "queued")
    assert await store.lease("job_1", "you", now=UNTIL, until=UNTIL + 60) == mine
    assert await store.lease("job_1", "me", now=NOW, until=UNTIL + 5) == mine
    assert await store.renew(mine, until=UNTIL + 1)
    assert (await there(store)).until == UNTIL + 1


async def test_a_lapsed_lease_is_taken_over_and_counted(store: JobStore) -> None:
    await store.create(job())
    slow = await leased(store)
    quick = await leased(store, "you", now=UNTIL + 1)
    assert quick.attempts == 1
    assert not await store.renew(slow, until=UNTIL + 500)
    await store.release(slow)
    assert not await store.start(slow, shards_of(slow, 2), now=NOW)
    assert not await end(store, slow)
    assert await there(store) == quick
    assert (await leased(store, "them", now=UNTIL + 99)).attempts == 2


async def test_a_released_lease_is_free_and_not_counted(store: JobStore) -> None:
    await store.create(job())
    await store.release(await leased(store))
    free = await there(store)
    assert (free.holder, free.until, free.attempts) == ("", 0, 0)
    assert not await store.renew(free, until=UNTIL)
    assert not await end(store, free)
    assert not await store.start(free, shards_of(free, 1), now=NOW)
    assert (await leased(store, "you")).attempts == 0


async def test_a_started_job_runs_over_its_shards_without_a_lease(store: JobStore) -> None:
    await store.create(job())
    await leased(store)
    mine = await leased(store, "you", now=UNTIL + 1)
    shards = shards_of(mine, 3)
    assert await store.start(mine, shards, now=NOW + 5)
    one = await there(store)
    assert one == replace(
        job(), status="running", plan="p1", shards=3, left=3, rows=24, started=NOW + 5, until=0, attempts=0
    )
    assert await store.shards(one) == shards
    assert await store.lease("job_1", "me", now=NOW, until=UNTIL) == one


async def test_a_repeated_start_takes_nothing_back_and_another_one_is_refused(store: JobStore) -> None:
    await store.create(job())
    mine = await leased(store)
    assert await store.start(mine, shards_of(mine, 3), now=NOW)
    one = await there(store)
    shard = worked(await leased_shard(store, one, 1))
    assert await store.finish_shard(shard) == 2
    assert await store.start(mine, shards_of(mine, 3), now=NOW)
    assert not await store.start(mine, shards_of(mine, 2, "p2"), now=NOW)
    assert not await store.start(mine, shards_of(mine, 3), now=NOW + 1)
    assert (await there(store)).left == 2
    assert [one.state for one in await store.shards(one)] == ["waiting", "done", "waiting"]


async def test_shards_of_a_plan_that_was_not_taken_count_for_nothing(store: JobStore) -> None:
    one = await running(store, 2)
    late = replace(one, holder="starter")
    assert not await store.start(late, shards_of(one, 2, "p2"), now=NOW)
    orphan = await store.lease_shard(replace(one, plan="p2"), 0, "me", now=NOW, until=UNTIL)
    assert orphan is None or await store.finish_shard(orphan) is None
    assert await there(store) == one
    assert await store.shards(one) == shards_of(one, 2)


async def test_a_job_without_shards_is_finishing_at_once(store: JobStore) -> None:
    await store.create(job())
    mine = await leased(store)
    assert await store.start(mine, [], now=NOW)
    assert await store.start(mine, [], now=NOW)
    one = await there(store)
    assert (one.status, one.holder, one.left, one.plan) == ("finishing", "", 0, "")
    assert await store.shards(one) == []


async def test_many_shards_with_large_sources_come_back_in_order(store: JobStore) -> None:
    await store.create(job())
    mine = await leased(store)
    shards = [replace(shard, source={"x": "y" * 20_000}) for shard in shards_of(mine, 230)]
    shards += [Shard("job_1", "p1", number, {"n": number}, 1) for number in range(230, 630)]
    assert await store.start(mine, shards, now=NOW)
    one = await there(store)
    assert (one.shards, one.left, one.rows) == (630, 630, 230 * 8 + 400)
    assert await store.shards(one) == shards


async def test_a_queued_job_that_is_stopped_is_finishing_and_its_preparer_has_lost_it(store: JobStore) -> None:
    await store.create(job())
    await leased(store)
    mine = await leased(store, "you", now=UNTIL + 1)
    one = await store.stop("job_1", "cancelled", "by its owner")
    assert one == replace(
        job(), status="finishing", outcome="cancelled", reason="by its owner", stopped=NOW, finishing=NOW
    )
    assert not await store.renew(mine, until=UNTIL)
    assert not await store.start(mine, shards_of(mine, 1), now=NOW)
    assert await store.stop("job_1", "expired", "late") == one


async def test_a_running_job_that_is_stopped_is_finishing_when_nothing_is_left(store: JobStore) -> None:
    one = await running(store, 2)
    stopped = await store.stop("job_1", "expired", "late")
    assert stopped == replace(one, status="stopping", outcome="expired", reason="late", stopped=NOW)
    assert await store.stop("job_1", "cancelled") == stopped
    assert await store.lease("job_1", "me", now=NOW, until=UNTIL) == stopped
    assert await store.finish_shard(worked(await leased_shard(store, one, 1))) == 1
    assert (await there(store)).status == "stopping"
    assert await store.close_shard(shards_of(one, 1)[0], now=NOW) == 0
    assert await there(store) == replace(stopped, status="finishing", left=0, finishing=NOW)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
async def test_a_finishing_job_ends_as_its_holder_says(store: JobStore, status: Outcome) -> None:
    mine = await finishing(store)
    assert await end(store, mine, status)
    ended = replace(
        mine, status=status, outcome=status, reason="why", counts=COUNTS, result={"file": "f"}, ended=NOW + 9
    )
    assert await there(store) == ended
    assert await end(store, mine, status)
    assert not await end(store, mine, "failed", now=NOW + 10, result={"other": "result"})
    assert not await end(store, replace(mine, holder="you"), result={})
    assert await store.stop("job_1", "cancelled") == ended
    assert await store.lease("job_1", "you", now=UNTIL + 9, until=UNTIL + 99) == ended
    assert not await store.renew(mine, until=UNTIL)
    await store.release(mine)
    assert await there(store) == ended


async def test_a_job_that_cannot_be_prepared_ends_without_shards(store: JobStore) -> None:
    await store.create(job())
    mine = await leased(store)
    assert await end(store, mine, "failed", reason="x" * 3000 + "\ud800")
    assert (await there(store)).reason == "x" * 2000
    assert (await store.page("batch", owner=ADA.identity, after=None, limit=1)).jobs == [await there(store)]


async def test_a_running_job_is_ended_by_nobody(store: JobStore) -> None:
    one = await running(store, 1)
    for holder in ("", "starter"):
        assert not await end(store, replace(one, holder=holder))
    assert await there(store) == one


async def test_a_tick_is_advanced_once_until_the_job_has_ended(store: JobStore) -> None:
    await store.create(job())
    assert not await store.advance_tick("job_1", 1)
    assert sorted(await asyncio.gather(*(store.advance_tick("job_1", 0) for _ in range(5)))) == [False] * 4 + [True]
    assert await store.advance_tick("job_1", 1)
    assert not await store.advance_tick("job_2", 0)
    assert await end(store, await leased(store))
    assert not await store.advance_tick("job_1", 2)
    assert (await there(store)).tick == 2


async def test_a_shard_is_leased_by_one_and_taken_over_when_the_lease_has_ended(store: JobStore) -> None:
    one = await running(store, 2)
    mine = await leased_shard(store, one)
    assert mine == replace(shards_of(one, 1)[0], state="leased", holder="me", until=UNTIL)
    for holder in ("me", "you"):
        assert await store.lease_shard(one, 0, holder, now=UNTIL, until=UNTIL + 9) == mine
    assert await store.checkpoint(worked(mine))
    yours = await leased_shard(store, one, 0, "you", now=UNTIL + 1)
    assert yours == worked(mine, holder="you", until=UNTIL + 61, attempts=1)
    assert await store.checkpoint(replace(yours, attempts=0))
    assert (await store.shards(one))[0].attempts == 0
    assert await store.lease_shard(one, 2, "me", now=NOW, until=UNTIL) is None


async def test_nothing_of_a_holder_that_lost_its_shard_is_visible(store: JobStore) -> None:
    one = await running(store, 1)
    slow = await leased_shard(store, one)
    quick = worked(await leased_shard(store, one, 0, "you", now=UNTIL + 1), 2)
    assert await store.checkpoint(quick)
    late = worked(slow, 8, until=UNTIL + 999)
    assert not await store.checkpoint(late)
    assert not await store.release_shard(late)
    assert await store.finish_shard(late) is None
    assert await store.shards(one) == [quick]
    assert await store.finish_shard(quick) == 0
    assert not await store.checkpoint(quick)
    assert await store.finish_shard(late) is None
    assert (await there(store)).left == 0


async def test_a_shard_that_nobody_took_is_not_worked_on(store: JobStore) -> None:
    one = await running(store, 1)
    (waiting,) = await store.shards(one)
    assert not await store.checkpoint(worked(waiting))
    assert await store.finish_shard(waiting) is None
    assert await there(store) == one


async def test_a_released_shard_waits_with_what_was_done(store: JobStore) -> None:
    one = await running(store, 1)
    mine = worked(await leased_shard(store, one))
    assert await store.release_shard(mine)
    assert await store.release_shard(mine)
    (waiting,) = await store.shards(one)
    assert waiting == replace(mine, state="waiting", holder="")
    assert not await store.checkpoint(mine)
    yours = await leased_shard(store, one, 0, "you")
    assert yours == replace(mine, holder="you")
    assert not await store.release_shard(mine)


async def test_the_last_shard_makes_the_job_finishing_and_a_repeated_end_counts_once(store: JobStore) -> None:
    one = await running(store, 3)
    held = [worked(await leased_shard(store, one, number, f"h{number}"), until=UNTIL + 5) for number in range(3)]
    assert [await store.finish_shard(held[0]) for _ in range(3)] == [2, 2, 2]
    assert await store.finish_shard(held[1]) == 1
    assert (await there(store)).status == "running"
    assert [await store.finish_shard(held[2]) for _ in range(3)] == [0, 0, 0]
    assert await there(store) == replace(one, status="finishing", left=0, finishing=NOW)
    assert await store.shards(one) == [replace(shard, state="done") for shard in held]
    assert await store.lease_shard(one, 0, "you", now=UNTIL + 99, until=UNTIL + 199) == replace(held[0], state="done")


async def test_a_shard_that_nobody_has_is_closed_once_with_what_was_done(store: JobStore) -> None:
    one = await running(store, 3)
    held = worked(await leased_shard(store, one, 1))
    assert await store.checkpoint(held)
    assert await store.close_shard(held, now=UNTIL) is None
    assert await store.close_shard(shards_of(one, 1)[0], now=NOW) == 2
    assert await store.close_shard(shards_of(one, 1)[0], now=NOW) is None
    assert await store.close_shard(held, now=UNTIL + 1) == 1
    assert await store.finish_shard(held) is None
    first, second, third = await store.shards(one)
    assert (first.state, third.state) == ("done", "waiting")
    assert second == replace(held, state="done", holder="")


async def test_many_bits_counts_and_parts_come_back(store: JobStore) -> None:
    one = await running(store, 1)
    mine = await leased_shard(store, one)
    parts = tuple(f"jobs/job_1/parts/00000.{number:03}.ü" for number in range(500))
    full = replace(mine, done=(2**500 - 1) ^ 2**77, parts=parts, counts=COUNTS, until=UNTIL + 0.5)
    assert await store.checkpoint(full)
    assert await store.shards(one) == [full]


async def test_what_is_too_large_is_refused_and_what_just_fits_is_kept(store: JobStore) -> None:
    full = {"x": "y" * (MOST_BODY - len('{"x":""}'))}
    over: dict[str, Any] = {"x": full["x"] + "y"}
    with pytest.raises(InvalidRequest, match="request takes 300001 bytes as JSON; at most 300000"):
        await store.create(job(request=over))
    assert await store.get("job_1") is None
    await store.create(job(request=full))
    mine = await leased(store)
    source = replace(shards_of(mine, 1)[0], source=over)
    with pytest.raises(InvalidRequest, match="source takes 300001 bytes"):
        await store.start(mine, [source], now=NOW)
    with pytest.raises(InvalidRequest, match="result takes 300001 bytes"):
        await end(store, mine, result=over)
    with pytest.raises(InvalidRequest, match="cannot be stored as JSON"):
        await end(store, mine, result={"x": float("nan")})
    assert await end(store, mine, result=full)
    ended = await there(store)
    assert (ended.request, ended.result) == (full, full)


async def test_what_has_expired_is_not_there_for_anybody(store: JobStore, clock: Clock) -> None:
    await store.create(job(2), key="k")
    one = await running(store, 2)
    mine = await leased(store, job_id="job_2")
    shard = await leased_shard(store, one)
    clock.now = EXPIRES - 0.5
    assert await store.get("job_1") == one
    clock.now = EXPIRES
    assert await store.get("job_1") is None
    assert (await store.page("batch", owner=None, after=None, limit=9)).jobs == []
    assert await store.lease("job_2", "you", now=UNTIL + 9, until=UNTIL + 99) is None
    assert await store.stop("job_2", "cancelled") is None
    assert not await store.renew(mine, until=UNTIL)
    assert not await store.start(mine, shards_of(mine, 1), now=NOW)
    assert not await end(store, mine)
    assert not await store.advance_tick("job_2", 0)
    assert await store.shards(one) == []
    assert await store.lease_shard(one, 0, "you", now=UNTIL + 9, until=UNTIL + 99) is None
    assert not await store.checkpoint(shard)
    assert not await store.release_shard(shard)
    assert await store.finish_shard(shard) is None
    assert await store.close_shard(shard, now=UNTIL + 9) is None
    with pytest.raises(NotFound):
        await store.page("batch", owner=None, after="job_1", limit=9)


async def test_what_has_expired_leaves_its_id_and_its_key_free(store: JobStore, clock: Clock) -> None:
    await store.create(job(1), key="k")
    clock.now = EXPIRES
    new = job(2, expires=EXPIRES + 100)
    assert await store.create(new, key="k") == new
    again = job(1, expires=EXPIRES + 100, request={"again": True})
    assert await store.create(again) == again
    assert (await store.page("batch", owner=ADA.identity, after=None, limit=9)).jobs == [new, again]


async def test_pages_leave_out_what_has_expired_in_between(store: JobStore, clock: Clock) -> None:
    for number in range(6):
        await store.create(job(number, expires=EXPIRES + 100 * (number % 2)))
    clock.now = EXPIRES
    page = await store.page("batch", owner=None, after="job_5", limit=1)
    assert ([one.id for one in page.jobs], page.has_more) == (["job_3"], True)
    page = await store.page("batch", owner=None, after="job_3", limit=1)
    assert ([one.id for one in page.jobs], page.has_more) == (["job_1"], False)


async def test_what_one_store_keeps_another_finds_but_for_another_namespace(jobs: Jobs) -> None:
    async with jobs.opened() as one, jobs.opened() as two, jobs.opened("other #/ä") as other:
        made = await running(one, 1)
        assert await two.get("job_1") == made
        assert await other.get("job_1") is None
        assert await other.shards(made) == []
        assert (await other.page("batch", owner=None, after=None, limit=9)).jobs == []
        assert await other.create(job(1, request={})) == job(1, request={})
        assert await two.shards(made) == shards_of(made, 1)


async def test_a_closed_store_opens_again(store: JobStore) -> None:
    store.warm()
    await store.create(job())
    await store.close()
    await store.close()
    assert await store.get("job_1") == job()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("aws_credentials")
async def test_a_store_that_cannot_be_reached_is_unavailable_for_every_call(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        (tmp_path / "jobs.db").mkdir()
        jobs = Jobs(str(tmp_path / "jobs.db"))
    else:
        jobs = Jobs("state", f"http://127.0.0.1:{unused_port()}")
    one = job(holder="me", shards=1, plan="p1")
    (shard,) = shards_of(one, 1)
    async with jobs.opened() as store:
        calls: list[Awaitable[object]] = [
            store.create(one, key="k"), store.get("a"), store.page("batch", owner=None, after=None, limit=1),
            store.lease("a", "me", now=NOW, until=UNTIL), store.renew(one, until=UNTIL), store.release(one),
            store.start(one, [shard], now=NOW), store.stop("a", "cancelled"), end(store, one),
            store.advance_tick("a", 0), store.shards(one), store.lease_shard(one, 0, "me", now=NOW, until=UNTIL),
            store.checkpoint(shard), store.release_shard(shard), store.finish_shard(shard),
            store.close_shard(shard, now=NOW),
        ]  # fmt: skip
        for failure in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(failure, StateUnavailable)
            assert "cannot be" in failure.message
            assert failure.headers["retry-after"] == "5"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "lease",
                "lease",
                "renew",
                "release",
                "start",
                "stop",
                "end",
                "tick",
                "lease_shard",
                "lease_shard",
                "lease_shard",
                "checkpoint",
                "release_shard",
                "finish_shard",
                "finish_shard",
                "finish_shard",
                "close_shard",
            ]
        ),
        st.sampled_from(["ann", "ben", "cy"]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 1, 20, 70]),
    ),
    max_size=40,
)
type Step = tuple[str, str, int, int]
NEXT: dict[str, set[str]] = {
    "queued": {"running", "finishing", *ENDED},
    "running": {"stopping", "finishing"},
    "stopping": {"finishing"},
    "finishing": {*ENDED},
}


@dataclass
class Run:
    """The same steps of several holders on a store and on the model; time never goes back."""

    store: JobStore
    model: Model
    now: float = NOW
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    shards: dict[tuple[str, int], Shard] = field(default_factory=dict[tuple[str, int], Shard])
    leases: int = 0

    async def step(self, step: Step) -> None:
        what, name, number, seconds = step
        self.now += seconds
        before = self.model.job
        await getattr(self, what)(name, number)
        one = self.model.job
        assert await self.store.get("job_1") == one
        shards = await self.store.shards(one)
        assert shards == list(self.model.shards.values())
        assert one.left == sum(shard.state != "done" for shard in shards)
        assert one.status == before.status or one.status in NEXT[before.status]
        assert (one.status in ("running", "stopping")) == (one.left > 0)

    def holder(self, name: str) -> str:
        self.leases += 1
        return f"{name}{self.leases}"

    async def lease(self, name: str, _: int) -> None:
        holder, until = self.holder(name), self.now + 60
        there = await self.store.lease("job_1", holder, now=self.now, until=until)
        assert there is not None
        assert there == self.model.lease(holder, self.now, until)
        if there.holder == holder:
            self.jobs[name] = there

    def mine(self, name: str) -> Job:
        return self.jobs.get(name, job(holder=name))

    async def renew(self, name: str, _: int) -> None:
        mine = self.mine(name)
        assert await self.store.renew(mine, until=self.now + 60) == self.model.renew(mine, self.now + 60)

    async def release(self, name: str, _: int) -> None:
        await self.store.release(self.mine(name))
        self.model.release(self.mine(name))

    async def start(self, name: str, number: int) -> None:
        mine, self.now = self.mine(name), self.now + 0.5  # each start at a time of its own
        shards = shards_of(job(), number, f"plan{self.now}")
        assert await self.store.start(mine, shards, now=self.now) == self.model.start(mine, shards, self.now)

    async def stop(self, name: str, _: int) -> None:
        assert await self.store.stop("job_1", "cancelled", name) == self.model.stop("cancelled", name)

    async def end(self, name: str, number: int) -> None:
        mine, self.now, status = self.mine(name), self.now + 0.5, sorted(ENDED)[number]
        counts, result = Counts(number), {"r": status}
        ended = await end(self.store, mine, status, now=self.now, reason="so", counts=counts, result=result)  # type: ignore[arg-type]
        assert ended == self.model.end(mine, status, counts, self.now)

    async def tick(self, _: str, number: int) -> None:
        assert await self.store.advance_tick("job_1", number) == self.model.advance_tick(number)

    async def lease_shard(self, name: str, number: int) -> None:
        holder, until = self.holder(name), self.now + 60
        there = await self.store.lease_shard(self.model.job, number, holder, now=self.now, until=until)
        assert there == self.model.lease_shard(number, holder, self.now, until)
        if there is not None and there.holder == holder:
            self.shards[name, number] = there

    def work(self, name: str, number: int) -> Shard | None:
        """What this one believes to hold, with one more row done."""
        mine = self.shards.get((name, number))
        if mine is not None and number in self.model.shards:
            parts = (*mine.parts, f"{mine.holder}.{len(mine.parts)}")
            counts = mine.counts + Counts(1, 0, {name: 2})
            mine = replace(mine, done=mine.done << 1 | 1, parts=parts, counts=counts, until=self.now + 60)
            self.shards[name, number] = mine
        return mine

    async def checkpoint(self, name: str, number: int) -> None:
        if mine := self.work(name, number):
            assert await self.store.checkpoint(mine) == self.model.checkpoint(mine)

    async def release_shard(self, name: str, number: int) -> None:
        if mine := self.work(name, number):
            assert await self.store.release_shard(mine) == self.model.release_shard(mine)

    async def finish_shard(self, name: str, number: int) -> None:
        if mine := self.work(name, number):
            assert await self.store.finish_shard(mine) == self.model.finish_shard(mine)

    async def close_shard(self, _: str, number: int) -> None:
        if shard := self.model.shards.get(number):
            assert await self.store.close_shard(shard, now=self.now) == self.model.close_shard(number, self.now)


START: list[Step] = [("lease", "ann", 0, 0), ("start", "ann", 3, 0)]


@pytest.mark.parametrize("examples", [30, pytest.param(400, marks=pytest.mark.exact)])
def test_every_store_does_what_the_model_does(jobs: Jobs, examples: int) -> None:
    @settings(max_examples=examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(prelude=st.sampled_from([[], START, START]), steps=STEPS)
    def compare(prelude: list[Step], steps: list[Step]) -> None:
        asyncio.run(follow(jobs, [*prelude, *steps]))

    compare()


async def follow(jobs: Jobs, steps: list[Step]) -> None:
    async with jobs.opened(uuid.uuid4().hex, Clock()) as store:
        run = Run(store, Model(await store.create(job())))
        for step in steps:
            await run.step(step)
