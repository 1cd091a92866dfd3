"""Responses in the background of the stack of `.response_stack`: a worker in this process, and what a client does until they have ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
import json
from pathlib import Path
import time
from typing import Any, Final

import httpx

from core.config.load import interpret
from core.frame.callers import ANONYMOUS, Call
from core.resolution.resolve import resolve
from core.runtime.job_worker import JobTasks
from core.services.responses.state.place import StatePlace
from tests.parts.job_tasks import job_tasks
from tests.parts.response_stack import RESPONSES, ResponseWorld

SECONDS: Final = 60  # a slow machine is no failure
ENDED: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})

type Event = dict[str, Any]


def working(world: ResponseWorld, *, at_once: int = 2, **how: Any) -> AbstractAsyncContextManager[JobTasks]:
    return job_tasks(world.document(**how), at_once=at_once)


@asynccontextmanager
async def state_of(world: ResponseWorld, *, ahead: float = 0) -> AsyncGenerator[StatePlace]:
    """What a stack of its own has of the anonymous caller's, by a clock that is so many seconds ahead."""
    loaded = interpret(world.document(), {})
    assert loaded.config is not None
    stack = await resolve(loaded, ["responses"], version="1")
    place = StatePlace.of(stack, Call(ANONYMOUS))
    try:
        yield replace(place, clock=lambda: time.time() + ahead)
    finally:
        await stack.close()


async def end_of(client: httpx.AsyncClient, response_id: str, *also: str, **headers: str) -> dict[str, Any]:
    """The response once it has ended, or has a status of `also`."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await client.get(f"{RESPONSES}/{response_id}", headers=headers)
            assert found.status_code == 200, found.text
            response: dict[str, Any] = found.json()
            if response["status"] in ENDED | {*also}:
                return response
            await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - of a double that says nothing
            await asyncio.sleep(0.02)


async def until_gone(client: httpx.AsyncClient, response_id: str) -> None:
    async with asyncio.timeout(SECONDS):
        while (await client.get(f"{RESPONSES}/{response_id}")).status_code != 404:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


def events_in(text: str) -> list[Event]:
    """The data of the events of a stream; their numbers have no gap."""
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == [*range(numbers[0], numbers[0] + len(numbers))], numbers
    return events


async def stream_of(client: httpx.AsyncClient, response_id: str, **query: Any) -> list[Event]:
    found = await client.get(f"{RESPONSES}/{response_id}", params={"stream": "true", **query})
    assert found.status_code == 200, found.text
    return events_in(found.text)


def dynamodb_storage(folder: Path, table: str, endpoint: str) -> dict[str, Any]:
    """Documents and jobs in a table, the queue and the blobs here."""
    state = {"type": "kv_dynamodb", "table": table, "region": "eu-central-1", "endpoint_url": endpoint}
    backends = {
        "table": state,
        "file": {"type": "kv_sqlite", "db_path": str(folder / "queue.db")},
        "folder": {"type": "blob_local", "path": str(folder / "blobs")},
    }
    places = {"documents": "table", "jobs": "table", "queue": "file", "blobs": "folder"}
    return {"backends": backends, "stores": {name: {"backend": backend} for name, backend in places.items()}}
