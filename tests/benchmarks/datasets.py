"""What does a page cost at the end of a large dataset, over the first one? How fast are rows imported, over reading and writing their bytes?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any

from core.apis.datasets import IterrowsQuery, RegisterDataset
from core.config.load import interpret
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.segments import write_segments
from core.services.datasets.sources import check_groups, open_rows
from core.stores.connect import BLOBS
from tests.benchmarks.table import Row

ROWS, PAGE, ROUNDS = 500_000, 100, 300
MB = 1024 * 1024


def datasets() -> list[Row]:
    with TemporaryDirectory() as folder:
        return asyncio.run(compare(Path(folder)))


def config(folder: Path) -> dict[str, Any]:
    local = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {"storage_dir": str(folder)}}
    return {
        "version": 2,
        "image_name": "bench",
        "apis": ["datasetio"],
        "providers": {"datasetio": [local]},
        "metadata_store": {"type": "sqlite", "db_path": f"{folder}/registry.db"},
    }


def write_source(path: Path) -> int:
    with path.open("w") as file:
        for number in range(ROWS):
            row = {"question": f"What is {number} + 1? {'x' * 150}", "answer": str(number + 1), "id": number}
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size


async def compare(folder: Path) -> list[Row]:
    size = write_source(folder / "large.jsonl")
    stack = await resolve(interpret(config(folder), {}), ["datasetio"], version="1")
    try:
        seconds = await import_rows(stack)
        floor = await copy_bytes(stack, folder / "large.jsonl")
        speed = size / MB / seconds
        return [
            Row("JSON lines into segments, MB/s", f"{speed:.0f}", "100", speed / 100, ">= 1x"),
            Row("the same, over reading and writing their bytes", f"{seconds:.2f} s", f"{floor:.2f} s", seconds / floor, ""),
            *await pages(stack),
        ]  # fmt: skip
    finally:
        await stack.close()


async def import_rows(stack: Stack) -> float:
    """Seconds of CPU: what an import does but for its checkpoints."""
    collection = DatasetCollection(stack, None)
    begin = time.process_time()
    groups = check_groups(open_rows(collection, "localfs", "lsfs://large.jsonl"), "eval/question-answer")
    segments = await write_segments(stack.stores.get(BLOBS), "bench", groups)
    assert sum(segment.rows for segment in segments) == ROWS
    return time.process_time() - begin


async def copy_bytes(stack: Stack, path: Path) -> float:
    async def chunks() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, MB):
                yield chunk

    begin = time.process_time()
    await stack.stores.get(BLOBS).put("datasets/copy/whole", chunks())
    return time.process_time() - begin


async def pages(stack: Stack) -> list[Row]:
    """By turns, so that both meet the same machine."""
    surface = stack.surfaces
    body = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": []}, "dataset_id": "large"}
    await surface["datasets"](None).register(RegisterDataset.model_validate(body))
    collection = DatasetCollection(stack, None)
    await fill(collection)
    rows = surface["datasetio"](None)
    times: dict[int, list[float]] = {0: [], ROWS - PAGE - 7: []}
    for _ in range(ROUNDS):
        for start, each in times.items():
            begin = time.perf_counter()
            page = await rows.iterrows("large", query=IterrowsQuery(start_index=start, limit=PAGE))
            each.append(time.perf_counter() - begin)
            assert len(page["data"]) == PAGE
    first, last = (median(each) * 1000 for each in times.values())
    return [Row(f"a page at the end of {ROWS} rows", f"{last:.2f} ms", f"{first:.2f} ms", last / first, "<= 1.3x")]


async def fill(collection: DatasetCollection) -> None:
    """The dataset with the rows of the source."""
    from dataclasses import replace

    from core.services.datasets.records import DATASET, DatasetRecord
    from core.services.datasets.registering import with_segments

    document = await collection.store.get(DATASET, "large")
    assert document is not None
    record = DatasetRecord.of(document)
    groups: AsyncIterator[Sequence[bytes]] = check_groups(
        open_rows(collection, "localfs", "lsfs://large.jsonl"), record.purpose
    )
    segments = await write_segments(collection.blobs, record.folder, groups)
    changed = await collection.change(document, lambda _, record: (with_segments(replace(record), segments), ()))
    assert changed is not None
