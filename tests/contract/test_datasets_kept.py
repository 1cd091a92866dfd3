"""What becomes of datasets whose makers died, whose owners go, and that go while they are read; and rows for jobs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
import os
from pathlib import Path
import time
from typing import Any

import pytest

from core.apis.datasets import RegisterDataset
from core.config.load import interpret
from core.errors import Conflict, LimitReached
from core.frame.callers import Call, Principal
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.services.datasets import drafts
from core.services.datasets.appending import EVERY, LEFT_SECONDS
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.drafts import DRAFTS
from core.services.datasets.erasing import erase as erase_of
from core.services.datasets.importing import Import
from core.services.datasets.keeping import OWNERS, tally_id
from core.services.datasets.records import DATASET, DatasetRecord
from core.services.erasure import Estate
from core.services.jobs.admission import Unlimited
from core.services.jobs.shard_run import RunParts, ShardRun
from core.services.jobs.timing import Timing, Turn
from core.stores.connect import BLOBS, DOCUMENTS, JOBS
from core.stores.documents.port import Document
from core.stores.jobs.port import Shard
from tests.parts.dataset_stack import (
    APPEND,
    DATASETS,
    ROWS,
    DatasetWorld,
    dataset,
    dataset_world,
    jsonl,
    numbers,
    questions,
    register,
    rows_of,
)
from tests.parts.file_stack import by

ADA = by("ada")
LARGE = 25_000  # rows, of more than a megabyte


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[DatasetWorld]:
    async with dataset_world(tmp_path) as world:
        yield world


def segments(world: DatasetWorld) -> list[Path]:
    """Blobs of rows."""
    return [path for path in world.blobs() if path.is_relative_to(world.folder / "blobs" / "datasets")]


@pytest.fixture
async def stack(world: DatasetWorld) -> AsyncGenerator[Stack]:
    """Over the same state as the world's clients."""
    document = interpret(world.document(quota={"max_datasets": 2}), {})
    stack = await resolve(document, ["datasetio", "files"], version="1")
    try:
        yield stack
    finally:
        await stack.close()


async def test_a_dataset_that_was_left_by_its_maker_says_so_and_makes_room(world: DatasetWorld, stack: Stack) -> None:
    """Who registered it died between the dataset and its job, more than a minute ago."""
    client = await world.client()
    uri = world.source("large.jsonl", jsonl(questions(LARGE)))
    await register(client, {"uri": uri}, "left")
    documents = stack.stores.get(DOCUMENTS)
    document = await documents.get(DATASET, "left")
    assert document is not None
    record = replace(DatasetRecord.of(document), job="import_none")
    await documents.delete(document)
    await documents.create(replace(document, body=record.body(), created=int(time.time()) - 100, revision=1))
    assert (await client.get(f"{ROWS}/left", headers=ADA)).status_code == 409
    answer = await client.get(f"{ROWS}/left", headers=ADA)
    assert (answer.status_code, "never begun" in answer.json()["error"]["message"]) == (400, True)
    async with world.working():
        await register(client, {"uri": uri}, "left")
        assert numbers(await rows_of(client, "left", start_index=LARGE - 1)) == [LARGE - 1]


async def test_an_import_that_is_halted_keeps_nothing_of_what_it_has_not_read_to_its_end(
    world: DatasetWorld, stack: Stack
) -> None:
    client = await world.client()
    made = await register(client, {"uri": world.source("large.jsonl", jsonl(questions(LARGE)))}, "halted")
    jobs = stack.stores.get(JOBS)
    job = await jobs.get(made["metadata"]["import_job"])
    assert job is not None
    call = Call(job.principal)
    parts = RunParts(jobs, stack.stores.get(BLOBS), Unlimited(), Timing(), time.time)
    run = ShardRun(parts, job, call, Shard(job.id, "p", 0, {}, 1), Turn())
    run.halt.set("deadline")
    await Import(DatasetCollection(stack, call), run).work()
    assert (await client.get(f"{DATASETS}/halted", headers=ADA)).json() == made
    assert segments(world) == []


async def test_a_dataset_that_goes_while_it_is_imported_leaves_nothing(world: DatasetWorld) -> None:
    client = await world.client()
    uri = world.source("large.jsonl", jsonl(questions(LARGE)))
    made = await register(client, {"uri": uri}, "gone")
    assert (await client.delete(f"{DATASETS}/gone", headers=ADA)).status_code == 200
    other = await register(client, {"rows": questions(2)}, "gone")  # of the same name, and none of the job's business
    async with world.working(), asyncio.timeout(60):
        path = f"/v1/jobs/{made['metadata']['import_job']}"
        job = dict[str, Any]()
        while job.get("status") not in {"completed", "failed"}:
            await asyncio.sleep(0.05)
            job = (await client.get(path, headers=ADA)).json()
    assert (job["status"], "unregistered while" in job["error"]["message"]) == ("failed", True), job
    assert (await client.get(f"{DATASETS}/gone", headers=ADA)).json() == other
    assert numbers(await rows_of(client, "gone")) == [0, 1]
    assert len(segments(world)) == 1


