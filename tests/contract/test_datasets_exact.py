"""Datasets between processes: rows that many append at the same time, and imports whose workers die."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from dataclasses import replace
from hashlib import sha256
from math import inf
import multiprocessing
import os
from pathlib import Path
import signal
import time
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.frame.callers import ANONYMOUS, Call
from core.resolution.resolve import resolve
from core.services.datasets.drafts import DRAFTS, LEFT_SECONDS
from core.services.datasets.keeping import OWNERS
from core.services.datasets.router import GROUP
from core.services.datasets.segments import SEGMENT
from core.stores.blobs import local, s3
from core.stores.blobs.port import BlobStore
from core.stores.connect import DOCUMENTS
from tests.contract.crew import Crew, hiring, together
from tests.parts.batch_place import PLACES, BatchPlace, place_of
from tests.parts.batch_process import Settings
from tests.parts.dataset_stack import APPEND, DATASETS, ROWS, dataset, jsonl, questions
from tests.parts.live_stack import client_of
from tests.parts.worker_crew import Crew as Worker

SECONDS = 300  # a slow machine is no failure
NAMED_SECONDS = 0.3  # in which a segment that was written is named


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> BatchPlace:
    return place_of(request, tmp_path)


@pytest.fixture(params=[2, pytest.param(16, marks=pytest.mark.exact)], ids="{} processes".format)
def appenders(request: pytest.FixtureRequest) -> Generator[Crew]:
    with hiring(request.param) as crew:
        yield crew


def document(place: BatchPlace) -> dict[str, Any]:
    """Datasets where the place keeps its state; `lsfs:` leads to a folder beside it."""
    whole = place.document("http://127.0.0.1:9")
    sources = {"storage_dir": str(place.folder / "sources")}
    local = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": sources}
    providers = {"files": whole["providers"]["files"], "datasetio": [local]}
    return {**whole, "apis": list(providers), "providers": providers, "models": []}


def append(place: BatchPlace, number: int, times: int, rows: int) -> None:
    """In a process of a crew."""
    asyncio.run(_append(place, number, times, rows))


async def _append(place: BatchPlace, number: int, times: int, rows: int) -> None:
    async with client_of(document(place)) as client:
        await client.get(f"{ROWS}/d")
        await together()
        for time_ in range(times):
            mine = [{**row, "who": number, "time": time_} for row in questions(rows)]
            answer = await client.post(f"{APPEND}/d", json={"rows": mine})
            assert answer.status_code == 200, answer.text


async def test_what_many_processes_append_is_all_there_once(place: BatchPlace, appenders: Crew) -> None:
    times, rows = (55 if appenders.size == 2 else 15), 3
    async with client_of(document(place)) as client:
        made = await client.post(DATASETS, json=dataset({"rows": []}, "d"))
        assert made.status_code == 200, made.text
        await appenders.work(append, *((place, number, times, rows) for number in range(appenders.size)))
        page = (await client.get(f"{ROWS}/d")).json()
        blobs = [path for path in (place.folder / "blobs" / "datasets").rglob("*") if path.is_file()]
    data: list[dict[str, Any]] = page["data"]
    assert len(data) == appenders.size * times * rows
    for number in range(appenders.size):
        mine = [(row["time"], row["n"]) for row in data if row["who"] == number]
        assert mine == [(time_, n) for time_ in range(times) for n in range(rows)]  # in its own order, each once
    assert len(blobs) <= 130  # the rest was put together on the way


@pytest.fixture
async def blobs(place: BatchPlace) -> AsyncGenerator[BlobStore]:
    """Those of the place."""
    in_bucket = {"region": "us-east-1", "endpoint_url": place.moto}
    store = s3.connect(place.bucket, **in_bucket) if place.bucket else local.connect(str(place.folder / "blobs"))
    yield store
    await store.close()


async def list_segments(blobs: BlobStore) -> set[str]:
    return {*await blobs.old_keys("datasets/", before=inf)}


def write_source(path: Path, rows: int) -> tuple[str, int]:
    """The digest of what is in the file now, and its bytes."""
    path.parent.mkdir()
    digest, size = sha256(), 0
    with path.open("wb") as file:
        for start in range(0, rows, 10_000):
            lines = jsonl({**row, "filler": "x" * 150} for row in questions(10_000, start))
            digest.update(lines)
            size += file.write(lines)
    return digest.hexdigest(), size


async def settled(client: httpx.AsyncClient, name: str, worker: Worker, blobs: BlobStore, kills: int) -> dict[str, Any]:
    """The dataset once its import has ended; meanwhile the worker dies over segments: when one is written and not named yet, and when it is."""
    started, seen = time.monotonic(), set[str]()
    while time.monotonic() - started < SECONDS:
        written = await list_segments(blobs)
        if written - seen and worker.kills < kills:
            await asyncio.sleep(NAMED_SECONDS * (worker.kills % 2))
            await asyncio.to_thread(worker.kill_one)
        seen |= written
        await asyncio.sleep(0.002)
        shown = (await client.get(f"{DATASETS}/{name}")).json()
        if shown["metadata"].get("import_status") != "in_progress":
            return dict[str, Any](shown)
    raise AssertionError(worker.log.read_text()[-9000:])


@pytest.mark.parametrize(("rows", "kills"), [(100_000, 1), pytest.param(600_000, 4, marks=pytest.mark.exact)])
async def test_an_import_survives_the_death_of_its_workers(
    place: BatchPlace, blobs: BlobStore, rows: int, kills: int
) -> None:
    """Every row once, in the order of the source, and nothing beside."""
    digest, size = write_source(place.folder / "sources" / "large.jsonl", rows)
    timing = {"lease": 1.0, "checkpoint": 0.25, "tick": 1, "sweep": 1}
    settings = Settings(place.write("run.json", document(place)), visibility=2, timing=timing)
    worker = Worker([settings], place.folder / "workers.log")
    async with client_of(document(place)) as client:
        worker.start()
        try:
            made = await client.post(DATASETS, json=dataset({"uri": "lsfs://large.jsonl"}, "large"))
            assert made.status_code == 200, made.text
            shown = await settled(client, "large", worker, blobs, kills)
        finally:
            codes = worker.stop()
        assert shown["metadata"] == {"num_rows": rows}, shown
        content, count = sha256(), 0
        while count < rows:
            page = (await client.get(f"{ROWS}/large", params={"start_index": count})).json()
            content.update(jsonl(page["data"]))
            count += len(page["data"])
            assert page["has_more"] is (count < rows)
    segments = await list_segments(blobs)
    lengths = [len(chunk) for key in segments async for chunk in blobs.read(key)]
    print(f"\n{rows} rows, {worker.kills} kills, {len(segments)} blobs")
    assert worker.kills == kills
    assert sum(lengths) == size
    assert content.hexdigest() == digest
    assert set(codes) <= {0, -signal.SIGTERM}  # of one that had not begun yet


def write_and_die(place: BatchPlace) -> None:
    """In a process of its own, which is killed when the first segment is written and no document names it."""
    asyncio.run(_write_and_die(place))


async def _write_and_die(place: BatchPlace) -> None:
    async def lines() -> AsyncIterator[bytes]:
        line = jsonl([{"question": "q", "answer": "x" * (SEGMENT // GROUP)}])
        for _ in range(GROUP):
            yield line
        os.kill(os.getpid(), signal.SIGKILL)

    stack = await resolve(interpret(document(place), {}), ["datasetio", "files"], version="1")
    await stack.surfaces["dataset_rows"](Call(ANONYMOUS)).create("d", "eval/question-answer", lines(), {"job": "j"})


async def test_what_was_written_of_a_dataset_whose_maker_died_goes_a_day_later(
    place: BatchPlace, blobs: BlobStore
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(place,))
    process.start()
    await asyncio.to_thread(process.join, SECONDS)
    assert process.exitcode == -signal.SIGKILL
    left = await list_segments(blobs)
    assert left
    stack = await resolve(interpret(document(place), {}), ["datasetio", "files"], version="1")
    documents = stack.stores.get(DOCUMENTS)
    async with client_of(document(place)) as client:
        for name, age in (("early", LEFT_SECONDS - 600), ("late", LEFT_SECONDS + 600)):
            [note] = (await documents.page(OWNERS, DRAFTS, limit=9)).documents
            assert left <= await list_segments(blobs)
            await documents.delete(note)
            await documents.create(replace(note, created=int(time.time()) - age, revision=1))
            made = await client.post(DATASETS, json=dataset({"rows": questions(2)}, name))
            assert made.status_code == 200, made.text
        assert (await documents.page(OWNERS, DRAFTS, limit=9)).documents == []
        kept = await list_segments(blobs)
        assert (len(kept), kept & left) == (2, set())
        for name in ("early", "late"):
            assert len((await client.get(f"{ROWS}/{name}")).json()["data"]) == 2
    await stack.close()
