"""An evaluation under workers that are processes, and die: every row once, generated and scored, in the order of the dataset."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
import signal
import time
from typing import Any

import httpx
import pytest

from tests.parts.batch_place import MODEL, PLACES, BatchPlace, place_of
from tests.parts.batch_process import Settings
from tests.parts.eval_stack import (
    BENCHMARKS,
    ENDED,
    EQUALITY,
    benchmark_of,
    config,
    result_of,
    run,
    with_evaluations,
)
from tests.parts.live_stack import client_of
from tests.parts.row_upstream import RowUpstream, serving
from tests.parts.worker_crew import Crew

SECONDS = 600  # a slow machine is no failure
AT_ONCE = 8
PER_KILL = 15  # rows that are asked again


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> BatchPlace:
    return place_of(request, tmp_path)


async def wait(client: httpx.AsyncClient, job: dict[str, Any], crew: Crew, kill_every: float) -> dict[str, Any]:
    """The job once it has ended; meanwhile workers die, and its counts only grow."""
    started = killed = time.monotonic()
    most = 0
    while job["status"] not in ENDED:
        assert time.monotonic() - started < SECONDS, f"{job}\n{crew.log.read_text()[-9000:]}"
        await asyncio.sleep(0.25)
        answer = await client.get(f"{BENCHMARKS}/quiz/jobs/{job['job_id']}")
        job = dict[str, Any](answer.json())
        progress = job["progress"]
        assert most <= progress["completed"] + progress["failed"] <= progress["total"]
        most = progress["completed"] + progress["failed"]
        if job["status"] not in ENDED and time.monotonic() - killed >= kill_every:
            await asyncio.to_thread(crew.kill_between, most)
            killed = time.monotonic()
    return job


async def evaluate(
    place: BatchPlace, upstream: RowUpstream, settings: Sequence[Settings], rows: int, *, kill_every: float
) -> Crew:
    """What an evaluation of so many rows came to is exact; every third answer is wrong."""
    crew = Crew(settings, place.folder / "workers.log")
    expected = [str(row) if row % 3 else "wrong" for row in range(rows)]
    async with client_of(with_evaluations(place.document(upstream.base), AT_ONCE)) as client:
        await benchmark_of(client, [{"question": str(row), "answer": expected[row]} for row in range(rows)])
        crew.start()
        try:
            job = await wait(client, await run(client, body=config(MODEL)), crew, kill_every)
        finally:
            codes = crew.stop()
        result = await result_of(client, job)
    right = sum(row % 3 != 0 for row in range(rows))
    print(
        f"\n{rows} rows, {crew.kills} kills: {job['status']}, {job['progress']}; asked {upstream.asked.total()} ({upstream.again} again),"
        f" {upstream.throttled} refused, {upstream.peak} at once"
    )
    assert job["status"] == "completed"
    assert job["progress"] == {"total": rows, "completed": rows, "failed": 0}
    assert job["usage"] == {"total_tokens": 7 * rows, "models": {MODEL: 7 * rows}}
    assert [each["generated_answer"] for each in result["generations"]] == list(map(str, range(rows)))
    scored = result["scores"][EQUALITY]
    assert [each["score"] for each in scored["score_rows"]] == [float(row % 3 != 0) for row in range(rows)]
    assert scored["aggregated_results"]["accuracy"]["num_correct"] == right
    assert set(codes) <= {0, -signal.SIGTERM}  # of one that had not begun yet
    assert upstream.again <= PER_KILL * crew.kills
    return crew


def settings_of(place: BatchPlace, upstream: RowUpstream, **how: Any) -> Settings:
    return Settings(place.write("run.json", with_evaluations(place.document(upstream.base), AT_ONCE)), **how)


async def test_an_evaluation_survives_the_death_of_its_workers(place: BatchPlace) -> None:
    with serving(RowUpstream(0.05, 0.15)) as upstream:
        await evaluate(place, upstream, [settings_of(place, upstream)] * 2, 200, kill_every=3)


@pytest.mark.exact
async def test_four_thousand_rows_are_exact_however_often_workers_die(place: BatchPlace) -> None:
    with serving(RowUpstream()) as upstream:
        crew = await evaluate(place, upstream, [settings_of(place, upstream)] * 3, 4000, kill_every=3)
        assert crew.kills >= 10
