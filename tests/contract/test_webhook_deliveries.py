"""Deliveries of webhooks by jobs: to real sockets, tried again for hours, at least once and under one id whoever dies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.services.webhooks.records import ENDPOINT
from core.stores.connect import DOCUMENTS
from tests.parts.file_stack import by
from tests.parts.job_bench import begun, eventually
from tests.parts.upstream import hang, status
from tests.parts.webhook_world import (
    ENDPOINTS,
    TYPE,
    Deliveries,
    WebhookWorld,
    delivering,
    register,
    webhook_world,
)

ADA = by("ada")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WebhookWorld]:
    async with webhook_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: WebhookWorld) -> httpx.AsyncClient:
    return await world.client()


@pytest.fixture
async def deliveries(world: WebhookWorld, tmp_path: Path) -> AsyncIterator[Deliveries]:
    async with delivering(world, tmp_path, timeout=0.3) as deliveries:
        yield deliveries


async def test_who_wants_an_event_is_sent_it_once(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    made = await register(client, world.receiver.url, TYPE, "batch.failed")
    second = await register(client, world.receiver.url)
    await register(client, world.receiver.url, "batch.failed")
    await register(client, world.receiver.url, who="bob")
    ada = await deliveries.owner_of(made["id"])
    told = await asyncio.gather(*(deliveries.tell(ada) for _ in range(4)))
    assert {len(jobs) for jobs in told} == {1}
    job = await deliveries.run(ada)
    assert job.status == "completed"
    first, other = world.receiver.received
    assert first.event == other.event
    assert first.event == {
        "id": first.id,
        "object": "event",
        "type": TYPE,
        "created_at": first.event["created_at"],
        "data": {"id": "batch_1"},
    }
    assert job.result == {"event": first.id, "type": TYPE, "delivered": 2, "failed": 0}
    signed = [
        {each["id"] for each in (made, second) if got.is_signed_with(each["signing_secret"])} for got in (first, other)
    ]
    assert signed in ([{made["id"]}, {second["id"]}], [{second["id"]}, {made["id"]}])


@pytest.mark.parametrize(
    "first", [status(500), status(302, headers={"location": "/elsewhere"}), hang], ids=["flaky", "redirect", "slow"]
)
async def test_what_fails_is_tried_again_under_the_same_id(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries, first: Any
) -> None:
    world.receiver.answers(first, status(503), status(204))
    made = await register(client, world.receiver.url)
    job = await deliveries.run(await deliveries.owner_of(made["id"]))
    assert job.result is not None
    assert (job.result["delivered"], job.result["failed"]) == (1, 0)
    assert len(world.receiver.received) == 3
    assert len({(got.id, got.body) for got in world.receiver.received}) == 1
    assert {seen.path for seen in world.receiver.server.seen} == {"/hook"}
    waited = [int(got.headers["webhook-timestamp"]) for got in world.receiver.received]
    assert waited == sorted(waited)
    assert waited[2] - waited[0] >= 35


async def test_a_message_that_comes_early_says_nothing_new(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    world.receiver.answers(status(500), status(200))
    made, bench = await register(client, world.receiver.url), deliveries.bench
    [job] = await deliveries.tell(await deliveries.owner_of(made["id"]))
    await deliveries.begin([job])
    [first] = bench.queue.due("shard")
    bench.clock.now += 20
    await bench.deliver("shard")
    waiting = bench.queue.verbs()
    bench.clock.now -= 20
    await bench.run(first.body)
    assert (bench.queue.verbs(), len(world.receiver.received)) == (waiting, 1)
    await bench.until_idle()
    assert len(world.receiver.received) == 2


@pytest.mark.exact
async def test_what_is_never_answered_has_failed_in_the_end(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    world.receiver.answers(status(500))
    made = await register(client, world.receiver.url)
    begin = deliveries.bench.clock()
    [job] = await deliveries.tell(await deliveries.owner_of(made["id"]))
    await deliveries.begin([job])
    await deliveries.bench.until_idle(most=2000)
    job = await deliveries.bench.job(job)
    assert job.status == "completed"
    assert job.result is not None
    assert (job.result["delivered"], job.result["failed"]) == (0, 1)
    assert 10 <= len(world.receiver.received) <= 20
    assert 40 * 3600 < deliveries.bench.clock() - begin < 73 * 3600


async def test_a_receiver_that_is_gone_is_sent_nothing_more_until_it_is_changed(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    world.receiver.answers(status(410), status(200))
    made = await register(client, world.receiver.url)
    path, ada = f"{ENDPOINTS}/{made['id']}", await deliveries.owner_of(made["id"])
    assert ((await deliveries.run(ada)).result or {})["failed"] == 1
    assert (await client.get(path, headers=ADA)).json()["disabled_at"] is not None
    assert len(await deliveries.tell(ada, job_id="batch_2")) == 1
    changed = await client.post(path, json={"url": world.receiver.url}, headers=ADA)
    assert changed.json()["disabled_at"] is None
    assert len(await deliveries.tell(ada, job_id="batch_3")) == 2


async def test_an_endpoint_that_is_deleted_meanwhile_is_passed_over(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    made = await register(client, world.receiver.url)
    [job] = await deliveries.tell(await deliveries.owner_of(made["id"]))
    await deliveries.begin([job])
    await client.delete(f"{ENDPOINTS}/{made['id']}", headers=ADA)
    await deliveries.bench.until_idle()
    assert ((await deliveries.bench.job(job)).result or {})["failed"] == 1
    assert world.receiver.received == []


async def test_a_worker_that_dies_over_a_delivery_leaves_it_to_the_next(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    world.receiver.answers(hang, status(200))
    made, bench = await register(client, world.receiver.url), deliveries.bench
    [job] = await deliveries.tell(await deliveries.owner_of(made["id"]))
    await deliveries.begin([job])
    dying = await begun(bench, bench.queue.due("shard")[0].body)

    async def is_asked() -> bool:
        return bool(world.receiver.received)

    await eventually(is_asked)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    bench.clock.now += 200  # its lease is over
    await bench.until_idle()
    assert ((await bench.job(job)).result or {})["delivered"] == 1
    assert len({got.id for got in world.receiver.received}) == 1
    assert len(world.receiver.received) == 2


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_secret_that_was_rotated_signs_for_a_day_where_it_is_kept(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries, *, keeps: bool
) -> None:
    made = await register(client, world.receiver.url)
    body = {"keep_old_secret_active_for_24_hours": keeps}
    rotated = (await client.post(f"{ENDPOINTS}/{made['id']}/rotate_secret", json=body, headers=ADA)).json()
    ada = await deliveries.owner_of(made["id"])
    await deliveries.run(ada)
    for number, hours in enumerate((23, 1)):
        deliveries.bench.clock.now += hours * 3600 + 60  # the secret was rotated after that clock began
        jobs = await deliveries.tell(ada, job_id=f"batch_{number + 2}")
        await deliveries.begin(jobs)
        await deliveries.bench.until_idle()
    secrets = rotated["signing_secret"], made["signing_secret"]
    signed = [[got.is_signed_with(secret) for secret in secrets] for got in world.receiver.received]
    assert signed == [[True, keeps], [True, keeps], [True, False]]


async def test_a_wait_of_more_than_a_message_may_wait_is_several(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    world.receiver.answers(*[status(500)] * 5, status(200))
    made = await register(client, world.receiver.url)
    job = await deliveries.run(await deliveries.owner_of(made["id"]))
    assert job.result is not None
    assert (job.result["delivered"], job.result["failed"]) == (1, 0)
    tries = [int(got.headers["webhook-timestamp"]) for got in world.receiver.received]
    assert len(tries) == 6
    assert 1800 <= tries[5] - tries[4] <= 1800 * 1.2 + 60


async def test_a_secret_that_cannot_be_opened_signs_nothing_and_its_owner_is_told(
    client: httpx.AsyncClient, world: WebhookWorld, deliveries: Deliveries
) -> None:
    made, other = await register(client, world.receiver.url), await register(client, world.receiver.url, who="bob")
    documents = deliveries.stack.stores.get(DOCUMENTS)
    mine, its = await documents.get(ENDPOINT, made["id"]), await documents.get(ENDPOINT, other["id"])
    assert mine is not None
    assert its is not None
    await documents.put(mine, {**mine.body, "secrets": its.body["secrets"]})
    path = f"{ENDPOINTS}/{made['id']}"
    tested = await client.post(f"{path}/test", json={"event_type": TYPE}, headers=ADA)
    assert (tested.status_code, "Rotate the secret" in tested.json()["error"]["message"]) == (409, True)
    job = await deliveries.run(await deliveries.owner_of(made["id"]))
    assert job.result is not None
    assert (job.result["delivered"], job.result["failed"], world.receiver.received) == (0, 1, [])
    await client.post(f"{path}/rotate_secret", json={}, headers=ADA)
    assert (await client.post(f"{path}/test", json={"event_type": TYPE}, headers=ADA)).status_code == 200
