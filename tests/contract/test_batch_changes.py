"""What changes between one step of a batch and the next, what breaks, and who dies: over a whole stack."""

from collections.abc import AsyncIterator
from dataclasses import replace
import json
from pathlib import Path
import time
from typing import Any

import pytest

from core.apis.inference import ChatRequest, Inference
from core.frame.types import JsonObject
from core.resolution.jobs import engine_of
from core.services.jobs.messages import Again
from tests.parts.batch_stack import BATCHES, chat_line, end_of, lines_of, upload
from tests.parts.job_tasks import job_worker
from tests.parts.line_stack import (
    LineWorld,
    begin,
    by,
    engine_for,
    killed_after,
    line_world,
    many,
    results,
    stack_for,
    step,
)
from tests.parts.model_script import Round, write_script


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LineWorld]:
    async with line_world(tmp_path) as made:
        yield made


async def test_lines_of_a_file_that_is_deleted_in_between_say_so(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    batch = await begin(client, many(3))
    await step(engine, batch, "prepare")
    file_id = (await client.get(f"{BATCHES}/{batch}")).json()["input_file_id"]
    assert (await client.delete(f"/v1/files/{file_id}")).status_code == 200
    await step(engine, batch, "shard")
    await step(engine, batch, "finish")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    assert (shown["status"], shown["output_file_id"]) == ("completed", None)
    assert shown["request_counts"] == {"total": 3, "completed": 0, "failed": 3}
    _, errors = await results(client, shown)
    assert [(each["custom_id"], each["response"], each["error"]["code"]) for each in errors] == [
        (f"c{number}", None, "input_file_gone") for number in range(3)
    ]
    assert world.model.chats == []


POLICY = [{"permit": {"actions": ["create", "read", "update", "delete"]}}]
NO_SECOND = [{"forbid": {"actions": ["read"], "resource": "model::second"}}, *POLICY]


async def test_what_an_owner_may_no_more_its_lines_may_no_more(world: LineWorld) -> None:
    client = await world.client(auth=True, policy=POLICY)
    lines = [chat_line("a"), chat_line("b", model="second")]
    batch = await begin(client, lines, who="ada")
    await step(await engine_for(world, auth=True, policy=POLICY), batch, "prepare")
    later = await engine_for(world, auth=True, policy=NO_SECOND)
    await step(later, batch, "shard")
    await step(later, batch, "finish")
    shown = await end_of(client, batch, **by("ada"))
    output, errors = await results(client, shown, "ada")
    assert [each["custom_id"] for each in output] == ["a"]
    assert [(each["custom_id"], each["response"]["status_code"]) for each in errors] == [("b", 404)]
    usual = await world.client(auth=True)
    for path in (f"/v1/files/{shown['output_file_id']}", f"{BATCHES}/{batch}"):
        assert (await usual.get(path, headers=by("ada"))).status_code == 200
        assert (await usual.get(path, headers=by("bob"))).status_code == 404


async def test_a_batch_that_expires_keeps_what_was_paid_for_and_names_every_line_that_was_not_asked(
    world: LineWorld,
) -> None:
    client, engine = await world.client(), await engine_for(world)
    held = [chat_line(name, write_script(Round("late", held=True))) for name in ("h0", "h1")]
    lines = [held[0], *many(2), held[1]]
    batch = await begin(client, lines, output_expires_after={"anchor": "created_at", "seconds": 3600})
    await step(engine, batch, "prepare")
    await killed_after(engine, batch, 2)
    late = replace(engine, clock=lambda: time.time() + 25 * 3600)
    await step(late, batch, "shard")
    for _ in range(2):  # whoever finishes it again makes the same files
        await step(late, batch, "finish")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    assert (shown["status"], shown["request_counts"]) == ("expired", {"total": 4, "completed": 2, "failed": 0})
    output, errors = await results(client, shown)
    assert [each["custom_id"] for each in output] == ["c0", "c1"]
    assert [(each["custom_id"], each["response"], each["error"]["code"]) for each in errors] == [
        ("h0", None, "batch_expired"),
        ("h1", None, "batch_expired"),
    ]
    file = (await client.get(f"/v1/files/{shown['output_file_id']}")).json()
    assert file["expires_at"] == file["created_at"] + 3600


async def test_a_batch_that_is_cancelled_while_it_waits_for_a_quota_keeps_what_was_paid_for(world: LineWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"period": "day", "authenticated_max_requests": 5}}
    client, engine = await world.client(**how), await engine_for(world, **how)
    batch = await begin(client, many(10), who="ada")  # two requests
    await step(engine, batch, "prepare")
    outcome = await step(engine, batch, "shard")
    assert isinstance(outcome, Again)
    job = await engine.jobs.get(batch)
    assert job is not None
    [shard] = await engine.jobs.shards(job)
    assert (shard.state, shard.counts.completed, shard.counts.failed) == ("waiting", 3, 0)
    midnight = (int(time.time()) // 86_400 + 1) * 86_400
    assert midnight - 5 <= shard.until <= midnight + 86_400 + 5
    assert len(world.model.chats) == 3
    assert (await client.post(f"{BATCHES}/{batch}/cancel", headers=by("ada"))).json()["status"] == "cancelling"
    await step(engine, batch, "stop")
    await step(engine, batch, "finish")
    shown = await end_of(client, batch, **by("ada"))
    assert (shown["status"], shown["request_counts"]) == ("cancelled", {"total": 10, "completed": 3, "failed": 0})
    assert shown["error_file_id"] is None
    unlimited = await world.client(auth=True)
    assert len(await lines_of(unlimited, shown["output_file_id"], **by("ada"))) == 3


async def test_lines_without_a_price_are_refused_where_money_is_limited(world: LineWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"limits": [{"per": "caller", "window": "day", "money": 1}]}}
    async with job_worker(world, **how):
        client = await world.client(**how)
        shown = await end_of(client, await begin(client, many(2), who="ada"), **by("ada"))
    failures = await lines_of(client, shown["error_file_id"], **by("ada"))
    assert [each["response"]["body"]["error"]["code"] for each in failures] == ["price_unknown"] * 2
    assert not world.model.chats


