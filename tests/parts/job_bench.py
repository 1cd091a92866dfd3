"""The engine of jobs over a store of this machine and a queue in memory, with a clock that a test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
import time
from typing import Any

from core.frame.callers import ANONYMOUS, Call
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.jobs.engine import Engine
from core.services.jobs.kind import JobKind
from core.services.jobs.messages import Again, Done, GiveBack, Outcome
from core.services.jobs.service import JobService
from core.services.jobs.timing import Timing, Turn
from core.stores.blobs.local import connect as connect_blobs
from core.stores.jobs.port import Job, JobStore, Shard
from core.stores.jobs.sqlite import connect
from core.stores.queue.port import Delivery, Message
from tests.fakes import Clock
from tests.parts.toy_jobs import output_of

OPEN: list[JobStore] = []
"""The stores of all benches, which `close_all` closes."""


async def close_all() -> None:
    for store in OPEN:
        await store.close()
    OPEN.clear()


@dataclass
class Waiting:
    """A message, due at `at` of the clock."""

    body: dict[str, Any]
    at: float
    receives: int = 0


@dataclass
class MemoryQueue:
    """A WorkQueue; a test takes what is due with `pop`. `down` makes every send fail."""

    clock: Clock
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    down: Exception | None = None

    async def send(self, messages: Sequence[Message], *, delay: int = 0) -> None:
        if self.down is not None:
            raise self.down
        assert 0 <= delay <= 900
        assert all(len(json.dumps(message.body)) < 300 for message in messages)
        self.waiting += [Waiting(dict(message.body), self.clock() + delay) for message in messages]

    async def take(
        self, *, most: int, wait: float, visibility: int, ending: asyncio.Event | None = None
    ) -> list[Delivery]:
        raise NotImplementedError

    async def extend(self, delivery: Delivery, *, seconds: int) -> bool:
        raise NotImplementedError

    async def done(self, delivery: Delivery) -> None:
        raise NotImplementedError

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def due(self, *verbs: str) -> list[Waiting]:
        """What may be delivered now, oldest first."""
        ready = [message for message in self.waiting if message.at <= self.clock()]
        return sorted((m for m in ready if not verbs or m.body["do"] in verbs), key=lambda message: message.at)

    def verbs(self) -> list[str]:
        return sorted(message.body["do"] for message in self.waiting)


class Bench:
    """`timing` has seconds of the clock, except `checkpoint` and `grace`, which really pass."""

    def __init__(self, folder: Path, kind: JobKind, timing: Timing | None = None, **parts: Any) -> None:
        self.clock = Clock()
        self.clock.now = time.time()  # as the store tells what has expired
        self.queue = MemoryQueue(self.clock)
        self.store: JobStore = parts.pop("jobs", None) or connect(str(folder / "jobs.db"))
        OPEN.append(self.store)
        self.blobs = connect_blobs(str(folder / "blobs"))
        self.timing = timing or Timing(checkpoint=0.05, grace=0.1)
        self.engine = Engine(
            self.store, self.queue, self.blobs, {kind.name: kind}, timing=self.timing, clock=self.clock, **parts
        )
        self.service = JobService(self.store, self.queue, Enforcement(Policy(DEFAULT_POLICY)), self.timing, self.clock)

    async def create(self, rows: int, *, call: Call | None = None, **how: Any) -> Job:
        return await self.service.create("toy", call or Call(ANONYMOUS), {"rows": rows}, **how)

    async def job(self, job: Job) -> Job:
        found = await self.store.get(job.id)
        assert found is not None
        return found

    async def shards(self, job: Job) -> list[Shard]:
        return await self.store.shards(await self.job(job))

    async def run(self, body: dict[str, Any], *, receives: int = 1, turn: Turn | None = None) -> Outcome:
        return await self.engine.run_message(Delivery(body, "r", receives), turn)

    async def deliver(self, *verbs: str, turn: Turn | None = None) -> int:
        """What is due, each as a worker settles it; how many there were."""
        messages = self.queue.due(*verbs)
        for message in messages:
            message.receives += 1
            outcome = await self.run(message.body, receives=message.receives, turn=turn)
            await self.settle(message, outcome)
        return len(messages)

    async def settle(self, message: Waiting, outcome: Outcome) -> None:
        match outcome:
            case GiveBack():
                message.at = self.clock() + outcome.seconds
                return
            case Again():
                await self.queue.send([outcome.task.to_message(outcome.owner)], delay=outcome.seconds)
            case Done():
                pass
        self.queue.waiting.remove(message)

    async def until_kept(self, job: Job, done: int, number: int = 0) -> None:
        """Until a checkpoint has kept these rows of a shard."""

        async def is_kept() -> bool:
            shard = (await self.shards(job))[number]
            return shard.done == done

        await eventually(is_kept)

    async def until_idle(self, *, most: int = 200) -> None:
        """Deliver, and move the clock to what is due next, until no message is left."""
        for _ in range(most):
            if not self.queue.waiting:
                return
            self.clock.now = max(self.clock.now, min(message.at for message in self.queue.waiting))
            await self.deliver()
        raise AssertionError(f"still waiting: {self.queue.waiting[:5]}")

    async def output(self, job: Job) -> list[dict[str, Any]]:
        return await output_of(self.blobs, job.id)


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Until it is so: a slow machine is no failure."""
    deadline = asyncio.get_running_loop().time() + 30
    while not await check():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def begun(bench: Bench, body: dict[str, Any], turn: Turn | None = None) -> "asyncio.Task[Outcome]":
    """A shard's message that is being worked on: the shard is leased, and a moment has passed."""
    job = await bench.store.get(body["job"])
    assert job is not None
    before = (await bench.store.shards(job))[body["number"]]

    async def is_leased() -> bool:
        after: Shard = (await bench.store.shards(job))[body["number"]]
        return after.state == "leased" and after.holder != before.holder

    task = asyncio.create_task(bench.run(body, turn=turn))
    await eventually(is_leased)
    await asyncio.sleep(0.05)
    return task
