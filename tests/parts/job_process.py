"""A worker as a process of its own, which a test kills: `python -m tests.parts.job_process SETTINGS`."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
import json
import logging
from pathlib import Path
import random
import signal
import subprocess
import sys
import time
from typing import Any

import aiohttp

from core.errors import ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.frame.callers import Call
from core.runtime.worker import Worker
from core.services.jobs.engine import Engine
from core.services.jobs.kind import Result, Row
from core.services.jobs.timing import Timing
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import JobStore
from core.stores.queue.port import Delivery, Message, WorkQueue
from tests.parts.toy_jobs import row_kind

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class JobPlace:
    """Where the stores are: a file and a folder of this machine, or a table, a queue and a bucket."""

    folder: str
    table: str = ""
    dynamodb: str = ""
    queue: str = ""
    bucket: str = ""
    moto: str = ""

    def connect(self) -> tuple[JobStore, WorkQueue, BlobStore]:
        if not self.table:
            from core.stores.blobs.local import connect as connect_folder
            from core.stores.jobs.sqlite import connect as connect_jobs
            from core.stores.queue.sqlite import connect as connect_queue

            file = str(Path(self.folder) / "jobs.db")
            return connect_jobs(file), connect_queue(file), connect_folder(str(Path(self.folder) / "blobs"))
        from core.stores.blobs.s3 import connect as connect_bucket
        from core.stores.jobs.dynamodb import connect as connect_table
        from core.stores.queue.sqs import connect as connect_sqs

        where: dict[str, Any] = {"region": None, "namespace": None}
        jobs = connect_table(self.table, endpoint_url=self.dynamodb, **where)
        queue = connect_sqs(self.queue, endpoint_url=self.moto, **where)
        return jobs, queue, connect_bucket(self.bucket, endpoint_url=self.moto)


@dataclass(frozen=True, slots=True)
class Settings:
    """Without `upstream`, a row comes to a line of `line_bytes`.

    `offset` is how far this machine's clock is wrong; `unreliable`: what it sends comes late, and sometimes twice.
    """

    place: JobPlace
    upstream: str
    at_once: int = 8
    shards: int = 1
    per_shard: int = 50
    visibility: int = 8
    offset: float = 0.0
    unreliable: bool = False
    line_bytes: int = 0
    timing: dict[str, float] = field(default_factory=lambda: {"lease": 6.0, "checkpoint": 0.5, "tick": 5, "sweep": 2})

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.parts.job_process", json.dumps(asdict(self))],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )


CHANCE = random.Random()  # noqa: S311 - no secret


class UnreliableQueue:
    """A queue as the worst of all standard queues would be."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    async def send(self, messages: Sequence[Message], *, delay: int = 0) -> None:
        await self._queue.send(messages, delay=min(900, delay + CHANCE.randrange(4)))
        if CHANCE.random() < 0.5:
            await self._queue.send(messages, delay=min(900, delay + CHANCE.randrange(8)))

    async def done(self, delivery: Delivery) -> None:
        if CHANCE.random() < 0.8:  # else it is delivered again
            await self._queue.done(delivery)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


class LocalAsk:
    """Asks nobody."""

    def __init__(self, line_bytes: int) -> None:
        self._padding = "x" * line_bytes

    async def __call__(self, row: Row, _: Call) -> Result:
        await asyncio.sleep(0)
        return Result(json.dumps({"row": row.index, "text": self._padding}).encode(), tokens={"m": 3})

    async def close(self) -> None:
        return None


class HttpAsk:
    """Asks the scripted upstream for a row."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, row: Row, call: Call) -> Result:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        try:
            async with self._session.post(self._url, json={"row": row.index}) as answer:
                if answer.status == 429:
                    raise UpstreamThrottled("slow down")
                if answer.status != 200:
                    raise UpstreamFailed("broken")
                call.add_tokens(3)
                return Result(await answer.read(), tokens={"m": 3})
        except aiohttp.ClientConnectionError as failure:
            raise ProviderUnavailable("gone") from failure

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def peak_megabytes() -> int:
    """Of this program: what getrusage says begins with what the process was that started it."""
    [line] = [line for line in Path("/proc/self/status").read_text("ascii").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


async def main(settings: Settings) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(message)s")
    jobs, queue, blobs = settings.place.connect()
    ask = HttpAsk(settings.upstream) if settings.upstream else LocalAsk(settings.line_bytes)
    kind = row_kind(ask, per_shard=settings.per_shard, at_once=settings.at_once)
    timing = Timing(**settings.timing)  # type: ignore[arg-type]
    used: Any = UnreliableQueue(queue) if settings.unreliable else queue
    engine = Engine(jobs, used, blobs, {kind.name: kind}, timing=timing, clock=lambda: time.time() + settings.offset)
    worker = Worker(used, engine.run_message, at_once=settings.shards, visibility=settings.visibility)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.work()
    for store in (jobs, queue, blobs, ask):
        await store.close()
    print("rss", peak_megabytes(), "MB", flush=True)


if __name__ == "__main__":
    values = json.loads(sys.argv[1])
    asyncio.run(main(Settings(**values | {"place": JobPlace(**values["place"])})))