async def test_results_are_kept_for_an_owner_who_may_keep_no_more(world: LineWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"max_files": 1}}
    async with job_worker(world, **how):
        client = await world.client(**how)
        shown = await end_of(client, await begin(client, many(2), who="ada"), **by("ada"))
    assert len(await lines_of(client, shown["output_file_id"], **by("ada"))) == 2
    upload_more = await client.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("a", b"{}")}, headers=by("ada")
    )
    assert upload_more.status_code == 429
    for file_id in (shown["input_file_id"], shown["output_file_id"]):  # they count
        assert (await client.delete(f"/v1/files/{file_id}", headers=by("ada"))).status_code == 200
    await upload(client, b"{}", **by("ada"))


class Breaking:
    """Inference by another, that breaks over one text as nothing should."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        if request.messages[0]["content"] == "n2":
            raise RecursionError(request.messages)
        return await self._inference.chat_completion(request)


async def test_a_line_that_breaks_whatever_reads_it_fails_alone_and_one_that_is_busy_is_asked_again(
    world: LineWorld,
) -> None:
    client, stack = await world.client(), await stack_for(world)
    inference = stack.surfaces["inference"]
    stack.surfaces["inference"] = lambda call: Breaking(inference(call))
    world.model.queue.append(Round(status=429))
    batch, engine = await begin(client, many(4)), engine_of(stack)
    for do in ("prepare", "shard", "finish"):
        await step(engine, batch, do)
    shown = await end_of(client, batch)
    output, errors = await results(client, shown)
    assert [each["custom_id"] for each in output] == ["c0", "c1", "c3"]
    [error] = errors
    assert (error["custom_id"], error["response"]["status_code"], error["error"]["code"]) == ("c2", 500, "row_failed")
    assert "n2" not in json.dumps(error)
    assert len(world.model.chats) == 4
    assert shown["request_counts"] == {"total": 4, "completed": 3, "failed": 1}


async def test_what_a_worker_had_when_it_was_killed_is_asked_again_and_nothing_is_there_twice(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    lines = [*many(10), chat_line("held", write_script(Round("late", held=True)))]
    batch = await begin(client, lines)
    await step(engine, batch, "prepare")
    await killed_after(engine, batch, 10)
    world.model.release.set()
    await step(replace(engine, clock=lambda: time.time() + 61), batch, "shard")
    await step(engine, batch, "finish")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    output, _ = await results(client, shown)
    assert [each["custom_id"] for each in output] == [f"c{number}" for number in range(10)] + ["held"]
    assert len(world.model.chats) == 12


async def test_lines_that_too_many_workers_were_lost_over_are_named(world: LineWorld) -> None:
    client, engine = await world.client(), await engine_for(world)
    batch = await begin(client, many(2))
    await step(engine, batch, "prepare")
    job = await engine.jobs.get(batch)
    assert job is not None
    for number in range(engine.timing.takeovers + 1):
        now = time.time() + 100 * number
        assert await engine.jobs.lease_shard(job, 0, f"h{number}", now=now, until=now + 1) is not None
    await step(replace(engine, clock=lambda: time.time() + 1000), batch, "shard")
    await step(engine, batch, "finish")
    shown = (await client.get(f"{BATCHES}/{batch}")).json()
    _, errors = await results(client, shown)
    assert shown["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert [(each["custom_id"], each["response"], each["error"]["code"]) for each in errors] == [
        ("c0", None, "worker_lost"),
        ("c1", None, "worker_lost"),
    ]
