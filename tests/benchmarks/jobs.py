"""What does a job cost over a bare loop that asks the same upstream, and how much memory does a worker take?"""

import asyncio
from dataclasses import replace
from pathlib import Path
import re
import signal
from tempfile import TemporaryDirectory
import time

import aiohttp

from core.frame.callers import ANONYMOUS, Call
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.jobs.service import JobService
from core.stores.jobs.port import ENDED
from tests.benchmarks.table import Row
from tests.parts.job_process import JobPlace, Settings
from tests.parts.row_upstream import RowUpstream, serving

ROWS, AT_ONCE, ROUNDS = 1_500, 20, 3
MANY, LONG = 50_000, 2_000  # rows, and bytes of a line
TIMING: dict[str, float] = {}  # as in production


def jobs() -> list[Row]:
    with serving(RowUpstream(0.05, 0.15, share_throttled=0.0)) as upstream:
        pairs = [(_bare(upstream.url), _job(Settings(_NOWHERE, upstream.url), ROWS)[0]) for _ in range(ROUNDS)]
    bare, job = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    seconds, megabytes = _job(Settings(_NOWHERE, "", per_shard=500, line_bytes=LONG), MANY)
    return [
        Row(f"a job of {ROWS} rows, {AT_ONCE} at once", f"{job:.1f} s", f"{bare:.1f} s bare", job / bare, "<= 1.25x"),
        Row(
            f"worker memory, {MANY} rows of {LONG // 1000} KB in {seconds:.0f} s",
            f"{megabytes} MB",
            "200 MB",
            megabytes / 200,
            "<= 1x",
        ),
    ]


_NOWHERE = JobPlace("")


def _bare(url: str) -> float:
    async def ask_all() -> float:
        places = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(row: int) -> bytes:
                async with places, session.post(url, json={"row": row}) as answer:
                    return await answer.read()

            start = time.perf_counter()
            await asyncio.gather(*(ask(row) for row in range(ROWS)))
            return time.perf_counter() - start

    return asyncio.run(ask_all())


def _job(settings: Settings, rows: int) -> tuple[float, int]:
    """Seconds from its making to its end, with one worker that was there before, and the megabytes that this took at most."""
    with TemporaryDirectory() as folder:
        own = replace(settings, place=JobPlace(folder), at_once=AT_ONCE, timing=TIMING, visibility=120)
        if settings.upstream:
            own = replace(own, per_shard=500)
        log = Path(folder) / "worker.log"
        process = own.start(log)
        try:
            seconds = asyncio.run(_run(own.place, rows))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        [megabytes] = re.findall(r"rss (\d+) MB", log.read_text())
        return seconds, int(megabytes)


async def _run(place: JobPlace, rows: int) -> float:
    stores = place.connect()
    service = JobService(stores[0], stores[1], Enforcement(Policy(DEFAULT_POLICY)))
    await _work(service, 1)  # the worker has started
    start = time.perf_counter()
    await _work(service, rows)
    seconds = time.perf_counter() - start
    for store in stores:
        await store.close()
    return seconds


async def _work(service: JobService, rows: int) -> None:
    job = await service.create("toy", Call(ANONYMOUS), {"rows": rows})
    while True:
        current = await service.jobs.get(job.id)
        if current is not None and current.status in ENDED:
            assert current.status == "completed"
            return
        await asyncio.sleep(0.05)
