"""A package for Llama Stack or OGX that keeps files is served unchanged: it has the bytes, the stack the records."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import NotFound
from tests.parts import reference
from tests.parts.file_stack import FileWorld, file_world
from tests.parts.reference_vectors import NEW_FILES, OLD_FILES
from tests.parts.vector_stack import ADA, by, message

NUMBERS = count()
KINDS = {"inline": OLD_FILES, "remote": NEW_FILES}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileWorld]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with file_world(tmp_path) as world:
        yield world


def entry(folder: Path, kind: str, **config: Any) -> dict[str, Any]:
    name = f"drawer_pack_{next(NUMBERS)}"
    reference.install(folder, name, KINDS[kind])
    place = {"storage_dir": str(folder / "drawer"), **config}
    return {"provider_id": "d", "provider_type": f"{kind}::drawer", "module": name, "config": place}


async def send(client: httpx.AsyncClient, content: bytes, **fields: str) -> httpx.Response:
    data = {"purpose": "user_data"} | fields
    return await client.post("/v1/files", headers=ADA, data=data, files={"file": ("a name.txt", content)})


def kept(folder: Path) -> list[Path]:
    return list((folder / "drawer").iterdir())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_is_kept_read_and_deleted(world: FileWorld, kind: str) -> None:
    client, content = await world.client(entry(world.folder, kind)), bytes(range(256)) * 20
    sent = (await send(client, content)).json()
    assert (sent["filename"], sent["purpose"], sent["bytes"]) == ("a name.txt", "user_data", len(content))
    assert [path.name for path in kept(world.folder)] == [sent["id"]]
    path = f"/v1/files/{sent['id']}"
    assert (await client.get(f"{path}/content", headers=ADA)).content == content
    assert (await client.get(f"{path}/content", headers=by("bob"))).status_code == 404
    part = await client.get(f"{path}/content", headers=ADA | {"range": "bytes=10-19"})
    assert part.content in (content, content[10:20])
    assert [one["id"] for one in (await client.get("/v1/files", headers=ADA)).json()["data"]] == [sent["id"]]
    assert (await client.delete(path, headers=ADA)).json() == {"id": sent["id"], "object": "file", "deleted": True}
    assert kept(world.folder) == []
    assert (await client.get(path, headers=ADA)).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upload_in_parts_becomes_one_file_of_the_package(world: FileWorld, kind: str) -> None:
    client = await world.client(entry(world.folder, kind))
    about = {"filename": "f", "bytes": 6, "mime_type": "text/plain", "purpose": "assistants"}
    upload = (await client.post("/v1/uploads", headers=ADA, json=about)).json()["id"]
    parts = []
    for data in (b"abc", b"def"):
        sent = await client.post(f"/v1/uploads/{upload}/parts", headers=ADA, files={"data": ("upload", data)})
        parts.append(sent.json()["id"])
    done = (await client.post(f"/v1/uploads/{upload}/complete", headers=ADA, json={"part_ids": parts})).json()
    assert (await client.get(f"/v1/files/{done['file']['id']}/content", headers=ADA)).content == b"abcdef"
    assert [path.read_bytes() for path in kept(world.folder)] == [b"abcdef"]


async def test_a_life_that_comes_after_the_file_moves_it(world: FileWorld) -> None:
    client = await world.client(entry(world.folder, "inline"))
    form: list[Any] = [("file", ("f.txt", b"text")), ("purpose", (None, "assistants"))]
    form += [("expires_after[anchor]", (None, "created_at")), ("expires_after[seconds]", (None, "3600"))]
    sent = await client.post("/v1/files", headers=ADA, files=form)
    assert sent.json()["expires_at"] == sent.json()["created_at"] + 3600
    assert [path.name for path in kept(world.folder)] == [sent.json()["id"]]
    forever = (await send(client, b"text")).json()
    assert forever["expires_at"] == forever["created_at"] + 31_536_000


async def test_what_a_package_refuses_or_cannot_do_is_said(world: FileWorld) -> None:
    client = await world.client(entry(world.folder, "inline"))
    refused = await send(client, b"this is forbidden")
    assert (refused.status_code, message(refused)) == (400, "Provider `d` refused the request: not in this drawer.")
    announced = await client.post("/v1/files", headers=ADA, json={"filename": "f", "bytes": 3, "purpose": "assistants"})
    assert (announced.status_code, "has no URLs to send files to" in message(announced)) == (400, True)
    sent = (await send(client, b"text")).json()
    kept(world.folder)[0].unlink()
    gone = await client.get(f"/v1/files/{sent['id']}/content", headers=ADA)
    assert (gone.status_code, message(gone)) == (404, "The content of the file is gone.")
    assert (await client.delete(f"/v1/files/{sent['id']}", headers=ADA)).status_code == 200


async def test_a_package_that_is_down_is_a_503(world: FileWorld) -> None:
    client = await world.client(entry(world.folder, "remote", down=True))
    answer = await send(client, b"text")
    assert (answer.status_code, message(answer)) == (503, "Provider `d` could not be reached.")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_storage_of_a_package(world: FileWorld, kind: str) -> None:
    made = await reference.make(
        entry(world.folder, kind)["module"], f"{kind}::drawer", "files", storage_dir=str(world.folder / "drawer")
    )
    storage = made.storage()
    blob = await storage.put("files/kept/abc", bytes(3000))
    assert await storage.head(blob.key) == blob
    assert await storage.head("files/kept/none") is None
    assert b"".join([chunk async for chunk in storage.read(blob.key, start=999, stop=1002)]) == bytes(3)
    with pytest.raises(NotFound):
        await anext(storage.read("files/kept/none"))
    await storage.delete(blob.key, "files/kept/none")
    assert await storage.head(blob.key) is None
    assert await storage.download_url(blob.key, seconds=1) is None
    assert (await made.health())["status"] == "Not Implemented"
