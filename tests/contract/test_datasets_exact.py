"""Datasets between processes: rows that many append at the same time, and imports whose workers die."""

import asyncio
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
import signal
import time
from typing import Any

import httpx
import pytest

from tests.contract.crew import Crew, hiring, together
from tests.parts.batch_place import PLACES, BatchPlace, place_of
from tests.parts.batch_process import Settings
from tests.parts.dataset_stack import APPEND, DATASETS, ROWS, dataset, jsonl, questions
from tests.parts.live_stack import client_of
from tests.parts.worker_crew import Crew as Workers

SECONDS = 300  # a slow machine is no failure


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


async def settled(client: httpx.AsyncClient, name: str, workers: Workers) -> dict[str, Any]:
    """The dataset once its import has ended; meanwhile workers die, later each time: whoever goes on reads the source from its beginning."""
    started = killed = time.monotonic()
    while time.monotonic() - started < SECONDS:
        await asyncio.sleep(0.2)
        shown = (await client.get(f"{DATASETS}/{name}")).json()
        if shown["metadata"].get("import_status") != "in_progress":
            return dict[str, Any](shown)
        if time.monotonic() - killed >= 3 + workers.kills / 2:
            await asyncio.to_thread(workers.kill_one)
            killed = time.monotonic()
    raise AssertionError(workers.log.read_text()[-9000:])


@pytest.mark.parametrize("rows", [100_000, pytest.param(600_000, marks=pytest.mark.exact)])
async def test_an_import_survives_the_death_of_its_workers(place: BatchPlace, rows: int) -> None:
    """Every row once, in the order of the source."""
    folder = place.folder / "sources"
    folder.mkdir()
    digest, filler = sha256(), "x" * 150
    with (folder / "large.jsonl").open("wb") as file:
        for start in range(0, rows, 10_000):
            lines = jsonl({**row, "filler": filler} for row in questions(10_000, start))
            digest.update(lines)
            file.write(lines)
    settings = Settings(
        place.write("run.json", document(place)), timing={"lease": 2.0, "checkpoint": 0.25, "tick": 2, "sweep": 1}
    )
    workers = Workers([settings] * 2, place.folder / "workers.log")
    async with client_of(document(place)) as client:
        workers.start()
        try:
            made = await client.post(DATASETS, json=dataset({"uri": "lsfs://large.jsonl"}, "large"))
            assert made.status_code == 200, made.text
            shown = await settled(client, "large", workers)
        finally:
            codes = workers.stop()
        assert shown["metadata"] == {"num_rows": rows}, shown
        content, count = sha256(), 0
        while count < rows:
            page = (await client.get(f"{ROWS}/large", params={"start_index": count})).json()
            content.update(jsonl(page["data"]))
            count += len(page["data"])
            assert page["has_more"] is (count < rows)
    print(f"\n{rows} rows, {workers.kills} kills")
    assert content.hexdigest() == digest.hexdigest()
    assert set(codes) <= {0, -signal.SIGTERM}  # of one that had not begun yet
