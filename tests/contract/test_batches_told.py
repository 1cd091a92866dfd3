"""Whoever wants to know of a batch's end is told of it, once for each, over a real worker."""

from pathlib import Path

import httpx
import pytest

from core.config.load import interpret
from core.runtime.job_worker import JobTasks, make_runner
from tests.parts.background_runs import until
from tests.parts.batch_stack import BATCHES, batch_world, chat_line, end_of, jsonl, new_batch, upload
from tests.parts.job_tasks import GRACE
from tests.parts.live_stack import client_over
from tests.parts.webhook_world import ENDPOINTS, receiving, webhooks_entry

pytestmark = pytest.mark.usefixtures("quick_queue")
TYPES = ["batch.completed", "batch.failed", "batch.cancelled", "batch.expired"]


async def make(client: httpx.AsyncClient, content: bytes) -> str:
    made = await client.post(BATCHES, json=new_batch(await upload(client, content)))
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def test_the_end_of_a_batch_is_told(tmp_path: Path) -> None:
    async with batch_world(tmp_path) as world, receiving() as receiver:
        document = world.document()
        document["apis"].append("webhooks")
        document["providers"]["webhooks"] = [webhooks_entry(receiver.url)]
        loaded = interpret(document, {})
        async with client_over(loaded) as client:
            body = {"name": "n", "url": receiver.url, "event_types": TYPES}
            secret = (await client.post(ENDPOINTS, json=body)).json()["signing_secret"]
            del client.headers["content-type"]
            good, bad = await make(client, jsonl([chat_line("c0")])), await make(client, b"no JSON\n")
            stopped = await make(client, jsonl([chat_line("c0")]))
            await client.post(f"{BATCHES}/{stopped}/cancel")
            tasks = JobTasks(await make_runner(loaded), at_once=4, grace=GRACE)
            tasks.start()
            await until(lambda: len(receiver.received) == 3)
            ended = {batch: (await end_of(client, batch))["status"] for batch in (good, bad, stopped)}
            await tasks.close()
    told = {got.event["data"]["id"]: got.event["type"] for got in receiver.received if got.is_signed_with(secret)}
    assert told == {batch: f"batch.{status}" for batch, status in ended.items()}
    assert ended == {good: "completed", bad: "failed", stopped: "cancelled"}
