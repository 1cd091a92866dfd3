"""What has expired goes although its owner does not come back: with the uploads of others, and off its owner's tally."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import time

import httpx
import pytest

from core.services.files import sweeping
from core.services.files.sweeping import EVERY_SECONDS
from core.stores.documents import sqlite as documents
from tests.parts.file_stack import FileWorld, file_world, send_in_parts, upload

QUOTA = {"max_files": 10, "max_bytes": 1000}
HOUR = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


async def records_of(world: FileWorld, who: str) -> tuple[int, int, dict[str, int]]:
    """How many files and open uploads there are of the caller, and the tally."""
    store = documents.connect(str(world.folder / "state.db"))
    (owner,) = [
        document.id.removeprefix("o:")
        for document in (await store.page("file_owner", limit=100)).documents
        if (document.owner or {}).get("principal") == who
    ]
    files = await store.page("file", owner, limit=1000)
    uploads = (await store.page("upload", owner, limit=1000)).documents
    tally = await store.tallies("file", f"owner:{owner}")
    await store.close()
    return len(files.documents), sum(one.body["status"] == "pending" for one in uploads), tally


async def upload_at(client: httpx.AsyncClient, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob's, so many seconds from now."""
    now = time.time() + seconds
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now)
        assert (await upload(client, who="bob")).status_code == 200


async def test_what_its_owner_left_goes_with_the_uploads_of_others(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 2)  # so that an owner takes several turns
    client = await world.client(quota=QUOTA)
    for _ in range(5):
        assert (await upload(client, fields=HOUR)).status_code == 200
    assert (await upload(client)).status_code == 200  # which stays
    await send_in_parts(client, [b"ab"])
    await client.post(
        "/v1/uploads",
        json={"filename": "a", "purpose": "batch", "bytes": 7, "mime_type": "text/plain"},
        headers={"authorization": "Bearer ada"},
    )
    assert await records_of(world, "ada") == (6, 2, {"files": 8, "bytes": 39})
    await upload_at(client, 0, monkeypatch)
    assert await records_of(world, "ada") == (6, 2, {"files": 8, "bytes": 39})
    for turn in range(1, 9):
        await upload_at(client, 3600 + turn * (EVERY_SECONDS + 1), monkeypatch)
    assert await records_of(world, "ada") == (1, 0, {"files": 1, "bytes": 5})
    assert len(world.blobs()) == 1 + 9  # ada's and bob's
    for turn in range(20, 24):  # it begins again after the last owner
        await upload_at(client, 366 * 86_400 + turn * (EVERY_SECONDS + 1), monkeypatch)
    assert await records_of(world, "ada") == (0, 0, {"files": 0, "bytes": 0})


async def test_of_many_processes_one_takes_the_turn(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [await world.client(quota=QUOTA) for _ in range(4)]
    for _ in range(3):
        assert (await upload(clients[0], fields=HOUR)).status_code == 200
    now = time.time() + 4300
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now)
        await asyncio.gather(*(upload(client, who="bob") for client in clients))  # bob's turn
    await upload_at(clients[0], 4300 + EVERY_SECONDS + 1, monkeypatch)
    assert await records_of(world, "ada") == (0, 0, {"files": 0, "bytes": 0})


async def test_between_two_turns_nothing_is_looked_for(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client(quota=QUOTA)
    assert (await upload(client, fields=HOUR)).status_code == 200
    await upload_at(client, 4300, monkeypatch)  # bob's turn
    await upload_at(client, 4300 + EVERY_SECONDS - 2, monkeypatch)
    assert await records_of(world, "ada") == (1, 0, {"files": 1, "bytes": 5})
    await upload_at(client, 4300 + EVERY_SECONDS + 1, monkeypatch)
    assert await records_of(world, "ada") == (0, 0, {"files": 0, "bytes": 0})
