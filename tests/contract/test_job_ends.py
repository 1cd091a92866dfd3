"""Whoever wants to know of the end of a job is told of it, however it ended, and whoever died meanwhile."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import StateUnavailable
from core.services.jobs.kind import JobFailed, PrepareRun, Slice
from core.stores.jobs.port import Job
from tests.parts.job_bench import Bench, close_all
from tests.parts.toy_jobs import row_kind


@pytest.fixture(autouse=True)
async def closing() -> AsyncGenerator[None]:
    yield
    await close_all()


class Ends:
    """What a kind was told; the first `failures` times it fails."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[tuple[str, str]] = []
        self.failures = failures

    async def __call__(self, job: Job) -> None:
        if self.failures:
            self.failures -= 1
            raise StateUnavailable("down")
        assert job.ended is not None
        self.told.append((job.id, job.status))


async def refuse(_: PrepareRun) -> list[Slice]:
    raise JobFailed("bad: it is")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
async def test_the_end_of_a_job_is_told_whatever_it_is(tmp_path: Path, status: str) -> None:
    ends = Ends()
    kind = replace(row_kind(), ended=ends)
    bench = Bench(tmp_path, replace(kind, prepare=refuse) if status == "failed" else kind)
    job = await bench.create(3)
    if status == "cancelled":
        await bench.service.cancel(job)
    if status == "expired":
        bench.clock.now = job.deadline + 1
    await bench.until_idle()
    assert (await bench.job(job)).status == status
    assert set(ends.told) == {(job.id, status)}


@pytest.mark.parametrize("fails", ["prepare", "finish"])
async def test_what_could_not_be_told_is_told_by_the_redelivery(tmp_path: Path, fails: str) -> None:
    ends = Ends(failures=2)
    kind = replace(row_kind(), ended=ends)
    bench = Bench(tmp_path, replace(kind, prepare=refuse) if fails == "prepare" else kind)
    job = await bench.create(3)
    await bench.until_idle()
    assert ends.failures == 0
    assert {told for told, _ in ends.told} == {job.id}
