"""What does a batch cost over a bare loop that asks the same upstream, how much memory does it take, how soon does it begin and stop?"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
import re
import signal
from tempfile import TemporaryDirectory
import time
from typing import Any

import aiohttp
import httpx

from tests.benchmarks.processes import started
from tests.benchmarks.table import Row
from tests.parts.batch_place import MODEL, BatchPlace
from tests.parts.batch_process import Settings
from tests.parts.batch_stack import BATCHES, CHAT, ENDED, jsonl, new_batch, upload
from tests.parts.live_stack import client_of
from tests.parts.row_upstream import RowUpstream, serving

ROWS, FAST_ROWS, AT_ONCE, ROUNDS = 1_500, 3_000, 20, 3
MANY, LONG = 50_000, 2_000  # rows, and characters of a prompt
WAIT_SECONDS = 900


def batches() -> list[Row]:
    with TemporaryDirectory() as folder:
        with serving(RowUpstream(0.05, 0.15, share_throttled=0.0)) as upstream:
            slow = asyncio.run(against_bare(Path(folder) / "slow", upstream.base, ROWS))
            first, stop = asyncio.run(begin_and_stop(Path(folder) / "stop", upstream))
        with started("-m", "tests.benchmarks.upstream") as (port, _):
            base = f"http://127.0.0.1:{port}"
            fast = asyncio.run(against_bare(Path(folder) / "fast", base, FAST_ROWS))
            long, megabytes = asyncio.run(many(Path(folder) / "many", base))
    return [
        compared(f"a batch of {ROWS} rows, {AT_ONCE} at once", *slow, "<= 1.25x"),
        compared(f"a batch of {FAST_ROWS} rows of an upstream that answers at once", *fast, "<= 2x"),
        Row(
            f"worker memory, {MANY} rows of {LONG // 1000} KB in {long:.0f} s",
            f"{megabytes} MB",
            "200 MB",
            megabytes / 200,
            "<= 1x",
        ),
        Row("create to the first row at the upstream", f"{first:.1f} s", "2 s", first / 2, "<= 1x"),
        Row("cancel to cancelled", f"{stop:.1f} s", "15 s", stop / 15, "<= 1x"),
    ]


def compared(what: str, ours: float, bare: float, goal: str) -> Row:
    return Row(what, f"{ours:.2f} s", f"{bare:.2f} s bare", ours / bare, goal)


def bodies(rows: int, size: int = 1) -> list[dict[str, Any]]:
    """Requests whose last message is the row's number, with `size` characters of others before."""
    said = {"role": "system", "content": "x" * size}
    return [{"model": MODEL, "messages": [said, {"role": "user", "content": str(row)}]} for row in range(rows)]


def input_of(rows: int, size: int = 1) -> bytes:
    return jsonl(
        {"custom_id": f"row-{row}", "method": "POST", "url": CHAT, "body": body}
        for row, body in enumerate(bodies(rows, size))
    )


@asynccontextmanager
async def working(
    folder: Path, base: str, further: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> AsyncGenerator[tuple[httpx.AsyncClient, Callable[[], Awaitable[int]]]]:
    """A client of a stack whose jobs a process of its own works on, by the settings of production, and what ends that: the megabytes it took.

    `further` makes the run config from that of batches.
    """
    await asyncio.to_thread(folder.mkdir)
    place, log = BatchPlace(folder), folder / "worker.log"
    document = further(place.document(base))
    process = Settings(place.write("run.json", document), shards=2, visibility=120, timing={}).start(log)

    async def end() -> int:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
        [megabytes] = re.findall(r"rss (\d+) MB", log.read_text())
        return int(megabytes)

    try:
        async with client_of(document) as client:
            del client.headers["content-type"]
            client.timeout = httpx.Timeout(120)
            await run(client, input_of(1))  # the worker has started
            yield client, end
    finally:
        process.kill()
        process.wait()


async def create(client: httpx.AsyncClient, content: bytes) -> tuple[str, float]:
    """The id of a batch, and when it was asked for."""
    file_id = await upload(client, content)
    start = time.perf_counter()
    answer = await client.post(BATCHES, json=new_batch(file_id))
    return answer.json()["id"], start


async def until(client: httpx.AsyncClient, batch_id: str, *statuses: str) -> dict[str, Any]:
    last = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < last:
        batch: dict[str, Any] = (await client.get(f"{BATCHES}/{batch_id}")).json()
        if batch["status"] in statuses:
            return batch
        await asyncio.sleep(0.05)
    raise AssertionError(batch)


async def run(client: httpx.AsyncClient, content: bytes) -> float:
    """Seconds from a batch's making to its end."""
    batch_id, start = await create(client, content)
    batch = await until(client, batch_id, *ENDED)
    assert (batch["status"], batch["request_counts"]["failed"]) == ("completed", 0), batch
    return time.perf_counter() - start


async def against_bare(folder: Path, base: str, rows: int) -> tuple[float, float]:
    """The shortest of some rounds each, a batch and a bare loop in turn."""
    ours, bare = list[float](), list[float]()
    async with working(folder, base) as (client, end):
        for _ in range(ROUNDS):
            bare.append(await ask_all(base, rows, folder / "bare.jsonl"))
            ours.append(await run(client, input_of(rows)))
        await end()
    return min(ours), min(bare)


async def ask_all(base: str, rows: int, output: Path) -> float:
    """The bare loop, which writes what it was answered."""
    places = asyncio.Semaphore(2 * AT_ONCE)  # as two shards have
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: dict[str, Any]) -> bytes:
            async with places, session.post(f"{base}{CHAT}", json=body) as answer:
                return await answer.read()

        start = time.perf_counter()
        answers = await asyncio.gather(*map(ask, bodies(rows)))
        await asyncio.to_thread(output.write_bytes, b"\n".join(answers))
        return time.perf_counter() - start


async def begin_and_stop(folder: Path, upstream: RowUpstream) -> tuple[float, float]:
    """Seconds until the first row is asked, and those that a cancelled batch takes to end."""
    async with working(folder, upstream.base) as (client, end):
        before = upstream.asked.total()
        batch_id, start = await create(client, input_of(ROWS))
        while upstream.asked.total() == before:  # noqa: ASYNC110 - of a double that says nothing
            await asyncio.sleep(0.005)
        first, start = time.perf_counter() - start, time.perf_counter()
        await client.post(f"{BATCHES}/{batch_id}/cancel")
        await until(client, batch_id, "cancelled")
        stop = time.perf_counter() - start
        await end()
    return first, stop


async def many(folder: Path, base: str) -> tuple[float, int]:
    async with working(folder, base) as (client, end):
        seconds = await run(client, input_of(MANY, LONG))
        return seconds, await end()
