"""A job under workers that are processes, and die: every row once in the result, in order, and the counts exact."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
import signal
import time

import pytest

from core.frame.callers import ANONYMOUS, Call
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.jobs.service import JobService
from core.services.jobs.timing import Timing
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import ENDED, Counts, Job, JobStore
from tests.parts.job_process import JobPlace, Settings
from tests.parts.row_upstream import RowUpstream, serving
from tests.parts.toy_jobs import output_of
from tests.parts.worker_crew import Crew, interrupted

SECONDS = 400  # a slow machine is no failure


@dataclass
class House:
    """The stores, as whoever makes a job and looks at it has them."""

    place: JobPlace
    jobs: JobStore
    service: JobService
    blobs: BlobStore

    async def create(self, rows: int) -> Job:
        return await self.service.create("toy", Call(ANONYMOUS), {"rows": rows})

    async def wait(self, job: Job, crew: Crew, *, kill_every: float | None = None) -> Job:
        """The job once it has ended; meanwhile workers die, and its counts only grow."""
        started = killed = time.monotonic()
        most = 0
        while time.monotonic() - started < SECONDS:
            await asyncio.sleep(0.25)
            current = await self.jobs.get(job.id)
            assert current is not None
            counts = await self.service.counts(current)
            assert most <= counts.completed + counts.failed <= job.request["rows"]
            most = counts.completed + counts.failed
            if current.status in ENDED:
                return current
            if kill_every is not None and time.monotonic() - killed >= kill_every:
                await asyncio.to_thread(crew.kill_between, most)
                killed = time.monotonic()
        assert current is not None
        open_ = [shard for shard in await self.jobs.shards(current) if shard.state != "done"]
        raise AssertionError(f"{current}\n{open_}\n{crew.log.read_text()[-9000:]}")


@asynccontextmanager
async def opened(place: JobPlace) -> AsyncGenerator[House]:
    jobs, queue, blobs = place.connect()
    try:
        yield House(place, jobs, JobService(jobs, queue, Enforcement(Policy(DEFAULT_POLICY)), Timing(tick=5)), blobs)
    finally:
        for store in (jobs, queue, blobs):
            await store.close()


@pytest.fixture(params=["sqlite", pytest.param("aws", marks=pytest.mark.exact)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> JobPlace:
    """A file and a folder, or DynamoDB, SQS and S3 as DynamoDB Local and moto have them."""
    if request.param == "sqlite":
        return JobPlace(str(tmp_path))
    return JobPlace(
        str(tmp_path),
        table=request.getfixturevalue("state_table"),
        dynamodb=request.getfixturevalue("dynamodb_endpoint"),
        queue=request.getfixturevalue("sqs_queue").url,
        bucket=request.getfixturevalue("bucket"),
        moto=request.getfixturevalue("moto_endpoint"),
    )


async def run_job(
    place: JobPlace, upstream: RowUpstream, settings: Sequence[Settings], rows: int, *, kill_every: float | None
) -> tuple[Job, Crew]:
    """A job of so many rows that has ended; what it came to is exact."""
    async with opened(place) as house:
        crew = Crew(settings, Path(place.folder) / "workers.log")
        crew.start()
        started = time.monotonic()
        try:
            job = await house.create(rows)
            ended = await house.wait(job, crew, kill_every=kill_every)
        finally:
            codes = crew.stop()
        seconds = time.monotonic() - started
        lines = await output_of(house.blobs, job.id)
        print(
            f"\n{rows} rows in {seconds:.0f} s, {crew.kills} kills: {len(lines)} lines, {len({r['row'] for r in lines})} distinct,"
            f" in order: {lines == [{'row': n} for n in range(rows)]}; counts {ended.counts};"
            f" asked {upstream.asked.total()} ({upstream.again} again, {upstream.again / max(crew.kills, 1):.1f} a kill),"
            f" {upstream.throttled} refused, {upstream.peak} at once"
        )
        assert ended.status == "completed"
        assert lines == [{"row": number} for number in range(rows)]
        assert ended.counts == Counts(rows, 0, {"m": 3 * rows})
        assert set(codes) <= {0, -signal.SIGTERM}  # of one that had not begun yet
        return ended, crew


async def test_a_job_survives_the_death_of_its_workers(place: JobPlace) -> None:
    with serving(RowUpstream(0.05, 0.15)) as upstream:
        settings = [Settings(place, upstream.url, per_shard=20)] * 2
        _, crew = await run_job(place, upstream, settings, 240, kill_every=3)
        assert upstream.again <= 15 * crew.kills


@pytest.mark.exact
async def test_four_thousand_rows_are_exact_however_often_workers_die(place: JobPlace) -> None:
    with serving(RowUpstream()) as upstream:
        settings = [Settings(place, upstream.url)] * 3
        _, crew = await run_job(place, upstream, settings, 4000, kill_every=3)
        assert crew.kills >= 10
        assert upstream.again <= 15 * crew.kills


@pytest.mark.exact
async def test_late_and_repeated_messages_and_wrong_clocks_change_nothing(place: JobPlace) -> None:
    with serving(RowUpstream(0.05, 0.2)) as upstream:
        first = Settings(place, upstream.url, unreliable=True)
        settings = [replace(first, offset=offset) for offset in (0.0, 2.5, 5.0)]
        await run_job(place, upstream, settings, 1500, kill_every=4)


def _file_of(place: JobPlace) -> Path | None:
    return None if place.table else Path(place.folder) / "jobs.db"


@pytest.mark.exact
async def test_a_store_that_goes_away_again_and_again_changes_nothing(place: JobPlace) -> None:
    with serving(RowUpstream(0.1, 0.3)) as upstream, interrupted(place.dynamodb, _file_of(place)) as dynamodb:
        settings = [Settings(replace(place, dynamodb=dynamodb), upstream.url)] * 3
        await run_job(place, upstream, settings, 1200, kill_every=None)
        assert upstream.again <= 0.2 * 1200
