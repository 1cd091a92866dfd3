"""What does an evaluation cost over a bare loop that asks the same upstream and compares the answers?"""

import asyncio
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
import time
from typing import Any

import httpx

from tests.benchmarks.batches import AT_ONCE, ROUNDS, ROWS, ask_all, compared, working
from tests.benchmarks.table import Row
from tests.parts.batch_place import MODEL
from tests.parts.eval_stack import EQUALITY, benchmark_of, config, end_of, result_of, run, with_evaluations
from tests.parts.row_upstream import RowUpstream, serving


def evals() -> list[Row]:
    with TemporaryDirectory() as folder, serving(RowUpstream(0.05, 0.15, share_throttled=0.0)) as upstream:
        ours, bare = asyncio.run(against_bare(Path(folder) / "evals", upstream.base))
    return [compared(f"an evaluation of {ROWS} rows, {AT_ONCE} at once", ours, bare, "<= 1.25x")]


async def against_bare(folder: Path, base: str) -> tuple[float, float]:
    """The shortest of some rounds each, an evaluation and a bare loop in turn."""
    ours, bare = list[float](), list[float]()
    async with working(folder, base, partial(with_evaluations, at_once=AT_ONCE)) as (client, end):
        await benchmark_of(client, [{"question": str(row), "answer": str(row)} for row in range(ROWS)])
        for _ in range(ROUNDS):
            bare.append(await ask_all(base, ROWS, folder / "bare.jsonl"))
            ours.append(await evaluate(client))
        await end()
    return min(ours), min(bare)


async def evaluate(client: httpx.AsyncClient) -> float:
    """Seconds from an evaluation's making to its end."""
    start = time.perf_counter()
    job = await end_of(client, await run(client, body=config(MODEL)))
    seconds = time.perf_counter() - start
    assert (job["status"], job["progress"]["failed"]) == ("completed", 0), job
    scored: dict[str, Any] = (await result_of(client, job))["scores"][EQUALITY]
    assert scored["aggregated_results"]["accuracy"]["num_correct"] == ROWS
    return seconds
