"""What JobStore and WorkQueue promise where several processes use them, and some are killed."""

from collections import Counter
from collections.abc import Generator
from contextlib import closing
import json
from pathlib import Path
import sqlite3

import pytest

from core.stores.jobs.port import Counts
from core.stores.queue.port import Message
from tests.contract import job_workers as workers
from tests.contract.crew import Crew, hiring
from tests.contract.jobs import KINDS, Jobs, job, running
from tests.contract.queues import KINDS as QUEUES
from tests.contract.queues import Queue

SHARDS = 50


@pytest.fixture(params=[2, pytest.param(8, marks=pytest.mark.exact)], ids="{} processes".format)
def crew(request: pytest.FixtureRequest) -> Generator[Crew]:
    with hiring(request.param) as crew:
        yield crew


@pytest.fixture(params=KINDS)
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Jobs:
    return Jobs.fresh(request, request.param, tmp_path, "state_table")


@pytest.fixture(params=QUEUES)
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    return Queue.make(request, request.param, tmp_path)


async def test_one_process_starts_a_job_and_each_shard_is_finished_once(jobs: Jobs, crew: Crew) -> None:
    async with jobs.opened() as store:
        await store.create(job())
        plans = await crew.work(workers.start_together, *[(jobs, "job_1")] * crew.size)
        one = await store.get("job_1")
        assert one is not None
        assert [plan for plan in plans if plan] == [one.plan]
        runs = await crew.work(workers.finish_together, *[(jobs, "job_1")] * crew.size)
        ended = await store.get("job_1")
        assert ended is not None
        assert (ended.status, ended.left) == ("finishing", 0)
        assert {shard.state for shard in await store.shards(ended)} == {"done"}
    assert Counter(number for run in runs for number, _ in run) == dict.fromkeys(range(SHARDS), 1)
    assert min(left for run in runs for _, left in run) == 0


async def test_each_message_goes_to_one_process(queue: Queue, crew: Crew) -> None:
    async with queue.opened() as store:
        await store.send([Message({"n": number}, f"group {number % 3}") for number in range(60)])
    runs = await crew.work(workers.drain_together, *[(queue,)] * crew.size)
    counts = Counter(number for run in runs for number in run)
    assert set(counts) == set(range(60))
    if queue.endpoint is None:  # SQS delivers at least once, and moto to two at once
        assert set(counts.values()) == {1}


@pytest.mark.exact
async def test_of_a_job_whose_workers_are_killed_no_row_is_lost_and_none_counted_twice(
    jobs: Jobs, tmp_path: Path
) -> None:
    (parts := tmp_path / "parts").mkdir()
    async with jobs.opened() as store:
        one = await running(store, SHARDS, job(deadline=4e9, expires=4_000_000_000))

        async def progress() -> float:
            there = await store.get(one.id)
            assert there is not None
            return 1 if there.status == "completed" else min(1 - there.left / SHARDS, 0.99)

        kills = await workers.kill_in_turn(workers.work_for_ever, (jobs, one.id, str(parts)), progress)
        ended = await store.get(one.id)
        shards = await store.shards(one)
    rows = [tuple(row) for shard in shards for part in shard.parts for row in json.loads((parts / part).read_text())]
    assert Counter(rows) == {(number, row): 1 for number in range(SHARDS) for row in range(workers.ROWS)}
    total = SHARDS * workers.ROWS
    assert ended is not None
    assert ended.counts == Counts(total, 0, {"m": total})
    assert (ended.left, ended.result) == (0, {"holder": ended.holder})
    assert kills > 2
    print(f"{kills} kills, {sum(shard.attempts for shard in shards)} shards taken over, {len(rows)} rows")


@pytest.mark.exact
async def test_of_a_queue_whose_takers_are_killed_no_message_is_lost(queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    total = 400

    async def progress() -> float:
        return len(set(log.read_text().split())) / total

    async with queue.opened() as store:
        await store.send([Message({"n": number}, f"group {number % 3}") for number in range(total)], delay=1)
        kills = await workers.kill_in_turn(workers.take_for_ever, (queue, str(log)), progress)
    taken = Counter(map(int, log.read_text().split()))
    assert set(taken) == set(range(total))
    assert kills > 2
    print(f"{kills} kills, {sum(taken.values()) - total} messages delivered again")


@pytest.mark.exact
async def test_a_file_whose_writers_are_killed_is_whole(tmp_path: Path) -> None:
    queue = Queue(str(tmp_path / "queue.db"))
    log = tmp_path / "log"

    async def progress() -> float:
        return len(log.read_text().split()) / 300 if log.exists() else 0

    async with queue.opened() as store:
        await store.send([Message({"n": number}) for number in range(400)])
        await workers.kill_in_turn(workers.take_for_ever, (queue, str(log)), progress)
    with closing(sqlite3.connect(queue.place)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
