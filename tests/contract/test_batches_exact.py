"""A batch under workers that are processes, and die: every line once in the output, in the order of the input, and the counts exact."""

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
from tests.parts.batch_stack import BATCHES, CHAT, ENDED, jsonl, lines_of, new_batch, upload
from tests.parts.live_stack import client_of
from tests.parts.row_upstream import RowUpstream, serving
from tests.parts.worker_crew import Crew, interrupted

SECONDS = 600  # a slow machine is no failure
AT_ONCE = 8
PER_KILL = 15  # rows that are asked again


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> BatchPlace:
    return place_of(request, tmp_path)


def input_of(rows: int) -> bytes:
    return jsonl(
        {
            "custom_id": f"row-{row}",
            "method": "POST",
            "url": CHAT,
            "body": {"model": MODEL, "messages": [{"role": "user", "content": str(row)}]},
        }
        for row in range(rows)
    )


async def dataset_request(client: httpx.AsyncClient, rows: int) -> dict[str, Any]:
    """A batch of a dataset that is made for it."""
    source = {"type": "rows", "rows": [{"question": str(row), "answer": str(row)} for row in range(rows)]}
    body = {"purpose": "eval/question-answer", "source": source, "dataset_id": "rows"}
    answer = await client.post("/v1/datasets", json=body)
    assert answer.status_code == 200, answer.text
    line = {"body": {"model": MODEL, "messages": [{"role": "user", "content": "{{question}}"}]}}
    names = {"input_dataset_id": "rows", "output_dataset_id": "answers"}
    return {**names, "template": line, "endpoint": CHAT, "completion_window": "24h"}


async def check_answers(client: httpx.AsyncClient, rows: int) -> None:
    """Every row is once in the dataset of the answers, in its place."""
    answers: list[dict[str, Any]] = []
    while len(answers) < rows:
        page = (await client.get("/v1/datasetio/iterrows/answers", params={"start_index": len(answers)})).json()
        answers += page["data"]
        if not page["has_more"]:
            break
    texts = [(row["question"], row["generated_answer"]) for row in answers]
    assert texts == [(str(row), str(row)) for row in range(rows)]


async def wait(client: httpx.AsyncClient, batch_id: str, crew: Crew, kill_every: float | None) -> dict[str, Any]:
    """The batch once it has ended; meanwhile workers die, and its counts only grow."""
    started = killed = time.monotonic()
    most, batch = 0, dict[str, Any]()
    while time.monotonic() - started < SECONDS:
        await asyncio.sleep(0.25)
        answer = await client.get(f"{BATCHES}/{batch_id}")
        if answer.status_code == 503:  # the store is away
            continue
        batch = dict[str, Any](answer.json())
        counts = batch["request_counts"]
        assert most <= counts["completed"] + counts["failed"] <= counts["total"]
        most = counts["completed"] + counts["failed"]
        if batch["status"] in ENDED:
            return batch
        if kill_every is not None and time.monotonic() - killed >= kill_every:
            await asyncio.to_thread(crew.kill_between, most)
            killed = time.monotonic()
    raise AssertionError(f"{batch}\n{crew.log.read_text()[-9000:]}")


