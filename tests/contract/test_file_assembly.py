"""Parts that are too many bytes for an answer: their file is there at once, and has its content once a job has put them together."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.frame.callers import Call, Principal
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.services.files import assembly, uploads
from core.services.files.collection import FileCollection
from core.services.files.records import file_id_of
from tests.parts.file_stack import FileWorld, by, file_world, send_in_parts, upload

ADA = by("ada")
PIECES = [b"one,", b"two,", bytes(70_000), b"three"]
WHOLE = b"".join(PIECES)
LIMITS = {"max_files": 1, "max_bytes": 80_000}
ADAS = Call(Principal("ada", {"roles": ("ada",), "namespaces": ("ada",)}, "custom"))


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileWorld]:
    monkeypatch.setattr(uploads, "LARGE", 1000)
    async with file_world(tmp_path) as world:
        yield world


async def complete(client: httpx.AsyncClient, upload_id: str, parts: list[str], **more: Any) -> dict[str, Any]:
    path = f"/v1/uploads/{upload_id}/complete"
    answer = await client.post(path, json={"part_ids": parts, **more}, headers=ADA)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def until_settled(client: httpx.AsyncClient, file_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            file: dict[str, Any] = (await client.get(f"/v1/files/{file_id}", headers=ADA)).json()
            if file.get("status") != "uploaded":
                return file
            await asyncio.sleep(0.05)


async def until_ended(client: httpx.AsyncClient) -> str:
    """The status of the only job."""
    async with asyncio.timeout(20):
        while True:
            (job,) = (await client.get("/v1/jobs", headers=ADA)).json()["data"]
            if job["status"] in {"completed", "failed", "cancelled", "expired"}:
                return str(job["status"])
            await asyncio.sleep(0.05)


async def stack_of(world: FileWorld) -> Stack:
    stack = await resolve(interpret(world.document(), {}), ["files"], version="1")
    world.opened.push_async_callback(stack.close)
    return stack


async def test_a_large_file_is_uploaded_at_once_and_processed_by_a_job(world: FileWorld) -> None:
    client = await world.client(quota=LIMITS)
    upload_id, ids = await send_in_parts(client, PIECES)
    done = await complete(client, upload_id, ids, md5=md5(WHOLE, usedforsecurity=False).hexdigest())
    assert (done["status"], done["file"]["status"], done["file"]["bytes"]) == ("completed", "uploaded", len(WHOLE))
    assert await complete(client, upload_id, ids) == done
    file_id = done["file"]["id"]
    early = await client.get(f"/v1/files/{file_id}/content", headers=ADA)
    assert early.status_code == 400
    assert early.json()["error"]["message"] == (
        f"The parts of `{file_id}` are still being put together: wait until its status is `processed`."
    )
    async with world.working():
        assert (await until_settled(client, file_id))["status"] == "processed"
        assert await until_ended(client) == "completed"
    assert (await client.get(f"/v1/files/{file_id}/content", headers=ADA)).content == WHOLE
    assert [path.parent.parent.name for path in world.blobs()] == ["files"]  # no part is left
    assert (await upload(client)).status_code == 429  # it counts once
    await client.delete(f"/v1/files/{file_id}", headers=ADA)
    assert (await upload(client)).status_code == 200


async def test_parts_with_another_digest_leave_a_file_that_says_so(world: FileWorld) -> None:
    client = await world.client(quota=LIMITS)
    upload_id, ids = await send_in_parts(client, PIECES)
    file_id = (await complete(client, upload_id, ids, md5="0" * 32))["file"]["id"]
    async with world.working():
        file = await until_settled(client, file_id)
        assert await until_ended(client) == "failed"
    digest = md5(WHOLE, usedforsecurity=False).hexdigest()
    details = f"The parts were not put together: The bytes have another md5: {digest}. Upload the file again."
    assert (file["status"], file["status_details"]) == ("error", details)
    content = await client.get(f"/v1/files/{file_id}/content", headers=ADA)
    assert (content.status_code, content.json()["error"]["message"]) == (400, f"`{file_id}` has no content. {details}")
    assert not world.blobs()
    assert (await upload(client)).status_code == 429
    assert (await client.delete(f"/v1/files/{file_id}", headers=ADA)).status_code == 200
    assert (await upload(client)).status_code == 200


async def test_a_job_that_is_cancelled_leaves_a_file_that_says_so(world: FileWorld) -> None:
    client = await world.client()
    upload_id, ids = await send_in_parts(client, PIECES)
    file_id = (await complete(client, upload_id, ids))["file"]["id"]
    (job,) = (await client.get("/v1/jobs", headers=ADA)).json()["data"]
    assert (await client.post(f"/v1/jobs/{job['id']}/cancel", headers=ADA)).status_code == 200
    async with world.working():
        file = await until_settled(client, file_id)
    assert file["status_details"] == "The parts were not put together: The job was cancelled. Upload the file again."


async def test_a_file_that_is_deleted_before_it_is_whole_leaves_nothing(world: FileWorld) -> None:
    client = await world.client(quota=LIMITS)
    upload_id, ids = await send_in_parts(client, PIECES)
    file_id = (await complete(client, upload_id, ids))["file"]["id"]
    assert (await client.delete(f"/v1/files/{file_id}", headers=ADA)).status_code == 200
    async with world.working():
        assert await until_ended(client) == "completed"
    assert (await client.get(f"/v1/files/{file_id}", headers=ADA)).status_code == 404
    assert not world.blobs()
    assert (await upload(client)).status_code == 200


@pytest.mark.parametrize("step", ["before the file", "before the answer", "between bytes and record", "at the end"])
async def test_what_a_killed_process_left_is_finished_by_the_next(world: FileWorld, step: str) -> None:
    client = await world.client(quota=LIMITS)
    upload_id, ids = await send_in_parts(client, PIECES)
    stack = await stack_of(world)
    if step in {"before the file", "before the answer"}:
        files = FileCollection(stack, ADAS)
        document = await files.store.get("upload", upload_id)
        assert document is not None
        place = assembly.file_of(files, document)
        claimed = await assembly.change_upload(
            files, document, "completing", part_ids=ids, provider_id=place.provider_id, key=place.key
        )
        if step == "before the answer":
            await assembly.create_file(files, claimed, replace(place, status="uploaded", until=10**10, assembled=True))
    else:
        await complete(client, upload_id, ids)
    if step == "between bytes and record":
        files = FileCollection(stack, None)
        file = await files.store.get("file", file_id_of(upload_id))
        assert file is not None
        await files.storages.get(file.body["provider_id"]).put(file.body["key"], WHOLE)
    for _ in range(2 if step == "at the end" else 1):
        assert await assembly.assemble(stack, upload_id) == "processed"
    file_id = file_id_of(upload_id)
    assert (await until_settled(client, file_id))["status"] == "processed"
    assert (await client.get(f"/v1/files/{file_id}/content", headers=ADA)).content == WHOLE
    assert len(world.blobs()) == 1
    assert (await complete(client, upload_id, ids))["file"]["id"] == file_id
    assert (await upload(client)).status_code == 429


async def test_with_jobs_lambda_takes_what_it_could_not_put_together_itself(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "files")
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 8 * 1024**3, "mime_type": "text/plain"}
    assert (await client.post("/v1/uploads", json=new, headers=ADA)).status_code == 200
