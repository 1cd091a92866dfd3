"""The rules by which a job's accounting stays exact, whoever dies when: one engine, a real store, a clock that a test moves."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import (
    Conflict,
    ConversationLocked,
    InvalidRequest,
    LimitReached,
    PermissionDenied,
    ProviderUnavailable,
    QuotaExceeded,
    StateUnavailable,
    UpstreamThrottled,
)
from core.frame.api import JobRow
from core.frame.callers import ANONYMOUS, CURRENT_CALL, Call, Charge, Principal
from core.frame.types import JsonObject
from core.services.jobs.kind import FinishRun, JobFailed, JobKind, PrepareRun, Result, Row, Slice
from core.services.jobs.messages import DONE, Again, GiveBack, Task
from core.services.jobs.retrying import retry
from core.services.jobs.service import Progress
from core.services.jobs.shard_run import ShardRun
from core.services.jobs.timing import Timing, Turn
from core.stores.jobs.port import Counts
from tests.parts.job_bench import Bench, begun, close_all, eventually
from tests.parts.toy_jobs import echo, row_kind

ADA = Principal("ada", {"roles": ("user",)}, "api_key")
LEFT_BEHIND = ContextVar[int | None]("left_behind", default=None)


class Upstream:
    """Asked by rows: `asked` counts each; rows in `hanging` set `hung`, and wait until `release` is set."""

    def __init__(self, *hanging: int) -> None:
        self.asked: dict[int, int] = {}
        self.hanging = set(hanging)
        self.release = asyncio.Event()
        self.hung = asyncio.Event()
        self.failures: dict[int, list[BaseException]] = {}

    async def __call__(self, row: Row, call: Call) -> Result:
        self.asked[row.index] = self.asked.get(row.index, 0) + 1
        call.add_tokens(2)
        if self.failures.get(row.index):
            raise self.failures[row.index].pop(0)
        if row.index in self.hanging:
            self.hung.set()
            await self.release.wait()
        return echo(row)


@pytest.fixture(autouse=True)
async def closing() -> AsyncGenerator[None]:
    yield
    await close_all()


def parts_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("parts/**/*") if path.is_file()]


def rows_of(count: int) -> list[dict[str, int]]:
    return [{"row": number} for number in range(count)]


async def test_a_job_is_prepared_worked_on_and_finished_in_the_order_of_its_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind(per_shard=7))
    job = await bench.create(30)
    await bench.until_idle()
    done = await bench.job(job)
    assert (done.status, done.shards, done.left, done.rows) == ("completed", 5, 0, 30)
    assert done.counts == Counts(30, 0, {"m": 60})
    assert done.result == {"lines": 30, "file": "output.jsonl"}
    assert await bench.output(job) == rows_of(30)
    assert parts_in(tmp_path) == []


async def test_a_job_without_rows_completes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(0)
    await bench.until_idle()
    assert (await bench.job(job)).status == "completed"
    assert await bench.output(job) == []


# ---- 1 and 2: leases, and parts that are named after they are written


async def test_a_shard_that_another_has_is_left_to_it_and_a_redelivery_looks_again(tmp_path: Path) -> None:
    upstream = Upstream(3)
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(5)
    await bench.deliver("prepare")
    body = {"job": job.id, "do": "shard", "number": 0}
    first = await begun(bench, body)
    assert await bench.run(body) == DONE
    again = await bench.run(body, receives=2)
    assert isinstance(again, Again)
    assert 0 < again.seconds <= 61
    upstream.release.set()
    assert await first == DONE
    assert set(upstream.asked.values()) == {1}


async def test_a_lapsed_lease_is_taken_over_and_only_rows_without_a_checkpoint_are_asked_again(tmp_path: Path) -> None:
    upstream = Upstream(8, 9)
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(10)
    await bench.deliver("prepare")
    body = {"job": job.id, "do": "shard", "number": 0}
    dying = await begun(bench, body)
    await bench.until_kept(job, 0b11111111)
    assert await bench.service.counts(await bench.job(job)) == Counts(8, 0, {"m": 16})
    dying.cancel()
    await asyncio.wait((dying,))
    bench.clock.now += 61
    upstream.release.set()
    assert await bench.run(body, receives=2) == DONE
    await bench.until_idle()
    assert upstream.asked == dict.fromkeys(range(8), 1) | {8: 2, 9: 2}
    assert (await bench.job(job)).counts == Counts(10, 0, {"m": 20})
    assert await bench.output(job) == rows_of(10)


async def test_what_a_worker_writes_after_it_lost_its_lease_is_never_read(tmp_path: Path) -> None:
    upstream = Upstream(0, 1, 2)
    bench = Bench(tmp_path, row_kind(upstream), Timing(checkpoint=30, grace=0.1))
    job = await bench.create(3)
    await bench.deliver("prepare")
    body = {"job": job.id, "do": "shard", "number": 0}
    slow = await begun(bench, body)
    bench.clock.now += 61
    fast = await begun(bench, body)
    upstream.release.set()
    outcomes = [*(await asyncio.gather(slow, fast))]
    assert outcomes == [DONE, DONE]
    [shard] = await bench.shards(job)
    assert len(shard.parts) == 1
    assert len(parts_in(tmp_path)) == 2
    await bench.until_idle()
    assert (await bench.job(job)).counts == Counts(3, 0, {"m": 6})
    assert await bench.output(job) == rows_of(3)
    assert upstream.asked == {0: 2, 1: 2, 2: 2}


# ---- 3: left and finish, which may be said twice, or not at all


async def test_a_crash_before_finish_is_sent_is_mended_by_the_shards_redelivery(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(3)
    await bench.deliver("prepare")
    [message] = bench.queue.due("shard")
    await bench.run(message.body)
    bench.queue.waiting = [m for m in bench.queue.waiting if m.body["do"] not in {"finish", "tick"}]
    assert (await bench.job(job)).status == "finishing"
    await bench.deliver("shard")
    assert bench.queue.verbs() == ["finish"]
    await bench.until_idle()
    assert (await bench.job(job)).status == "completed"


async def test_finishing_twice_finishes_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(3)
    await bench.deliver("prepare")
    await bench.deliver("shard")
    body = {"job": job.id, "do": "finish"}
    assert await asyncio.gather(*(bench.run(body) for _ in range(3))) == [DONE] * 3
    ended = await bench.job(job)
    assert await bench.run(body) == DONE
    assert await bench.job(job) == ended
    assert ended.status == "completed"


async def test_a_crash_between_the_shards_and_their_messages_is_mended_by_the_redelivery(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind(per_shard=1))
    job = await bench.create(3)
    [message] = bench.queue.due("prepare")
    bench.queue.waiting.clear()
    await bench.run(message.body)
    bench.queue.waiting.clear()  # none of its three messages was sent
    assert await bench.run(message.body, receives=2) == DONE
    assert bench.queue.verbs() == ["shard"] * 3
    await bench.until_idle()
    assert (await bench.job(job)).status == "completed"


# ---- 5: a store that is down in the middle


async def test_a_store_that_is_down_for_a_while_loses_no_row_and_asks_none_that_it_could_not_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream()

    async def ask(row: Row, call: Call) -> Result:
        await asyncio.sleep(0.02)
        return await upstream(row, call)

    bench = Bench(tmp_path, row_kind(ask, at_once=1))
    job = await bench.create(60)
    await bench.deliver("prepare")
    put = bench.blobs.put

    async def fails(*_: object, **__: object) -> Any:
        raise StateUnavailable("down")

    monkeypatch.setattr(bench.blobs, "put", fails)
    shard = await begun(bench, {"job": job.id, "do": "shard", "number": 0})
    asked = dict[int, int]()

    async def is_holding() -> bool:
        before = dict(upstream.asked)
        await asyncio.sleep(0.3)
        asked.update(upstream.asked)
        return before == asked

    await eventually(is_holding)
    assert len(asked) < 60
    monkeypatch.setattr(bench.blobs, "put", put)
    assert await shard == DONE
    await bench.until_idle()
    assert await bench.output(job) == rows_of(60)
    assert set(upstream.asked.values()) == {1}


async def test_whoever_lost_its_shard_cancels_what_is_in_flight_and_forgets_it(tmp_path: Path) -> None:
    upstream = Upstream(0)
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(1)
    await bench.deliver("prepare")
    slow = await begun(bench, {"job": job.id, "do": "shard", "number": 0})
    bench.clock.now += 100
    now = bench.clock()
    taken = await bench.store.lease_shard(await bench.job(job), 0, "another", now=now + 61, until=now + 120)
    assert taken is not None
    assert await slow == DONE  # the upstream never answered
    assert (await bench.shards(job))[0] == taken


async def test_a_store_that_is_down_for_long_uses_up_no_deliveries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, row_kind())

    async def fails(*_: object) -> Any:
        raise StateUnavailable("down")

    monkeypatch.setattr(bench.store, "get", fails)
    outcomes = [await bench.run({"job": "job_1", "do": "tick", "number": 7}, receives=n) for n in (1, 2, 3, 4, 5)]
    assert outcomes[:3] == [GiveBack(5), GiveBack(15), GiveBack(45)]
    assert outcomes[3:] == [Again(Task("job_1", "tick", 7), "", 120)] * 2


async def test_a_message_is_given_back_where_the_store_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(1)

    async def fails(*_: object, **__: object) -> Any:
        raise StateUnavailable("down")

    monkeypatch.setattr(bench.store, "get", fails)
    for do in ("prepare", "shard", "stop", "finish", "tick"):
        assert isinstance(await bench.run({"job": job.id, "do": do}), GiveBack)


# ---- 7: the deadline of a worker


async def test_before_its_deadline_a_worker_begins_no_row_and_sends_the_shard_on(tmp_path: Path) -> None:
    upstream = Upstream(0, 1)
    bench = Bench(tmp_path, row_kind(upstream, at_once=2))
    job = await bench.create(6)
    await bench.deliver("prepare")
    turn = Turn(bench.clock() + 100)
    shard = await begun(bench, {"job": job.id, "do": "shard", "number": 0}, turn)
    bench.clock.now += 50  # less than the margin is left
    await asyncio.sleep(0.1)
    upstream.release.set()
    assert await shard == Again(Task(job.id, "shard", 0), "", 0)
    assert upstream.asked == {0: 1, 1: 1}
    [left] = await bench.shards(job)
    assert (left.state, left.done, left.attempts) == ("waiting", 0b11, 0)


async def test_a_row_that_outlasts_the_worker_is_cancelled_and_asked_by_the_next(tmp_path: Path) -> None:
    upstream = Upstream(1)
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(3)
    await bench.deliver("prepare")
    turn = Turn()
    body = {"job": job.id, "do": "shard", "number": 0}
    shard = await begun(bench, body, turn)
    turn.end(bench.clock() + bench.timing.reserve + 0.05)
    assert isinstance(await shard, Again)
    assert (await bench.shards(job))[0].done == 0b101
    upstream.release.set()
    assert await bench.run(body) == DONE
    assert upstream.asked == {0: 1, 1: 2, 2: 1}


# ---- 8: every job ends


async def test_after_five_takeovers_the_rows_left_are_errors(tmp_path: Path) -> None:
    upstream = Upstream(2)
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(3)
    await bench.deliver("prepare")
    body = {"job": job.id, "do": "shard", "number": 0}
    for _ in range(5):
        dying = await begun(bench, body)
        await bench.until_kept(job, 0b11)
        dying.cancel()
        await asyncio.wait((dying,))
        bench.clock.now += 61
    assert await bench.run(body) == DONE
    await bench.until_idle()
    assert upstream.asked == {0: 1, 1: 1, 2: 5}
    assert await bench.output(job) == [{"row": 0}, {"row": 1}, {"row": 2, "error": "worker_lost"}]
    assert (await bench.job(job)).counts == Counts(2, 1, {"m": 4})


async def test_a_shard_whose_rows_kill_whoever_reads_them_is_counted_and_the_job_ends(tmp_path: Path) -> None:
    kind = replace(row_kind(), abandon=None)
    bench = Bench(tmp_path, kind)
    job = await bench.create(3)
    await bench.deliver("prepare")
    started = await bench.job(job)
    for number in range(6):
        now = bench.clock()
        await bench.store.lease_shard(started, 0, f"dead{number}", now=now, until=now + 1)
        bench.clock.now += 2
    await bench.until_idle()
    assert (await bench.job(job)).counts == Counts(0, 3)
    assert (await bench.job(job)).status == "completed"


@pytest.mark.parametrize("end", ["prepare", "finish"])
async def test_a_job_that_kills_whoever_prepares_or_finishes_it_fails_with_its_reason(tmp_path: Path, end: str) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(3)
    if end == "finish":
        await bench.deliver("prepare")
        await bench.deliver("shard")
    for number in range(5):
        now = bench.clock()
        await bench.store.lease(job.id, f"dead{number}", now=now, until=now + 1)
        bench.clock.now += 2
    await bench.until_idle()
    failed = await bench.job(job)
    assert failed.status == "failed"
    assert failed.reason.startswith("worker_lost")
    assert failed.counts == (Counts(3, 0, {"m": 6}) if end == "finish" else Counts())


# ---- 9: ticks


async def test_a_crash_between_create_and_its_message_is_mended_by_the_first_tick(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    bench.queue.down = None
    job = await bench.create(3)
    bench.queue.waiting = [message for message in bench.queue.waiting if message.body["do"] == "tick"]
    bench.clock.now += 5
    await bench.deliver()
    assert bench.queue.verbs() == ["prepare", "tick"]
    await bench.until_idle()
    assert (await bench.job(job)).status == "completed"


async def test_a_tick_that_comes_twice_leaves_one_chain(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind(Upstream(0)))
    job = await bench.create(1)
    bench.queue.waiting *= 3
    for _ in range(4):
        bench.clock.now += 60
        await bench.deliver("tick")
        bench.queue.waiting = [message for message in bench.queue.waiting if message.body["do"] == "tick"]
    assert [message.body["number"] for message in bench.queue.waiting] == [4]
    assert (await bench.job(job)).tick == 4


async def test_a_chain_that_broke_between_sending_and_advancing_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(1)
    bench.queue.waiting.clear()
    assert await bench.run({"job": job.id, "do": "tick", "number": 1}) == DONE
    assert (await bench.job(job)).tick == 2
    assert [m.body["number"] for m in bench.queue.waiting if m.body["do"] == "tick"] == [2]


async def test_a_tick_sends_a_shard_whose_lease_lapsed_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind(per_shard=1))
    job = await bench.create(3)
    await bench.deliver("prepare")
    bench.queue.waiting = [message for message in bench.queue.waiting if message.body["do"] == "tick"]
    started, now = await bench.job(job), bench.clock()
    await bench.store.lease_shard(started, 1, "dead", now=now, until=now + 60)
    bench.clock.now += 5
    await bench.deliver("tick")
    assert bench.queue.verbs() == ["tick"]
    bench.clock.now += 60
    await bench.deliver("tick")
    assert [m.body["number"] for m in bench.queue.waiting if m.body["do"] == "shard"] == [1]
    await bench.until_idle()  # the other two, which nobody was told of, are swept up later
    assert (await bench.job(job)).status == "completed"


async def test_a_job_ends_at_its_deadline_and_keeps_what_was_done(tmp_path: Path) -> None:
    upstream = Upstream(2)
    bench = Bench(tmp_path, row_kind(upstream, per_shard=2))
    job = await bench.create(4, seconds=100)
    await bench.deliver("prepare")
    [first, second] = bench.queue.due("shard")
    await bench.run(first.body)
    working = await begun(bench, second.body)
    bench.clock.now += 101
    await bench.deliver("tick")
    assert (await bench.job(job)).status == "stopping"
    assert await working == DONE
    await bench.until_idle()
    expired = await bench.job(job)
    assert (expired.status, expired.outcome) == ("expired", "expired")
    assert expired.counts == Counts(3, 0, {"m": 6})
    assert await bench.output(job) == [{"row": 0}, {"row": 1}, {"row": 3}]


async def test_looking_at_a_job_that_is_overdue_makes_it_tick_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(3, seconds=100)
    await bench.deliver("prepare")
    bench.queue.waiting.clear()
    await bench.service.counts(await bench.job(job))
    assert not bench.queue.waiting
    bench.clock.now += 500
    await bench.service.counts(await bench.job(job))
    assert bench.queue.verbs() == ["tick"]
    await bench.until_idle()
    assert (await bench.job(job)).status == "expired"


# ---- stopping


async def test_cancelling_keeps_what_was_done_and_asks_nothing_more(tmp_path: Path) -> None:
    upstream = Upstream(1)
    bench = Bench(tmp_path, row_kind(upstream, per_shard=3, at_once=2))
    job = await bench.create(9)
    await bench.deliver("prepare")
    working = await begun(bench, {"job": job.id, "do": "shard", "number": 0})
    stopped = await bench.service.cancel(await bench.job(job))
    assert stopped.status == "stopping"
    await bench.service.cancel(stopped)
    assert bench.queue.verbs().count("stop") == 1
    await bench.deliver("stop")  # the two shards that nobody has
    assert [shard.state for shard in await bench.shards(job)] == ["leased", "done", "done"]
    assert await working == DONE
    await bench.until_idle()
    cancelled = await bench.job(job)
    assert cancelled.status == "cancelled"
    assert await bench.output(job) == [{"row": 0}, {"row": 2}]
    assert cancelled.counts == Counts(2, 0, {"m": 4})


async def test_messages_of_shards_close_them_where_the_stop_waits_behind_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind(per_shard=1))
    job = await bench.create(3)
    await bench.deliver("prepare")
    await bench.service.cancel(await bench.job(job))
    await bench.deliver("shard")
    assert (await bench.job(job)).status == "finishing"
    await bench.until_idle()
    assert (await bench.job(job)).status == "cancelled"


async def test_whoever_works_past_the_deadline_stops_the_job_where_its_tick_waits(tmp_path: Path) -> None:
    upstream = Upstream(0)
    bench = Bench(tmp_path, row_kind(upstream, per_shard=1))
    job = await bench.create(3, seconds=100)
    await bench.deliver("prepare")
    first, second, _ = bench.queue.due("shard")
    working = await begun(bench, first.body)
    bench.clock.now += 101
    assert await working == DONE
    assert (await bench.job(job)).status == "stopping"
    assert await bench.run(second.body) == DONE
    assert sum(shard.state == "done" for shard in await bench.shards(job)) == 2
    await bench.until_idle()
    assert (await bench.job(job)).status == "expired"


async def test_a_shard_that_gets_on_may_lose_any_number_of_workers(tmp_path: Path) -> None:
    upstream = Upstream(*range(8))
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(8)
    await bench.deliver("prepare")
    body = {"job": job.id, "do": "shard", "number": 0}
    for number in range(7):
        upstream.hanging.discard(number)
        dying = await begun(bench, body)
        await bench.until_kept(job, 2 ** (number + 1) - 1)
        dying.cancel()
        await asyncio.wait((dying,))
        bench.clock.now += 61
    upstream.release.set()
    await bench.run(body)
    await bench.until_idle()
    assert (await bench.job(job)).counts == Counts(8, 0, {"m": 16})


async def test_cancelling_before_it_is_prepared_ends_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(9)
    await bench.service.cancel(job)
    await bench.until_idle()
    assert (await bench.job(job)).status == "cancelled"
    await bench.service.cancel(await bench.job(job))
    assert not bench.queue.waiting


async def test_a_job_that_is_cancelled_as_it_is_leased_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(9)
    lease = bench.store.lease

    async def lease_late(*place: Any, **times: Any) -> Any:
        monkeypatch.setattr(bench.store, "lease", lease)
        await bench.service.cancel(job)
        there = await lease(*place, **times)
        assert await bench.deliver("finish") == 1  # it finds a lease, and goes
        return there

    monkeypatch.setattr(bench.store, "lease", lease_late)
    await bench.deliver("prepare")
    await bench.deliver("finish")
    assert (await bench.job(job)).status == "cancelled"


async def test_stopping_closes_the_shards_of_workers_that_died(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(9)
    await bench.deliver("prepare")
    now = bench.clock()
    await bench.store.lease_shard(await bench.job(job), 0, "dead", now=now, until=now + 60)
    await bench.service.cancel(await bench.job(job))
    await bench.until_idle()
    assert (await bench.job(job)).status == "cancelled"
    assert bench.clock() - now < 70


# ---- rows


@pytest.mark.parametrize(
    ("failure", "asked", "code"),
    [
        (PermissionDenied("no"), 1, "permission_denied"),
        (InvalidRequest("bad"), 1, "invalid_request"),
        (ValueError("poison"), 1, "row_failed"),
        (RecursionError(), 1, "row_failed"),
        (asyncio.CancelledError(), 1, "row_failed"),
        (SystemExit(3), 1, "row_failed"),
        (UpstreamThrottled("slow"), 8, "upstream_rate_limit_exceeded"),
        (ProviderUnavailable("down"), 8, "provider_unavailable"),
        (ConnectionResetError(), 8, "provider_unavailable"),
        (TimeoutError(), 8, "provider_unavailable"),
    ],
)
async def test_a_row_that_fails_fails_alone(
    tmp_path: Path, failure: BaseException, asked: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.jobs.rows.FIRST_WAIT", 0.0001)
    upstream = Upstream()
    upstream.failures[1] = [failure] * 20
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(3)
    await bench.until_idle()
    assert upstream.asked == {0: 1, 1: asked, 2: 1}
    assert await bench.output(job) == [{"row": 0}, {"row": 1, "error": code}, {"row": 2}]
    assert (await bench.job(job)).counts == Counts(2, 1, {"m": 4})


async def test_a_row_that_is_refused_for_a_while_is_asked_again_after_as_long_as_it_is_told(tmp_path: Path) -> None:
    upstream = Upstream()
    upstream.failures[0] = [UpstreamThrottled("slow", headers={"retry-after": "1"})]
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(2)
    before = asyncio.get_running_loop().time()
    await bench.until_idle()
    assert asyncio.get_running_loop().time() - before >= 1
    assert await bench.output(job) == rows_of(2)
    assert upstream.asked == {0: 2, 1: 1}


async def test_a_line_with_a_break_or_of_ten_megabytes_stays_a_line(tmp_path: Path) -> None:
    async def ask(row: Row, _: Call) -> Result:
        if row.index == 1:
            return Result(b'{"row":\n1}')
        return Result(json.dumps({"row": "x" * 10_000_000 if row.index == 0 else row.index}).encode())

    bench = Bench(tmp_path, row_kind(ask))
    job = await bench.create(3)
    await bench.until_idle()
    first, second, third = await bench.output(job)
    assert (len(first["row"]), second["error"], third["row"]) == (10_000_000, "row_failed", 2)


async def test_rows_run_as_their_owner_and_none_sees_what_another_set(tmp_path: Path) -> None:
    async def ask(row: Row, call: Call) -> Result:
        assert (CURRENT_CALL.get(), LEFT_BEHIND.get()) == (call, None)
        assert (call.observed.api, call.observed.operation, call.observed.model) == ("toys", "toy", "")
        call.observed.model = "m"
        LEFT_BEHIND.set(row.index)
        return Result(json.dumps({"row": row.index, "by": call.principal.id}).encode())

    bench = Bench(tmp_path, row_kind(ask), apis={"toy": "toys"})
    job = await bench.create(30, call=Call(ADA))
    await bench.until_idle()
    assert await bench.output(job) == [{"row": row, "by": "ada"} for row in range(30)]


# ---- quota, owners


class OneAtATime:
    """Admits `left` calls, then refuses; where so many are left, `never`, it says that no window would do."""

    def __init__(self, left: int, never: int = 0) -> None:
        self.left = left
        self.never = never
        self.settled: list[int | None] = []

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: object = None) -> "OneAtATime":
        assert (call.principal, tokens, requests, order) == (ANONYMOUS, 0, 1, None)
        if not self.left:
            raise QuotaExceeded(retry_after=3000)
        if self.left == self.never:
            self.left -= 1
            refusal = QuotaExceeded(retry_after=3000)
            refusal.final = True
            raise refusal
        self.left -= 1
        return self

    async def settle(self, charge: Charge) -> None:
        assert not charge.further + charge.least
        self.settled.append(charge.tokens)


async def test_a_quota_that_is_used_up_pauses_the_shard_and_fails_nothing(tmp_path: Path) -> None:
    quota, upstream = OneAtATime(2), Upstream()
    bench = Bench(tmp_path, row_kind(upstream), admission=quota)
    job = await bench.create(3)
    await bench.deliver("prepare")
    outcome = await bench.run({"job": job.id, "do": "shard", "number": 0})
    assert isinstance(outcome, Again)
    assert outcome.seconds == 900
    [shard] = await bench.shards(job)
    assert (shard.state, shard.attempts, shard.counts) == ("waiting", 0, Counts(2, 0, {"m": 4}))
    assert quota.settled == [2, 2]
    assert await bench.service.progress(await bench.job(job)) == Progress(shard.counts, bench.clock() + 3000)
    quota.left = 10
    await bench.until_idle()
    assert await bench.output(job) == rows_of(3)
    assert upstream.asked == {0: 1, 1: 1, 2: 1}


async def test_a_row_that_no_window_of_the_quota_has_room_for_fails_alone(tmp_path: Path) -> None:
    quota, upstream = OneAtATime(4, never=3), Upstream()
    bench = Bench(tmp_path, row_kind(upstream, at_once=1), admission=quota)
    job = await bench.create(3)
    await bench.until_idle()
    assert upstream.asked == {0: 1, 2: 1}
    assert await bench.output(job) == [{"row": 0}, {"row": 1, "error": "quota_exceeded"}, {"row": 2}]


async def test_a_failure_that_says_so_is_not_asked_again(tmp_path: Path) -> None:
    upstream = Upstream()
    upstream.failures[1] = [LimitReached("max_responses", "You may keep 10 responses.")] * 9
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(2)
    await bench.until_idle()
    assert upstream.asked == {0: 1, 1: 1}
    assert (await bench.job(job)).counts == Counts(1, 1, {"m": 2})


async def test_a_row_that_is_in_the_way_of_another_is_asked_again_and_any_other_conflict_is_final(
    tmp_path: Path,
) -> None:
    upstream = Upstream()
    upstream.failures = {0: [ConversationLocked(retry_after=0)], 1: [Conflict("There is one.")]}
    bench = Bench(tmp_path, row_kind(upstream))
    job = await bench.create(2)
    await bench.until_idle()
    assert upstream.asked == {0: 2, 1: 1}
    assert await bench.output(job) == [{"row": 0}, {"row": 1, "error": "conflict"}]


async def test_a_row_that_kills_whoever_asks_it_fails_alone(tmp_path: Path) -> None:
    upstream = Upstream(7)
    bench = Bench(tmp_path, row_kind(upstream), Timing(checkpoint=30))
    job = await bench.create(20)
    await bench.deliver("prepare")
    while (await bench.job(job)).left:
        upstream.hung.clear()
        working = asyncio.create_task(bench.run({"job": job.id, "do": "shard", "number": 0}, receives=2))
        hanging = asyncio.create_task(upstream.hung.wait())
        await asyncio.wait((working, hanging), return_when=asyncio.FIRST_COMPLETED)
        for task in (working, hanging):
            task.cancel()
        await asyncio.wait((working, hanging))
        bench.clock.now += 61
    await bench.until_idle()
    assert await bench.output(job) == [{"row": 7, "error": "worker_lost"} if n == 7 else {"row": n} for n in range(20)]
    assert upstream.asked[7] < 20


class Register:
    """Owners of which some are revoked; those that stay have the attributes of now."""

    def __init__(self) -> None:
        self.revoked = False

    async def current(self, principal: Principal) -> Principal | None:
        return None if self.revoked else Principal(principal.id, {"roles": ("now",)}, principal.vouched_by)


async def test_an_owner_that_is_revoked_ends_its_job_and_what_was_paid_for_is_kept(tmp_path: Path) -> None:
    register = Register()

    async def ask(row: Row, call: Call) -> Result:
        assert call.principal.attributes == {"roles": ("now",)}
        return echo(row)

    bench = Bench(tmp_path, row_kind(ask, per_shard=2), owners=register)
    job = await bench.create(4, call=Call(ADA))
    await bench.deliver("prepare")
    await bench.run(bench.queue.due("shard")[0].body)
    register.revoked = True
    await bench.until_idle()
    failed = await bench.job(job)
    assert failed.status == "failed"
    assert failed.reason.startswith("owner_revoked")
    assert failed.counts == Counts(2, 0, {"m": 4})
    assert await bench.output(job) == rows_of(2)


# ---- making jobs


async def test_the_same_key_is_the_same_job_and_another_request_a_conflict(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    first = await bench.create(3, key="k", call=Call(ADA))
    assert (await bench.create(3, key="k", call=Call(ADA))).id == first.id
    with pytest.raises(Conflict):
        await bench.create(4, key="k", call=Call(ADA))
    assert (await bench.create(3, key="k")).id != first.id
    await bench.until_idle()


async def test_a_request_is_the_same_as_it_is_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    first = await bench.service.create("toy", Call(ADA), {"rows": 1, "ids": (1, 2), "b": 1}, key="k")
    again = await bench.service.create("toy", Call(ADA), {"b": 1, "ids": [1, 2], "rows": 1}, key="k")
    assert first.id == again.id


async def test_a_row_that_waits_for_another_try_gives_its_reservation_back_when_the_shard_pauses(
    tmp_path: Path,
) -> None:
    quota, upstream = OneAtATime(1), Upstream()
    upstream.failures[0] = [UpstreamThrottled("slow", headers={"retry-after": "60"})]
    bench = Bench(tmp_path, row_kind(upstream, at_once=1), admission=quota)
    job = await bench.create(2)
    await bench.deliver("prepare")
    outcome = await bench.run({"job": job.id, "do": "shard", "number": 0})
    assert isinstance(outcome, Again)
    assert quota.settled == [2]
    assert (await bench.shards(job))[0].done == 0


async def test_a_job_keeps_no_secrets_of_its_caller(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    with pytest.raises(InvalidRequest):
        await bench.create(3, call=Call(ANONYMOUS, provider_data={"key": "secret"}))
    assert not bench.queue.waiting


async def test_a_job_that_ended_can_be_made_once_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    job = await bench.create(3, call=Call(ADA))
    with pytest.raises(Conflict):
        await retry(bench.service, job, Call(ADA), JobRow("toy", ""))
    await bench.until_idle()
    other = await retry(bench.service, await bench.job(job), Call(ADA), JobRow("toy", ""))
    assert other.id != job.id
    assert (other.kind, other.owner, other.request) == ("toy", ADA.identity, {"rows": 3, "retried_from": job.id})
    await bench.until_idle()
    assert (await bench.job(other)).status == "completed"


# ---- kinds that fail, and kinds without rows


def failing(at: str, failures: list[Exception]) -> JobKind:
    kind = row_kind()

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        if at == "prepare" and failures:
            raise failures.pop(0)
        return await kind.prepare(run)

    async def end(run: FinishRun) -> JsonObject:
        if at == "finish" and failures:
            raise failures.pop(0)
        return await kind.finish(run)

    async def work(run: ShardRun) -> None:
        if at == "work" and failures:
            raise failures.pop(0)
        await kind.work(run)

    return JobKind("toy", prepare, work, end)


@pytest.mark.parametrize("at", ["prepare", "work", "finish"])
async def test_what_fails_for_a_while_is_tried_again_later_each_time(tmp_path: Path, at: str) -> None:
    bench = Bench(tmp_path, failing(at, [RuntimeError("bug"), ProviderUnavailable("down"), StateUnavailable("down")]))
    job = await bench.create(3)
    await bench.until_idle()
    assert (await bench.job(job)).status == "completed"
    assert (await bench.job(job)).attempts == 0
    assert await bench.output(job) == rows_of(3)


@pytest.mark.parametrize("at", ["prepare", "finish"])
async def test_what_a_kind_has_to_say_beside_its_failure_is_the_result(tmp_path: Path, at: str) -> None:
    bench = Bench(tmp_path, failing(at, [JobFailed("invalid: two faults.", {"errors": [1, 2]})]))
    job = await bench.create(3)
    await bench.until_idle()
    failed = await bench.job(job)
    assert (failed.status, failed.reason, failed.result) == ("failed", "invalid: two faults.", {"errors": [1, 2]})


@pytest.mark.parametrize("at", ["prepare", "work", "finish"])
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (RuntimeError("internals"), "_failed: the operator's log has more."),
        (JobFailed("no_input: none."), "no_input: none."),
    ],
)
async def test_what_fails_for_good_fails_the_job_with_its_reason(
    tmp_path: Path, at: str, failure: Exception, reason: str
) -> None:
    failures = [failure] * 50
    bench = Bench(tmp_path, failing(at, failures))
    job = await bench.create(3)
    await bench.until_idle()
    failed = await bench.job(job)
    assert failed.status == "failed"
    assert reason in failed.reason
    assert "internals" not in failed.reason


async def test_a_step_of_work_without_rows_is_not_done_twice(tmp_path: Path) -> None:
    rounds: list[int] = []
    crash = asyncio.Event()

    async def work(run: ShardRun) -> None:
        done = int((await run.saved() or b"0").decode())
        for number in range(done, 4):
            rounds.append(number)
            if number == 2 and not crash.is_set():
                await crash.wait()
            run.count(Counts(tokens={"m": 10}))
            await run.save(b"%d" % (number + 1))
        run.count(Counts(completed=1))

    async def prepare(_: PrepareRun) -> Sequence[Slice]:
        return [Slice({}, 1)]

    async def end(run: FinishRun) -> JsonObject:
        return {"state": run.shards[0].parts[0][:5]}

    bench = Bench(tmp_path, JobKind("toy", prepare, work, end))
    job = await bench.create(1)
    await bench.deliver("prepare")
    dying = await begun(bench, {"job": job.id, "do": "shard", "number": 0})
    while len(rounds) < 3:  # noqa: ASYNC110 - what it waits for is a list
        await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.wait((dying,))
    crash.set()
    bench.clock.now += 61
    await bench.until_idle()
    assert rounds == [0, 1, 2, 2, 3]
    assert (await bench.job(job)).counts == Counts(1, 0, {"m": 40})


async def test_a_message_that_is_none_goes_and_a_kind_that_nobody_knows_waits_for_who_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    assert await bench.run({"do": "prepare"}) == DONE
    assert await bench.run({"job": "j", "do": "explode"}) == DONE
    assert await bench.run({"job": "j", "do": "shard", "number": "x"}) == DONE
    job = await bench.service.create("other", Call(ANONYMOUS), {})
    assert isinstance(await bench.run({"job": job.id, "do": "prepare"}), GiveBack)