async def run_batch(
    place: BatchPlace,
    upstream: RowUpstream,
    settings: Sequence[Settings],
    rows: int,
    *,
    kill_every: float | None,
    of_dataset: bool = False,
) -> Crew:
    """What a batch of so many rows came to is exact; `of_dataset` its rows are those of one, and so are its answers."""
    crew = Crew(settings, place.folder / "workers.log")
    async with client_of(place.document(upstream.base)) as client:
        del client.headers["content-type"]
        request = await dataset_request(client, rows) if of_dataset else new_batch(await upload(client, input_of(rows)))
        crew.start()
        started = time.monotonic()
        try:
            made = (await client.post(BATCHES, json=request)).json()
            batch = await wait(client, made["id"], crew, kill_every)
        finally:
            codes = crew.stop()
        seconds = time.monotonic() - started
        assert batch["status"] == "completed", batch
        lines = await lines_of(client, batch["output_file_id"])
        if of_dataset:
            await check_answers(client, rows)
    ids = [line["custom_id"] for line in lines]
    in_order = ids == [str(row) if of_dataset else f"row-{row}" for row in range(rows)]
    print(
        f"\n{rows} rows in {seconds:.0f} s, {crew.kills} kills: {len(ids)} lines, {len({*ids})} distinct, in order: {in_order};"
        f" {batch['status']}, counts {batch['request_counts']}; asked {upstream.asked.total()} ({upstream.again} again,"
        f" {upstream.again / max(crew.kills, 1):.1f} a kill), {upstream.throttled} refused, {upstream.peak} at once"
    )
    assert batch["status"] == "completed"
    assert in_order
    assert [line["response"]["body"]["choices"][0]["message"]["content"] for line in lines] == list(
        map(str, range(rows))
    )
    assert batch["request_counts"] == {"total": rows, "completed": rows, "failed": 0}
    assert batch["error_file_id"] is None
    assert (batch["usage"]["input_tokens"], batch["usage"]["output_tokens"]) == (5 * rows, 2 * rows)
    assert set(codes) <= {0, -signal.SIGTERM}  # of one that had not begun yet
    return crew


def settings_of(place: BatchPlace, upstream: RowUpstream, **how: Any) -> Settings:
    return Settings(place.write("run.json", place.document(upstream.base, at_once=AT_ONCE)), **how)


async def test_a_batch_survives_the_death_of_its_workers(place: BatchPlace) -> None:
    with serving(RowUpstream(0.05, 0.15)) as upstream:
        crew = await run_batch(place, upstream, [settings_of(place, upstream)] * 2, 300, kill_every=3)
        assert upstream.again <= PER_KILL * crew.kills


async def test_a_batch_of_a_dataset_survives_the_death_of_its_workers(place: BatchPlace) -> None:
    with serving(RowUpstream(0.05, 0.15)) as upstream:
        settings = [settings_of(place, upstream)] * 2
        crew = await run_batch(place, upstream, settings, 150, kill_every=3, of_dataset=True)
        assert upstream.again <= PER_KILL * crew.kills


@pytest.mark.exact
async def test_two_thousand_rows_of_a_dataset_are_exact_however_often_workers_die(place: BatchPlace) -> None:
    with serving(RowUpstream()) as upstream:
        settings = [settings_of(place, upstream)] * 3
        crew = await run_batch(place, upstream, settings, 2000, kill_every=3, of_dataset=True)
        assert crew.kills >= 5
        assert upstream.again <= PER_KILL * crew.kills


@pytest.mark.exact
async def test_four_thousand_lines_are_exact_however_often_workers_die(place: BatchPlace) -> None:
    with serving(RowUpstream()) as upstream:
        crew = await run_batch(place, upstream, [settings_of(place, upstream)] * 3, 4000, kill_every=3)
        assert crew.kills >= 10
        assert upstream.again <= PER_KILL * crew.kills


@pytest.mark.exact
async def test_late_and_repeated_messages_and_wrong_clocks_change_nothing(place: BatchPlace) -> None:
    with serving(RowUpstream(0.05, 0.2)) as upstream:
        settings = [settings_of(place, upstream, unreliable=True, offset=offset) for offset in (0.0, 2.5, 5.0)]
        await run_batch(place, upstream, settings, 1500, kill_every=4)


@pytest.mark.exact
async def test_a_store_that_goes_away_again_and_again_changes_nothing(place: BatchPlace) -> None:
    file = None if place.table else place.folder / "state.db"
    with serving(RowUpstream(0.1, 0.3)) as upstream, interrupted(place.dynamodb, file) as dynamodb:
        cut_off = BatchPlace(place.folder, place.table, dynamodb, place.queue, place.bucket, place.moto)
        await run_batch(place, upstream, [settings_of(cut_off, upstream)] * 3, 1200, kill_every=None)
        assert upstream.again <= 0.2 * 1200
