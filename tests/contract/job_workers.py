"""Workers for the contract suites of JobStore and WorkQueue, each in a process of its own, which may be killed at any time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
import json
import multiprocessing
from multiprocessing.process import BaseProcess
import os
from pathlib import Path
import random
import time
from typing import Any
from uuid import uuid4

from core.stores.jobs.port import Counts, Job, JobStore, Shard
from core.stores.queue.port import WorkQueue
from tests.contract.crew import together
from tests.contract.jobs import NOW, UNTIL, Jobs, shards_of
from tests.contract.queues import Queue

LEASE = 1.5  # seconds
ROWS = 8
_random = random.Random()  # noqa: S311 - no secret; each process is seeded by itself


def start_together(jobs: Jobs, job_id: str) -> str | None:
    """In a process of a crew: when all are there, lease the job and start it over shards of an own plan; it, if that went."""
    return asyncio.run(_start_together(jobs, job_id))


async def _start_together(jobs: Jobs, job_id: str) -> str | None:
    async with jobs.opened() as store:
        plan = uuid4().hex
        await together()
        one = await store.lease(job_id, plan, now=NOW, until=UNTIL)
        assert one is not None
        started = await store.start(replace(one, holder=plan), shards_of(one, 50, plan), now=NOW)
        return plan if started else None


def finish_together(jobs: Jobs, job_id: str) -> list[tuple[int, int]]:
    """In a process of a crew: when all are there, lease and finish what shards it gets; their numbers, and what was left."""
    return asyncio.run(_finish_together(jobs, job_id))


async def _finish_together(jobs: Jobs, job_id: str) -> list[tuple[int, int]]:
    async with jobs.opened() as store:
        one = await store.get(job_id)
        assert one is not None
        await together()
        return [
            result
            for number in _random.sample(range(one.shards), one.shards)
            if (result := await _finish(store, one, number)) is not None
        ]


async def _finish(store: JobStore, one: Job, number: int) -> tuple[int, int] | None:
    holder = uuid4().hex
    shard = await store.lease_shard(one, number, holder, now=NOW, until=UNTIL)
    assert shard is not None
    if shard.holder != holder:
        return None
    if number % 3 == 0:
        assert await store.checkpoint(shard)
    left = await store.finish_shard(shard)
    assert left is not None
    return number, left


def drain_together(queue: Queue) -> list[int]:
    """In a process of a crew: when all are there, take and finish messages until there are none."""
    return asyncio.run(_drain_together(queue))


async def _drain_together(queue: Queue) -> list[int]:
    numbers: list[int] = []
    async with queue.opened() as store:
        await together()
        while deliveries := await store.take(most=3, wait=1, visibility=60):
            for delivery in deliveries:
                await store.done(delivery)
                numbers.append(delivery.body["n"])
    return numbers


def work_for_ever(jobs: Jobs, job_id: str, parts: str) -> None:
    """In a process of its own: work on the job's shards, then finish it; rows are done when their part is a file."""
    asyncio.run(_work_for_ever(jobs, job_id, Path(parts)))


async def _work_for_ever(jobs: Jobs, job_id: str, parts: Path) -> None:
    async with jobs.opened() as store:
        while one := await store.get(job_id):
            if one.status == "finishing":
                await _end(store, one)
            elif one.status == "running":
                for shard in _random.sample(shards := await store.shards(one), len(shards)):
                    if shard.state != "done":
                        await _work(store, one, shard.number, parts)
            else:
                return


async def _work(store: JobStore, one: Job, number: int, parts: Path) -> None:
    holder, now = uuid4().hex, time.time()
    shard = await store.lease_shard(one, number, holder, now=now, until=now + LEASE)
    if shard is None or shard.holder != holder:
        return
    while missing := [row for row in range(ROWS) if not shard.done >> row & 1]:
        rows = missing[: _random.randint(1, 4)]
        await asyncio.sleep(0.05)
        shard = _checked(shard, rows, parts)
        if len(rows) < len(missing) and not await store.checkpoint(shard):
            return
    await store.finish_shard(shard)


def _checked(shard: Shard, rows: list[int], parts: Path) -> Shard:
    """With these rows done, in a part with its holder's name, which is there before the shard names it."""
    part = parts / f"{shard.number}.{len(shard.parts)}.{shard.holder}"
    part.write_text(json.dumps([[shard.number, row] for row in rows]))
    done = shard.done | sum(1 << row for row in rows)
    counts = shard.counts + Counts(len(rows), 0, {"m": len(rows)})
    return replace(shard, done=done, parts=(*shard.parts, part.name), counts=counts, until=time.time() + LEASE)


async def _end(store: JobStore, one: Job) -> None:
    holder, now = uuid4().hex, time.time()
    mine = await store.lease(one.id, holder, now=now, until=now + LEASE)
    if mine is not None and mine.holder == holder:
        counts = sum((shard.counts for shard in await store.shards(one)), Counts())
        await store.end(mine, "completed", reason="", counts=counts, result={"holder": holder}, now=time.time())


def take_for_ever(queue: Queue, log: str) -> None:
    """In a process of its own: take messages, write each number down, and only then say that it is done."""
    asyncio.run(_take_for_ever(queue, log))


async def _take_for_ever(place: Queue, log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with place.opened() as queue:
        while True:
            for delivery in await queue.take(most=3, wait=2, visibility=2):
                await asyncio.sleep(0.01)
                os.write(file, f"{delivery.body['n']}\n".encode())
                await _settle(queue, delivery)


async def _settle(queue: WorkQueue, delivery: Any) -> None:
    if _random.random() < 0.2:
        await queue.extend(delivery, seconds=0)
    else:
        await queue.done(delivery)


async def kill_in_turn(
    target: Callable[..., None], arguments: tuple[Any, ...], progress: Callable[[], Awaitable[float]]
) -> int:
    """Keep three processes at work until `progress` is 1 (after 100 s it fails), and kill one as each sixth is done; how many."""
    spawning = multiprocessing.get_context("spawn")

    def start() -> BaseProcess:
        process = spawning.Process(target=target, args=arguments)
        process.start()
        return process

    processes = [start() for _ in range(3)]
    kills, until = 0, time.monotonic() + 100
    try:
        while (share := await progress()) < 1:
            assert time.monotonic() < until
            if share * 6 < kills + 1:
                await asyncio.sleep(0.02)
                continue
            victim = _random.randrange(len(processes))
            processes[victim].kill()
            processes[victim].join()
            kills += 1
            processes[victim] = start()
    finally:
        for process in processes:
            process.kill()
            process.join()
    return kills
