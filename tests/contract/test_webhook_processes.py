"""Deliveries under a worker that is a process, and is killed in the midst of them: every event arrives, under one id each."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
import json
from pathlib import Path
import subprocess
import sys
import time

from aiohttp import web
import pytest

from tests.parts.stack import ROOT
from tests.parts.webhook_world import Deliveries, register, webhook_world

EVENTS = 8
KILLS = 2
SECONDS = 500  # a message of a worker that died is delivered again after two minutes

type Process = "subprocess.Popen[bytes]"


@contextmanager
def worker(config: Path, log: Path) -> Generator[Process]:
    with log.open("ab") as output:
        command = [sys.executable, "-m", "core.cli.main", "worker", str(config)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.4)
    return web.Response()


@pytest.mark.exact
async def test_every_event_arrives_however_often_the_worker_is_killed(tmp_path: Path) -> None:
    async with webhook_world(tmp_path) as world:
        world.receiver.answers(slow)
        config, client = tmp_path / "run.json", await world.client()
        config.write_text(json.dumps(world.document()))
        made, deliveries = await register(client, world.receiver.url), Deliveries(tmp_path, await world.stack())
        ada = await deliveries.owner_of(made["id"])
        for number in range(EVENTS):
            await deliveries.tell(ada, job_id=f"batch_{number}")
        until = time.monotonic() + SECONDS
        for kill in range(KILLS + 1):
            with worker(config, tmp_path / "worker.log"):
                before = len(world.receiver.received)
                while len({got.id for got in world.receiver.received}) < EVENTS:
                    assert time.monotonic() < until, (tmp_path / "worker.log").read_text()[-3000:]
                    if kill < KILLS and len(world.receiver.received) > before:
                        break  # it is being answered just now
                    await asyncio.sleep(0.05)
                if kill == KILLS:
                    while not all(job.status == "completed" for job in await deliveries.jobs()):
                        assert time.monotonic() < until, (tmp_path / "worker.log").read_text()[-3000:]
                        await asyncio.sleep(0.2)
    received = world.receiver.received
    assert len({(got.id, got.body) for got in received}) == EVENTS
    assert {got.event["data"]["id"] for got in received} == {f"batch_{number}" for number in range(EVENTS)}
    assert all(got.is_signed_with(made["signing_secret"]) for got in received)
    print(f"{EVENTS} events, {KILLS} kills, {len(received)} requests")
