"""Files in parts, and files that go to a URL of the storage: put together once, whatever is sent, repeated, or killed on the way."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.services.files.collection import MOST_SWEPT, keep_unless_left
from core.stores.blobs.local import LocalBlobs
from core.stores.documents import sqlite as documents
from core.stores.documents.port import Document, Tally
from tests.contract.documents import blob_keys
from tests.parts.file_stack import FileWorld, by, file_world, in_bucket, send_in_parts, upload

ADA = by("ada")
MB = 1024 * 1024
NEW = {"filename": "a.txt", "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["message"]
    return text


async def complete(
    client: httpx.AsyncClient, upload_id: str, parts: list[str], who: str = "ada", **more: str
) -> httpx.Response:
    body = {"part_ids": parts, **more}
    return await client.post(f"/v1/uploads/{upload_id}/complete", json=body, headers=by(who))


async def begin(client: httpx.AsyncClient, who: str = "ada", **more: Any) -> str:
    answer = await client.post("/v1/uploads", json=NEW | more, headers=by(who))
    assert answer.status_code == 200, answer.text
    upload_id: str = answer.json()["id"]
    return upload_id


async def send_part(client: httpx.AsyncClient, upload_id: str, data: bytes, who: str = "ada") -> httpx.Response:
    path = f"/v1/openai/v1/uploads/{upload_id}/parts"
    return await client.post(path, files={"data": ("upload", data)}, headers=by(who))


@pytest.mark.parametrize("place", ["blobs", "bucket"])
async def test_parts_become_one_file_in_the_order_that_is_named(
    world: FileWorld, request: pytest.FixtureRequest, place: str
) -> None:
    entries = []
    if place == "bucket":
        entries = [in_bucket(request.getfixturevalue("bucket"), request.getfixturevalue("moto_endpoint"))]
    client = await world.client(*entries)
    pieces = [b"one,", b"two,", bytes(6 * MB), b"three"]
    upload_id, ids = await send_in_parts(client, pieces, expires_after={"anchor": "created_at", "seconds": 3600})
    order = [ids[1], ids[0], ids[2], ids[3]]
    whole = b"two,one," + bytes(6 * MB) + b"three"
    first = await complete(client, upload_id, order, md5=md5(whole, usedforsecurity=False).hexdigest().upper())
    assert first.status_code == 200, first.text
    done = first.json()
    assert (done["status"], done["bytes"]) == ("completed", len(whole))
    assert (done["file"]["bytes"], done["file"]["filename"], done["file"]["status"]) == (
        len(whole),
        "a.txt",
        "processed",
    )
    assert done["file"]["expires_at"] == done["file"]["created_at"] + 3600
    assert (await complete(client, upload_id, order)).json() == done
    assert [file["id"] for file in (await client.get("/v1/files", headers=ADA)).json()["data"]] == [done["file"]["id"]]
    answer = await client.get(f"/v1/files/{done['file']['id']}/content", headers=ADA)
    if place == "bucket":
        async with httpx.AsyncClient() as stranger:
            answer = await stranger.get(answer.headers["location"])
    assert answer.content == whole
    if place == "blobs":
        assert [path.parent.name for path in world.blobs()] == ["1d"]


async def test_what_cannot_be_put_together_is_refused_and_may_be_tried_again(world: FileWorld) -> None:
    client = await world.client()
    upload_id, (first, second) = await send_in_parts(client, [b"ab", b"cd"])
    other, (foreign,) = await send_in_parts(client, [b"abcd"])
    refusals = [
        ([first], {}, "The parts have 2 bytes, and the upload was begun with 4.", "part_ids"),
        ([first, first], {}, "part_ids names a part twice.", "part_ids"),
        ([first, foreign], {}, f"The upload has no part `{foreign}`.", "part_ids[1]"),
        ([first, "x" * 900], {}, f"The upload has no part `{'x' * 64}`.", "part_ids[1]"),
        ([], {}, "part_ids: List should have at least 1 item after validation, not 0", "part_ids"),
        ([first, second], {"md5": "0" * 32}, "The bytes have another md5: e2fc714c4727ee9395f324cd2e7f331f.", "md5"),
        ([first, second], {"md5": "nonsense"}, "md5: must be 32 digits in hex", "md5"),
    ]
    for parts, more, text, param in refusals:
        answer = await complete(client, upload_id, parts, **more)
        assert (answer.status_code, message(answer), answer.json()["error"]["param"]) == (400, text, param)
    assert (await complete(client, upload_id, [first, second])).status_code == 200
    late = await send_part(client, upload_id, b"e")
    assert (late.status_code, message(late)) == (400, f"The upload `{upload_id}` is completed. Begin another.")
    assert (await client.post(f"/v1/uploads/{upload_id}/cancel", headers=ADA)).status_code == 400
    assert (await complete(client, other, [foreign])).status_code == 200


async def test_parts_that_are_too_large_too_many_or_empty_are_refused(world: FileWorld) -> None:
    client = await world.client(max_upload_bytes=1024)
    upload_id = await begin(client, bytes=1500)
    large = await send_part(client, upload_id, b"x" * 1025)
    assert large.status_code == 413
    assert message(large) == (
        "The request body is larger than 1024 bytes, the most that this endpoint takes. Send smaller parts: "
        "upload_file_chunked(..., part_size=1024)."
    )
    empty = await send_part(client, upload_id, b"")
    assert (empty.status_code, message(empty)) == (400, "The part is empty.")
    answers = [await send_part(client, upload_id, b"x" * 1000) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]
    assert message(answers[-1]) == "The parts have more bytes together than the 1500 that the upload was begun with."
    assert len(world.blobs()) == 3
    for _ in range(2):
        cancelled = await client.post(f"/v1/uploads/{upload_id}/cancel", headers=ADA)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert not world.blobs()


async def test_an_upload_has_as_many_parts_as_it_may_and_no_more(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.files.parts.MOST_PARTS", 3)
    client = await world.client()
    upload_id = await begin(client, bytes=9)
    answers = [await send_part(client, upload_id, b"x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]
    assert "parts" in message(answers[-1])
    assert len(world.blobs()) == 3


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"bytes": 0}, "bytes: Input should be greater than or equal to 1"),
        ({"bytes": 8 * 1024 * MB + 1}, "bytes: Input should be less than or equal to 8589934592"),
        ({"bytes": "4"}, "bytes: Input should be a valid integer"),
        ({"filename": ""}, "filename: String should have at least 1 character"),
        ({"filename": "x" * 4097}, "filename: String should have at most 4096 characters"),
    ],
)
async def test_uploads_that_cannot_be_are_refused(world: FileWorld, more: dict[str, Any], text: str) -> None:
    client = await world.client()
    answer = await client.post("/v1/uploads", json=NEW | more, headers=ADA)
    assert (answer.status_code, message(answer)) == (400, text)


async def test_lambda_takes_no_upload_that_it_could_not_put_together(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = ["create", "read", "update", "delete"]
    client = await world.client(policy=[{"permit": {"actions": everything, "resource": "file::*"}}])  # and no jobs
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "files")
    answer = await client.post("/v1/uploads", json=NEW | {"bytes": 512 * MB + 1}, headers=ADA)
    assert answer.status_code == 400
    assert message(answer).endswith("POST /v1/files with JSON (filename, purpose, bytes) answers one.")
    assert (await client.post("/v1/uploads", json=NEW | {"bytes": 512 * MB}, headers=ADA)).status_code == 200


async def test_an_upload_is_its_owners_and_who_may_only_read_it_changes_nothing(world: FileWorld) -> None:
    client = await world.client()
    upload_id, parts = await send_in_parts(client, [b"abcd"])
    unknown = f"upload_{'0' * 32}"

    async def answers(client: httpx.AsyncClient, upload_id: str, who: str) -> list[httpx.Response]:
        return [
            await send_part(client, upload_id, b"evil", who),
            await complete(client, upload_id, parts, who),
            await client.post(f"/v1/uploads/{upload_id}/cancel", headers=by(who)),
        ]

    theirs, nobodys = await answers(client, upload_id, "bob"), await answers(client, unknown, "bob")
    assert [answer.status_code for answer in theirs + nobodys] == [404] * 6
    assert [message(answer).replace(upload_id, unknown) for answer in theirs] == list(map(message, nobodys))
    readers = {"permit": {"principal": "eve", "actions": ["read"], "resource": "file::*"}}
    owners = {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"}
    ruled = await world.client(policy=[readers, owners])
    assert [answer.status_code for answer in await answers(ruled, upload_id, "eve")] == [403] * 3
    assert len(world.blobs()) == 1
    assert (await complete(ruled, upload_id, parts)).status_code == 200


async def test_of_many_who_complete_an_upload_at_once_all_get_one_file_or_a_conflict(world: FileWorld) -> None:
    client = await world.client(quota={"max_files": 3})
    upload_id, parts = await send_in_parts(client, [b"ab", b"cd"])
    answers = await asyncio.gather(*(complete(client, upload_id, parts) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    files = {answer.json()["file"]["id"] for answer in answers if answer.status_code == 200}
    assert len(files) == 1
    assert len(world.blobs()) == 1
    assert (await complete(client, upload_id, parts)).json()["file"]["id"] in files


async def test_an_upload_counts_from_its_beginning_until_it_is_given_up_or_expires(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client(quota={"max_files": 1, "max_bytes": 10})
    upload_id = await begin(client)
    assert (await upload(client)).status_code == 429
    await client.post(f"/v1/uploads/{upload_id}/cancel", headers=ADA)
    refused = await client.post("/v1/uploads", json=NEW | {"bytes": 11}, headers=ADA)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "max_bytes_reached")
    late, _ = await send_in_parts(client, [b"abcd"])
    now = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: now)
    expired = await send_part(client, late, b"x")
    assert (expired.status_code, message(expired)) == (400, f"The upload `{late}` has expired. Begin another.")
    assert (await upload(client)).status_code == 200
    assert len(world.blobs()) == 1
    assert (await upload(client)).status_code == 429


@pytest.mark.parametrize("step", ["before the file", "after the file", "after the file, which is deleted"])
async def test_an_upload_whose_completion_was_killed_becomes_one_file(
    world: FileWorld, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client(quota={"max_files": 1})
    upload_id, parts = await send_in_parts(client, [b"ab", b"cd"])
    if step != "before the file":
        assert (await complete(client, upload_id, parts)).status_code == 200
    store = documents.connect(str(world.folder / "state.db"))
    document = await store.get("upload", upload_id)
    assert document is not None
    body = {**document.body, "status": "completing", "until": time.time() + 900}
    tally = () if step == "before the file" else (Tally("upload", upload_id, {"files": 1}),)
    await store.put(document, body, expires=None, tally=tally)
    await store.close()
    busy = await complete(client, upload_id, parts)
    assert (busy.status_code, message(busy)) == (409, f"The upload `{upload_id}` is being completed.")
    if step.endswith("deleted"):
        (file,) = (await client.get("/v1/files", headers=ADA)).json()["data"]
        assert (await client.delete(f"/v1/files/{file['id']}", headers=ADA)).status_code == 200
    now = time.time() + 901
    monkeypatch.setattr(time, "time", lambda: now)
    done = await complete(client, upload_id, parts)
    assert done.status_code == 200, done.text
    assert (done.json()["file"] is None) == step.endswith("deleted")
    assert (await upload(client)).status_code == (200 if step.endswith("deleted") else 429)
    assert (await upload(client)).status_code == 429


async def test_an_announced_file_is_sent_to_its_url_and_processed_at_its_first_use(
    world: FileWorld, bucket: str, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.client(in_bucket(bucket, moto_endpoint), quota={"max_bytes": 10})
    answer = await client.post("/v1/files", json=NEW | {"filename": "../big.bin"}, headers=ADA)
    assert answer.status_code == 200, answer.text
    file = answer.json()
    target = file.pop("upload")
    assert (file["status"], file["filename"], file["bytes"]) == ("uploaded", "big.bin", 4)
    assert target["expires_at"] == pytest.approx(file["created_at"] + 3600, abs=2)
    path = f"/v1/files/{file['id']}"
    early = await client.get(f"{path}/content", headers=ADA)
    assert (early.status_code, early.json()["error"]["param"]) == (400, "file_id")
    assert "has not come yet" in message(early)
    more = await client.post("/v1/files", json=NEW | {"bytes": 7}, headers=ADA)
    assert more.status_code == 413
    async with httpx.AsyncClient() as stranger:
        sent = await stranger.request(target["method"], target["url"], headers=target["headers"], content=b"abcd")
    assert sent.status_code == 200, sent.text
    seen = await asyncio.gather(*(client.get(path, headers=ADA) for _ in range(8)))
    assert [answer.json() for answer in seen] == [file | {"status": "processed"}] * 8
    assert (await client.get(f"{path}/content", headers=ADA)).content == b"abcd"
    never = (await client.post("/v1/files", json=NEW | {"bytes": 6}, headers=ADA)).json()
    now = time.time() + 3600 + 601
    monkeypatch.setattr(time, "time", lambda: now)
    assert (await client.get(f"/v1/files/{never['id']}", headers=ADA)).status_code == 404
    assert [each["id"] for each in (await client.get("/v1/files", headers=ADA)).json()["data"]] == [file["id"]]
    store = documents.connect(str(world.folder / "state.db"))
    record, lost = [await store.get("file", each["id"]) for each in (file, never)]
    tallies = {} if record is None else await store.tallies("file", f"owner:{record.parent}")
    await store.close()
    assert (tallies, lost) == ({"files": 1, "bytes": 4}, None)


async def test_a_storage_without_urls_says_how_else_a_file_is_sent(world: FileWorld) -> None:
    client = await world.client()
    answer = await client.post("/v1/files", json=NEW, headers=ADA)
    assert answer.status_code == 400
    assert "in parts by POST /v1/uploads" in message(answer)


async def test_what_has_expired_at_a_provider_that_is_gone_is_in_nobodys_way(
    world: FileWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"storage_dir": str(tmp_path / "elsewhere")}
    folder = {"provider_id": "p", "provider_type": "inline::localfs", "config": config}
    before = await world.client(folder, quota={"max_files": 1})
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = (await upload(before, fields=fields)).json()
    now = file["expires_at"]
    monkeypatch.setattr(time, "time", lambda: float(now))
    after = await world.client(quota={"max_files": 1})
    assert (await upload(after)).status_code == 200
    assert len((await after.get("/v1/files", headers=ADA)).json()["data"]) == 1


async def test_a_list_hides_all_that_has_expired_and_removes_some_of_it(world: FileWorld) -> None:
    client = await world.client(auth=False)
    file = (await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a", b"x")})).json()
    store = documents.connect(str(world.folder / "state.db"))
    record = await store.get("file", file["id"])
    assert record is not None
    for number in range(MOST_SWEPT + 2):
        body = {**record.body, "key": f"files/1d/{number}", "expires_at": 1}
        await store.create(Document("file", f"file-{number}", body, record.parent, created=number))
    listed = (await client.get("/v1/files")).json()
    assert ([each["id"] for each in listed["data"]], listed["has_more"]) == ([file["id"]], False)
    assert len((await store.page("file", limit=1000)).documents) == 3
    await store.close()


async def test_who_leaves_while_a_record_is_written_leaves_none() -> None:
    begun, go, undone = asyncio.Event(), asyncio.Event(), list[str]()

    async def write() -> str:
        begun.set()
        await go.wait()
        return "record"

    async def undo(record: str) -> None:
        undone.append(record)

    leaving = asyncio.create_task(keep_unless_left(write(), undo))
    await begun.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert undone == ["record"]


async def test_what_a_killed_process_left_in_a_folder_goes_when_its_life_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("files/1d/a", "files/7d/b", "files/kept/c", "documents/1d/notes/d"):
        await LocalBlobs(tmp_path).put(key, b"x")
    now = time.time() + 3 * 86_400
    monkeypatch.setattr(time, "time", lambda: now)
    await LocalBlobs(tmp_path).put("files/1d/new", b"x")
    assert blob_keys(tmp_path) == {"files/7d/b", "files/kept/c", "files/1d/new"}
