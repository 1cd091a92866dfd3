"""The SQLite jobs and queue, and their file: how it is tidied, and shared with who waits for work."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
import sqlite3
import time
from typing import Any

import pytest

from core.stores.jobs.port import JobStore
from core.stores.queue.port import MOST_RECEIVES, Message, WorkQueue
from core.stores.queue.sqlite import DEAD_SECONDS
from tests.contract.jobs import EXPIRES, Clock, Jobs, job, running
from tests.contract.queues import Queue


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncGenerator[JobStore]:
    async with Jobs(str(tmp_path / "state.db")).opened(clock=clock) as store:
        yield store


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncGenerator[WorkQueue]:
    async with Queue(str(tmp_path / "state.db")).opened() as queue:
        yield queue


def rows(folder: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


async def test_what_has_expired_goes_with_the_jobs_that_come(store: JobStore, clock: Clock, tmp_path: Path) -> None:
    for number in range(45):
        await running(store, 3, job(number))
    clock.now = EXPIRES
    for number in range(100, 103):
        await running(store, 3, job(number, expires=EXPIRES + 9))
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(3,)]
    assert rows(tmp_path, "SELECT count(*) FROM job_shards") == [(9,)]


async def test_jobs_and_the_queue_share_a_file(store: JobStore, queue: WorkQueue) -> None:
    await store.create(job())
    await queue.send([Message({})])
    assert len(await queue.take(most=1, wait=0, visibility=9)) == 1
    assert await store.get("job_1") == job()


async def test_who_waits_for_work_keeps_no_writer_waiting_and_ends_when_it_is_to(
    queue: WorkQueue, tmp_path: Path
) -> None:
    await queue.send([])
    ending = asyncio.Event()
    taking = asyncio.ensure_future(queue.take(most=1, wait=20, visibility=9, ending=ending))
    await asyncio.sleep(0.1)
    slowest = 0.0
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None, timeout=0)) as other:
        for _ in range(10):  # with no patience at all
            start = time.monotonic()
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.1)
            other.execute("COMMIT")
            slowest = max(slowest, time.monotonic() - start)
    ending.set()
    assert await asyncio.wait_for(taking, 10) == []


async def test_dead_letters_are_kept_for_two_weeks(queue: WorkQueue, tmp_path: Path) -> None:
    async def die(body: dict[str, Any]) -> None:
        await queue.send([Message(body, "tenant")])
        for _ in range(MOST_RECEIVES + 1):
            await queue.take(most=10, wait=0, visibility=0)

    await die({"n": 1})
    await die({"n": 2})
    dead = "SELECT body, receives FROM queue_dead_letters ORDER BY id"
    assert rows(tmp_path, dead) == [('{"n":1}', MOST_RECEIVES), ('{"n":2}', MOST_RECEIVES)]
    assert rows(tmp_path, "SELECT * FROM queue_messages") == []
    assert rows(tmp_path, "SELECT * FROM queue_turns") == []
    rows(tmp_path, "UPDATE queue_dead_letters SET died = died - ? WHERE id = 1", DEAD_SECONDS)
    await die({"n": 3})
    assert [body for body, _ in rows(tmp_path, dead)] == ['{"n":2}', '{"n":3}']


async def test_one_message_after_another_gets_a_tenant_no_more_than_its_turn(queue: WorkQueue) -> None:
    await queue.send([Message({"n": number}, "patient") for number in range(3)])
    bodies: list[Any] = []
    for number in range(3):
        await queue.send([Message({"n": f"pushing {number}"}, "pushing")])
        (delivery,) = await queue.take(most=1, wait=0, visibility=9)
        bodies.append(delivery.body["n"])
        await queue.done(delivery)
        (delivery,) = await queue.take(most=1, wait=0, visibility=9)
        bodies.append(delivery.body["n"])
        await queue.done(delivery)
    assert bodies == [0, "pushing 0", 1, "pushing 1", 2, "pushing 2"]


async def test_a_late_done_of_a_message_that_was_delivered_again_removes_nothing(queue: WorkQueue) -> None:
    await queue.send([Message({})])
    (late,) = await queue.take(most=1, wait=0, visibility=0)
    (mine,) = await queue.take(most=1, wait=0, visibility=9)
    await queue.done(late)
    assert not await queue.extend(late, seconds=0)
    assert await queue.extend(mine, seconds=0)
    (again,) = await queue.take(most=1, wait=0, visibility=9)
    assert again.receives == 3