async def test_what_a_killed_import_wrote_and_had_not_named_goes_when_it_begins_again(
    world: DatasetWorld, stack: Stack
) -> None:
    client = await world.client()
    await register(client, {"uri": world.source("large.jsonl", jsonl(questions(LARGE)))}, "again")
    document = await stack.stores.get(DOCUMENTS).get(DATASET, "again")
    assert document is not None
    await stack.stores.get(BLOBS).put(f"{DatasetRecord.of(document).prefix}orphan.jsonl", b"{}\n")
    async with world.working():
        assert numbers(await rows_of(client, "again", start_index=LARGE - 1)) == [LARGE - 1]
    [only] = segments(world)
    assert "orphan" not in only.name


async def test_a_segment_whose_writer_died_before_it_was_named_goes_a_day_later(
    world: DatasetWorld, stack: Stack
) -> None:
    client = await world.client()
    await register(client, {"rows": questions(1)}, "grows")
    [first] = segments(world)
    day_ago = time.time() - LEFT_SECONDS - 60
    os.utime(first, (day_ago, day_ago))
    for name, age in (("left", LEFT_SECONDS + 60), ("late", LEFT_SECONDS - 60)):
        await stack.stores.get(BLOBS).put(f"datasets/{first.parent.name}/{name}.jsonl", b"{}\n")
        path = first.with_name(f"{name}.jsonl~")
        os.utime(path, (time.time() - age,) * 2)
    for number in range(1, EVERY):
        answer = await client.post(f"{APPEND}/grows", json={"rows": questions(1, number)}, headers=ADA)
        assert answer.status_code == 200, answer.text
    names = {path.name for path in segments(world)}
    assert ("left.jsonl~" in names, "late.jsonl~" in names, first.name in names) == (False, True, True)
    assert numbers(await rows_of(client, "grows")) == list(range(EVERY))


async def test_a_draft_whose_dataset_was_made_is_forgotten_with_its_rows_in_their_place(
    world: DatasetWorld, stack: Stack
) -> None:
    """Its maker died after the dataset was made, and before it could say so."""
    client, documents = await world.client(), stack.stores.get(DOCUMENTS)
    await register(client, {"rows": questions(3)}, "made")
    [segment] = segments(world)
    created = int(time.time()) - 2 * drafts.LEFT_SECONDS
    await documents.create(Document(OWNERS, segment.parent.name, {"dataset": "made"}, DRAFTS, created=created))
    await register(client, {"rows": questions(1)}, "next")
    assert (await documents.page(OWNERS, DRAFTS, limit=9)).documents == []
    assert numbers(await rows_of(client, "made")) == [0, 1, 2]


async def test_what_a_principal_keeps_is_erased(world: DatasetWorld, stack: Stack) -> None:
    client = await world.client(quota={"max_datasets": 2})
    await register(client, {"rows": questions(3)}, "a1")
    await register(client, {"uri": world.source("large.jsonl", jsonl(questions(LARGE)))}, "a2")
    await register(client, {"rows": questions(1)}, "b1", "bob")
    documents, erase = stack.stores.get(DOCUMENTS), erase_of(stack)
    document = await documents.get(DATASET, "a1")
    assert document is not None
    assert document.owner is not None
    assert erase is not None
    counted = DatasetRecord.of(document).counted
    for number, owner in enumerate((document.owner, {"principal": "bob"})):  # what is being written, or was
        await documents.create(Document(OWNERS, f"folder{number}", {"dataset": "d"}, DRAFTS, owner))
        await stack.stores.get(BLOBS).put(f"datasets/folder{number}/a.jsonl", b"{}\n")
    estate = Estate(Principal("ada", {}, vouched_by=document.owner.get("vouched_by", "")), lambda _: True)
    names = list[str]()
    async for pieces in erase(estate):
        names += [piece.name for piece in pieces if piece.name]
        for piece in (*pieces, *pieces):  # any number of times
            assert await piece.remove()
    assert names == ["datasets", "datasets"]
    assert (await client.get(DATASETS, headers=ADA)).json() == {"data": []}
    assert numbers(await rows_of(client, "b1", "bob")) == [0]
    assert sorted(path.parent.name == "folder1" for path in segments(world)) == [False, True]
    assert counted.startswith(tally_id(""))
    assert (await documents.tallies(OWNERS, counted)).get("datasets", 0) == 0


async def test_a_job_makes_a_dataset_of_its_lines_once(stack: Stack) -> None:
    call = Call(Principal("ada", {"roles": ("ada",)}))
    rows = stack.surfaces["dataset_rows"](call)
    reads = 0

    async def lines() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        for line in jsonl(questions(2500)).splitlines(keepends=True):
            yield line

    async def make(name: str, job: str) -> None:
        await rows.create(name, "eval/question-answer", lines(), {"job": job})

    await make("scores-1", "j1")
    await make("scores-1", "j1")
    assert reads == 1
    with pytest.raises(Conflict):
        await make("scores-1", "j2")
    await asyncio.gather(make("scores-2", "j2"), make("scores-2", "j2"))
    await make("scores-3", "j3")  # whatever the limit is: it was paid for
    body = RegisterDataset.model_validate(dataset({"rows": questions(1)}, "more"))
    with pytest.raises(LimitReached):
        await stack.surfaces["datasets"](call).register(body)
    assert await rows.count("scores-1") == await rows.count("scores-2") == 2500
    assert await rows.read("scores-1", 2400, 1000) == questions(100, 2400)
    assert await rows.read("scores-1", 2500, 10) == []
    assert await rows.purpose("scores-1") == "eval/question-answer"
    shown = await stack.surfaces["datasets"](call).get("scores-1")
    assert shown["metadata"] == {"job": "j1", "num_rows": 2500}
