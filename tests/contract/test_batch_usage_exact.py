"""Workers of batches are killed: what is in the usage is what the upstream has answered, once, and what died is listed as unsettled."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
import json
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.frame.callers import UsageRow
from core.stores.connect import USAGE
from core.stores.counters.port import Counts
from core.stores.usage.port import UsageQuery, UsageStore
from tests.parts.batch_place import MODEL, PLACES, BatchPlace, place_of
from tests.parts.batch_process import Settings
from tests.parts.batch_stack import BATCHES, ENDED, chat_line, end_of, jsonl, new_batch, upload
from tests.parts.live_stack import client_of
from tests.parts.native_stack import NativeWorld, native_world
from tests.parts.row_upstream import RowUpstream, serving
from tests.parts.stack_worker import working
from tests.parts.worker_crew import Crew

pytestmark = pytest.mark.exact

ROWS = 250
AT_ONCE = 8
PER_KILL = 50  # rows
SECONDS = 300  # a slow machine is no failure
PROMPT, COMPLETION = 5, 2  # tokens of an answer
PRICE = {"input": 1, "output": 10, "batch": 0.5}
QUOTA = {"anonymous_max_requests": 1000, "max_tokens": 10_000_000}


async def usage_of(store: dict[str, Any]) -> tuple[dict[str, UsageRow], list[Counts]]:
    """What was used, by model, and what is reserved and not settled."""
    where = {name: value for name, value in store.items() if name != "type"}
    usage: UsageStore = import_module(USAGE.adapters[store["type"]]).connect(**where, namespace=None)
    try:
        today = int(time.time() // 86_400)
        sums = await usage.sum(UsageQuery(today - 1, today, ("model",)))
        return {each.key[0]: each.row for each in sums}, [each.held.amount for each in await usage.unsettled()]
    finally:
        await usage.close()


def input_of(rows: int) -> bytes:
    lines = [chat_line(f"row-{row}", str(row)) for row in range(rows)]
    for line in lines:
        line["body"]["model"] = MODEL
    return jsonl(lines)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> BatchPlace:
    return place_of(request, tmp_path)


def server_of(place: BatchPlace, request: pytest.FixtureRequest) -> dict[str, Any]:
    store: dict[str, Any] = {"type": "sqlite", "db_path": str(place.folder / "quota.db")}
    if place.table:
        table = request.getfixturevalue("quota_table")
        store = {"type": "dynamodb", "table": table, "region": "eu-central-1", "endpoint_url": place.dynamodb}
    return {"quota": {"kvstore": store, "anonymous_max_requests": 100_000, "max_tokens": 10_000_000}}


async def test_rows_of_killed_workers_are_in_the_usage_as_often_as_they_were_answered_or_listed_as_unsettled(
    place: BatchPlace, request: pytest.FixtureRequest
) -> None:
    with serving(RowUpstream(share_throttled=0.0)) as upstream:
        document = place.document(upstream.base, at_once=AT_ONCE, server=server_of(place, request))
        settings = Settings(place.write("run.json", document))
        crew = Crew([settings, settings], place.folder / "workers.log")
        async with client_of(document) as client:
            del client.headers["content-type"]
            made = await client.post(BATCHES, json=new_batch(await upload(client, input_of(ROWS))))
            crew.start()
            try:
                batch = await end_among_kills(client, made.json()["id"], crew)
            finally:
                crew.stop()
    rows, unsettled = await usage_of(document["server"]["quota"]["kvstore"])
    row, answers = rows[MODEL], rows[MODEL].answers
    print(
        f"\n{crew.kills} kills: {upstream.asked.total()} asked, {upstream.answers} answered, {answers} in the usage, {len(unsettled)} unsettled"
    )
    assert batch["request_counts"] == {"total": ROWS, "completed": ROWS, "failed": 0}
    assert crew.kills >= 3
    assert ROWS <= answers <= upstream.answers
    assert upstream.answers - answers <= len(unsettled) <= AT_ONCE * 2 * crew.kills
    assert (row.prompt_tokens, row.completion_tokens) == (PROMPT * answers, COMPLETION * answers)


async def end_among_kills(client: httpx.AsyncClient, batch_id: str, crew: Crew) -> dict[str, Any]:
    """One is killed after each so many rows, so that they get on between."""
    async with asyncio.timeout(SECONDS):
        while True:
            await asyncio.sleep(0.2)
            batch: dict[str, Any] = (await client.get(f"{BATCHES}/{batch_id}")).json()
            if batch["status"] in ENDED:
                return batch
            if batch["request_counts"]["completed"] >= PER_KILL * (crew.kills + 1):
                await asyncio.to_thread(crew.kill_one)


@pytest.fixture
async def world(tmp_path: Path, moto_endpoint: str, bucket: str) -> AsyncIterator[NativeWorld]:
    async with native_world(tmp_path, moto_endpoint, bucket) as made:
        yield made


async def test_a_batch_at_a_provider_is_charged_once_however_many_workers_die_over_its_results(
    world: NativeWorld, tmp_path: Path
) -> None:
    """Each is killed when it has kept some results, and is still reading others."""
    rows = 12
    world.vendor.broken = [3, 7]
    how: dict[str, Any] = {"quota": QUOTA, "metadata": {"price": PRICE}}
    document = world.document(**how)
    config, log = tmp_path / "run.json", tmp_path / "worker.log"
    config.write_text(json.dumps(document))
    client = await world.client(**how)
    lines = [chat_line(f"r{number}", "Hello", max_tokens=10, model="vend") for number in range(rows)]
    made = (await client.post(BATCHES, json=new_batch(await upload(client, jsonl(lines))))).json()
    for kept in (3, 7):
        with working(config, log):
            await completed(client, made["id"], kept)
    with working(config, log):
        batch = await end_of(client, made["id"])
    usage, unsettled = await usage_of(document["server"]["quota"]["kvstore"])
    row = usage["vend"]
    assert batch["request_counts"] == {"total": rows, "completed": rows, "failed": 0}
    assert (row.requests, row.answers, unsettled) == (rows, rows, [])
    assert row.tokens == batch["usage"]["total_tokens"]
    assert (row.unpriced, batch["usage"]["cost"]) == (0, row.nanos / 10**9)
    assert row.nanos == row.prompt_tokens * 500 + row.completion_tokens * 5000


async def completed(client: httpx.AsyncClient, batch_id: str, rows: int) -> None:
    """Wait until so many rows are kept."""
    async with asyncio.timeout(SECONDS):
        while (await client.get(f"{BATCHES}/{batch_id}")).json()["request_counts"]["completed"] < rows:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
