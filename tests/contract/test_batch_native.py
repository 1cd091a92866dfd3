"""Batches of models that run at their own providers: through the whole stack, with a worker, to Bedrock's jobs and a vendor's batches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
import json
from pathlib import Path
import re
from typing import Any

import httpx
import pytest

from tests.parts.batch_stack import (
    BATCHES,
    ENDED,
    SECONDS,
    batch_world,
    chat_line,
    end_of,
    jsonl,
    lines_of,
    new_batch,
    upload,
)
from tests.parts.bedrock_jobs import Record
from tests.parts.job_tasks import job_worker
from tests.parts.native_stack import AT_ONCE, NativeWorld, native_world
from tests.parts.response_stack import MODEL
from tests.parts.stack import serving
from tests.parts.stack_worker import working
from tests.parts.upstream import running
from tests.parts.vendor_batches import VendorBatches


@pytest.fixture
async def world(tmp_path: Path, moto_endpoint: str, bucket: str) -> AsyncIterator[NativeWorld]:
    async with native_world(tmp_path, moto_endpoint, bucket) as made:
        made.jobs.outcome = say
        yield made


def say(record: Record) -> Record:
    text = record["modelInput"]["messages"][0]["content"][0]["text"]
    message = {"role": "assistant", "content": [{"text": f"batch: {text}"}]}
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    return {"modelOutput": {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}}


def row(name: str, model: str = "claude", **more: Any) -> dict[str, Any]:
    line = chat_line(name, name, **more)
    line["body"]["model"] = model
    return line


async def run(client: httpx.AsyncClient, lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    made = await client.post(BATCHES, json=new_batch(await upload(client, jsonl(lines))))
    assert made.status_code == 200, made.text
    return await end_of(client, made.json()["id"])


async def texts_of(client: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, str]:
    """What each line was answered with, in the order of the file."""
    lines = await lines_of(client, batch["output_file_id"])
    return {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines}


async def test_rows_of_several_engines_come_back_in_the_order_of_the_input(world: NativeWorld) -> None:
    models = ["claude", "vend", "local/m", "claude", "vend", "claude", "local/m", "claude", "vend"]
    async with job_worker(world, AT_ONCE):
        client = await world.client()
        batch = await run(client, [row(f"r{number}", model) for number, model in enumerate(models)])
        texts = await texts_of(client, batch)
        lines = await lines_of(client, batch["output_file_id"])
    assert batch["request_counts"] == {"total": 9, "completed": 9, "failed": 0}
    assert list(texts) == [f"r{number}" for number in range(9)]
    assert [text for text, model in zip(texts.values(), models, strict=True) if model == "claude"] == [
        f"batch: r{number}" for number in (0, 3, 5, 7)
    ]
    assert [line["response"]["body"]["model"] for line in lines] == models
    assert (len(world.jobs.jobs), len(world.vendor.batches), len(world.model.chats)) == (1, 1, 2)
    assert "converse" not in world.bedrock.operations()
    assert batch["usage"]["total_tokens"] > 4 * 5
    assert world.vendor.files == {}  # nothing is left at either


async def test_what_is_not_final_is_asked_by_the_queue_and_what_is_refused_is_told(world: NativeWorld) -> None:
    def outcome(record: Record) -> Record:
        text = record["modelInput"]["messages"][0]["content"][0]["text"]
        errors = {"refused": (400, "temperature is too high"), "throttled": (429, "slow down")}
        if text in errors:
            code, message = errors[text]
            return {"error": {"errorCode": code, "errorMessage": message}}
        return {} if text == "missing" else say(record)

    world.jobs.outcome = outcome
    async with job_worker(world, AT_ONCE):
        client = await world.client()
        batch = await run(client, map(row, ("a", "refused", "throttled", "missing", "b")))
        texts = await texts_of(client, batch)
        errors = await lines_of(client, batch["error_file_id"])
    assert batch["request_counts"] == {"total": 5, "completed": 4, "failed": 1}
    assert texts == {"a": "batch: a", "throttled": "Hello", "missing": "Hello", "b": "batch: b"}
    assert world.bedrock.operations().count("converse") == 2
    assert [(line["custom_id"], line["response"]["status_code"]) for line in errors] == [("refused", 400)]
    assert errors[0]["error"]["message"] == "temperature is too high"


@pytest.mark.exact
async def test_lines_that_the_engine_does_not_take_are_asked_by_the_queue(world: NativeWorld) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with job_worker(world, AT_ONCE):
        client = await world.client()
        mixed = await run(client, [row("a"), row("t", tools=tools), row("b"), row("c")])
        few = await run(client, [row("a"), row("b")])
        assert await texts_of(client, mixed) == {"a": "batch: a", "t": "Hello", "b": "batch: b", "c": "batch: c"}
        assert await texts_of(client, few) == {"a": "Hello", "b": "Hello"}
    assert world.jobs.created == 1


@pytest.mark.exact
async def test_rows_of_a_model_with_shields_run_nowhere_else(world: NativeWorld) -> None:
    how = {"metadata": {"input_shields": ["guard"]}}
    async with job_worker(world, AT_ONCE, **how):
        client = await world.client(**how)
        made = await client.post(BATCHES, json=new_batch(await upload(client, jsonl(map(row, "abc")))))
        batch = made.json()
        while batch["status"] == "validating":
            batch = (await client.get(f"{BATCHES}/{batch['id']}")).json()
        assert (batch["status"], world.jobs.created) == ("in_progress", 0)  # this stack has no safety to judge by
        await client.post(f"{BATCHES}/{batch['id']}/cancel")
        await end_of(client, batch["id"])
    world.mode = "native"
    async with job_worker(world, AT_ONCE, **how):
        batch = await run(await world.client(**how), map(row, "abc"))
    assert "guarded by shields" in batch["errors"]["data"][0]["message"]
    assert world.jobs.created == 0


async def test_a_batch_that_is_cancelled_stops_the_providers_and_keeps_what_is_there(world: NativeWorld) -> None:
    world.jobs.held = world.vendor.held = True
    world.jobs.done = world.vendor.done = 2
    async with job_worker(world, AT_ONCE):
        client = await world.client()
        rows = [row(f"r{number}", "claude" if number % 2 else "vend") for number in range(8)]
        made = await client.post(BATCHES, json=new_batch(await upload(client, jsonl(rows))))
        await until(lambda: bool(world.jobs.jobs and world.vendor.batches))
        assert (await client.post(f"{BATCHES}/{made.json()['id']}/cancel")).json()["status"] == "cancelling"
        batch = await end_of(client, made.json()["id"])
        texts = await texts_of(client, batch)
    assert batch["status"] == "cancelled"
    assert batch["request_counts"] == {"total": 8, "completed": 4, "failed": 0}
    assert list(texts) == ["r0", "r1", "r2", "r3"]
    assert [job.status for job in world.jobs.jobs.values()] == ["Stopped"]
    assert [each["status"] for each in world.vendor.batches.values()] == ["cancelled"]


@pytest.mark.exact
async def test_a_stack_is_the_vendor_of_another(tmp_path: Path) -> None:
    """Our own API at both ends: the other stack has one batch, and asks the model for each line."""
    (there := tmp_path / "there").mkdir()
    (here := tmp_path / "here").mkdir()
    async with batch_world(there) as upstream, batch_world(here) as world:
        (there / "run.json").write_text(json.dumps(upstream.document()))
        with serving(there / "run.json", there / "log.txt") as url:
            far = {"provider_id": "far", "provider_type": "remote::openai-compatible", "config": {"url": f"{url}/v1"}}
            model = {
                "model_id": "far",
                "provider_id": "far",
                "provider_model_id": MODEL,
                "metadata": {"batch": "native"},
            }
            how = {"inference": far, "model": model}
            client = await world.client(**how)
            async with job_worker(world, AT_ONCE, **how):
                batch = await run(client, [row("a", "far"), row("b", "far", spice=9), row("c", "far")])
                lines = await lines_of(client, batch["output_file_id"])
                errors = await lines_of(client, batch["error_file_id"])
            async with httpx.AsyncClient(base_url=url) as other:
                listed = (await other.get(BATCHES)).json()["data"]
                left = (await other.get("/v1/files")).json()["data"]
    assert [line["custom_id"] for line in lines] == ["a", "c"]
    assert {line["response"]["body"]["model"] for line in lines} == {"far"}
    assert [line["custom_id"] for line in errors] == ["b"]
    assert [each["request_counts"] for each in listed] == [{"total": 3, "completed": 2, "failed": 1}]
    assert (len(upstream.model.chats), world.model.chats, left) == (3, [], [])


@pytest.mark.exact
async def test_a_worker_that_is_killed_has_nothing_submitted_twice(world: NativeWorld, tmp_path: Path) -> None:
    """Before it heard of what it had made, while that runs, and as its results are there."""
    world.jobs.held = world.vendor.held = world.jobs.stalls = world.vendor.stalls = True
    config, log = tmp_path / "run.json", tmp_path / "worker.log"
    config.write_text(json.dumps(world.document()))
    client = await world.client()
    rows = [row(f"r{number}", "claude" if number % 2 else "vend") for number in range(8)]
    made = await client.post(BATCHES, json=new_batch(await upload(client, jsonl(rows))))
    with working(config, log):
        await until(lambda: not (world.jobs.stalls or world.vendor.stalls))
    with working(config, log):
        looks = partial(_looks, world)
        await until(lambda: min(looks()) > 3)  # both are known again, and looked at
    before = looks()
    with working(config, log):
        await until(lambda: min(after - earlier for after, earlier in zip(looks(), before, strict=True)) > 1)
        world.jobs.held = world.vendor.held = False
        await until(lambda: any(job.status == "Completed" for job in world.jobs.jobs.values()))
    with working(config, log):
        batch = await end_of(client, made.json()["id"])
        texts = await texts_of(client, batch)
    assert (len(world.jobs.jobs), len(world.vendor.batches)) == (1, 1)
    assert batch["request_counts"] == {"total": 8, "completed": 8, "failed": 0}
    assert list(texts) == [f"r{number}" for number in range(8)]
    assert "converse" not in world.bedrock.operations()
    assert [seen.path for seen in world.vendor.seen if seen.path.endswith("/chat/completions")] == []


@pytest.mark.exact
async def test_fifty_thousand_rows_at_a_provider_take_little_memory(tmp_path: Path) -> None:
    (state := tmp_path / "state").mkdir()
    async with batch_world(state) as world, running(VendorBatches()) as vendor:
        far = {"provider_id": "far", "provider_type": "remote::openai-compatible", "config": {"url": vendor.url}}
        model = {"model_id": "far", "provider_id": "far", "provider_model_id": "m", "metadata": {"batch": "auto"}}
        how = {"inference": far, "model": model}
        (tmp_path / "run.json").write_text(json.dumps(world.document(**how)))
        client = await world.client(**how)
        content = jsonl(row(f"c{number}", "far") for number in range(50_000))
        made = await client.post(BATCHES, json=new_batch(await upload(client, content)))
        with working(tmp_path / "run.json", tmp_path / "worker.log") as process:
            status = Path(f"/proc/{process.pid}/status")
            batch = await patient_end_of(client, made.json()["id"])
            peak = re.search(r"VmHWM:\s+(\d+) kB", await asyncio.to_thread(status.read_text))
        assert batch["request_counts"] == {"total": 50_000, "completed": 50_000, "failed": 0}
        assert peak is not None
        assert int(peak[1]) < 200_000, batch


async def patient_end_of(client: httpx.AsyncClient, batch_id: str) -> dict[str, Any]:
    async with asyncio.timeout(10 * SECONDS):
        while True:
            batch: dict[str, Any] = (await client.get(f"{BATCHES}/{batch_id}")).json()
            if batch["status"] in ENDED:
                return batch
            await asyncio.sleep(0.3)


def _looks(world: NativeWorld) -> tuple[int, int]:
    """How often each provider was asked how far it is."""
    paths = [seen.path for seen in world.vendor.seen if seen.method == "GET" and "/batches/" in seen.path]
    return world.bedrock.operations().count("get-job"), len(paths)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)
