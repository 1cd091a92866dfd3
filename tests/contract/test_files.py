"""Files over HTTP: what is kept, for whom, how long, and what is refused; in a folder, in the stack's blobs and in a bucket."""

import asyncio
from collections.abc import AsyncIterator
import os
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.errors import NotFound
from core.frame.callers import Call, Principal
from core.resolution.check import check
from core.resolution.resolve import resolve
from tests.parts.file_stack import BLOBS, FileWorld, by, file_world, in_bucket, send_in_parts, upload
from tests.parts.moto import aws_client

MB = 1024 * 1024
ADA = by("ada")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


@pytest.fixture(params=["blobs", "folder", "bucket"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The entry of each provider of files."""
    if request.param == "blobs":
        return BLOBS
    if request.param == "folder":
        config = {"storage_dir": str(tmp_path / "kept"), "ttl_secs": 7200}
        return {"provider_id": "p", "provider_type": "inline::localfs", "config": config}
    bucket, endpoint = (request.getfixturevalue(name) for name in ("bucket", "moto_endpoint"))
    return in_bucket(bucket, endpoint, key_prefix="deep/er")


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["message"]
    return text


async def download(client: httpx.AsyncClient, file_id: str, who: str = "ada", **headers: str) -> httpx.Response:
    answer = await client.get(f"/v1/files/{file_id}/content", headers=by(who, **headers))
    if answer.status_code != 302:
        return answer
    async with httpx.AsyncClient() as stranger:  # without a token, as every client follows it
        return await stranger.get(answer.headers["location"], headers=headers)


async def test_a_file_is_kept_listed_read_and_deleted(world: FileWorld, provider: dict[str, Any]) -> None:
    client = await world.client(provider)
    before = int(time.time())
    answer = await upload(client, b"hello", name="notes.md")
    file = answer.json()
    assert answer.status_code == 200, answer.text
    assert file["id"].startswith("file-")
    assert len(file["id"]) == 37
    life = 7200 if "ttl_secs" in provider["config"] else 365 * 86_400
    assert before + life <= file["expires_at"] <= time.time() + life
    shown = {name: file[name] for name in ("object", "bytes", "filename", "purpose", "status", "status_details")}
    assert shown == {
        "object": "file",
        "bytes": 5,
        "filename": "notes.md",
        "purpose": "assistants",
        "status": "processed",
        "status_details": None,
    }
    assert (await client.get(f"/v1/openai/v1/files/{file['id']}", headers=ADA)).json() == file
    listed = (await client.get("/v1/files", headers=ADA)).json()
    assert listed == {
        "object": "list",
        "data": [file],
        "has_more": False,
        "first_id": file["id"],
        "last_id": file["id"],
    }
    content = await download(client, file["id"])
    assert (content.status_code, content.content) == (200, b"hello")
    assert content.headers["content-type"] == "application/octet-stream"
    assert "notes.md" in content.headers["content-disposition"]
    assert (await download(client, file["id"], range="bytes=1-2")).content == b"el"
    gone = await client.delete(f"/v1/files/{file['id']}", headers=ADA)
    assert gone.json() == {"id": file["id"], "object": "file", "deleted": True}
    for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
        assert (await client.get(path, headers=ADA)).status_code == 404
    assert (await client.delete(f"/v1/files/{file['id']}", headers=ADA)).status_code == 404
    empty = (await client.get("/v1/files", headers=ADA)).json()
    assert empty == {"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}
    assert not world.blobs()


async def test_a_large_file_is_read_where_it_is(world: FileWorld, provider: dict[str, Any]) -> None:
    client = await world.client(provider)
    content = bytes(range(256)) * 8192
    file = (await upload(client, content, name="größe.bin")).json()
    answer = await client.get(f"/v1/files/{file['id']}/content", headers=ADA)
    assert answer.status_code == (302 if provider["provider_type"] == "remote::s3" else 200)
    whole = await download(client, file["id"])
    assert whole.content == content
    assert whole.headers["content-type"] == "application/octet-stream"
    assert "gr%C3%B6%C3%9Fe.bin" in whole.headers["content-disposition"]
    part = await download(client, file["id"], range="bytes=256-259")
    assert (part.status_code, part.content) == (206, b"\x00\x01\x02\x03")


async def test_pages_of_equal_times_lose_nothing(world: FileWorld) -> None:
    client = await world.client()
    ids = [(await upload(client, fields={"purpose": "batch" if n % 2 else "vision"})).json()["id"] for n in range(7)]
    for order in ("asc", "desc"):
        seen, after = list[str](), ""
        while True:
            query = {"limit": "2", "order": order, **({"after": after} if after else {})}
            page = (await client.get("/v1/files", params=query, headers=ADA)).json()
            seen += [file["id"] for file in page["data"]]
            if not page["has_more"]:
                break
            after = page["last_id"]
        assert sorted(seen) == sorted(ids)
    batch = (await client.get("/v1/files", params={"purpose": "batch", "limit": "2"}, headers=ADA)).json()
    assert (len(batch["data"]), batch["has_more"]) == (2, True)
    rest = {"purpose": "batch", "limit": "2", "after": batch["last_id"]}
    page = (await client.get("/v1/files", params=rest, headers=ADA)).json()
    assert (len(page["data"]), page["has_more"]) == (1, False)


async def test_what_is_anothers_is_not_there_unless_the_policy_shows_it(world: FileWorld) -> None:
    client = await world.client()
    file = (await upload(client)).json()
    path = f"/v1/files/{file['id']}"
    unknown = f"/v1/files/file-{'0' * 32}"
    for method, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        theirs = await client.request(method, path + tail, headers=by("bob"))
        nobodys = await client.request(method, unknown + tail, headers=by("bob"))
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert message(theirs).replace(file["id"], "X") == message(nobodys).replace(f"file-{'0' * 32}", "X")
    assert not (await client.get("/v1/files", headers=by("bob"))).json()["data"]
    assert (await client.get("/v1/files", params={"after": file["id"]}, headers=by("bob"))).status_code == 404
    rules = [
        {"permit": {"principal": "eve", "actions": ["read"], "resource": "file::*"}},
        {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user is owner"},
        {"forbid": {"principal": "bob", "actions": ["create"], "resource": "file::*"}},
    ]
    ruled = await world.client(policy=rules)
    assert (await download(ruled, file["id"], "eve")).content == b"hello"
    denied = await ruled.delete(path, headers=by("eve"))
    assert (denied.status_code, message(denied)) == (
        403,
        f"The access policy does not let you delete the file `{file['id']}`.",
    )


async def test_a_file_expires_to_the_second(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client()
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = (await upload(client, fields=fields)).json()
    assert file["expires_at"] == file["created_at"] + 3600
    assert [path.parent.name for path in world.blobs()] == ["1d"]
    kept = (await upload(client)).json()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: file["expires_at"] - 1 if file else clock())
    other = await world.client()
    assert (await other.get(f"/v1/files/{file['id']}", headers=ADA)).status_code == 200
    monkeypatch.setattr(time, "time", lambda: float(file["expires_at"]))
    late = await world.client()
    assert [f["id"] for f in (await late.get("/v1/files", headers=ADA)).json()["data"]] == [kept["id"]]
    assert (await late.get(f"/v1/files/{file['id']}", headers=ADA)).status_code == 404
    assert len(world.blobs()) == 1


async def test_an_expiry_after_the_file_is_heeded(world: FileWorld) -> None:
    client = await world.client()
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nlast\r\n'
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="expires_after[seconds]"\r\n\r\n90000\r\n'
        b'--b\r\nContent-Disposition: form-data; name="expires_after[anchor]"\r\n\r\ncreated_at\r\n--b--\r\n'
    )
    headers = by("ada", **{"content-type": "multipart/form-data; boundary=b"})
    file = (await client.post("/v1/files", content=body, headers=headers)).json()
    assert (await download(client, file["id"])).content == b"last"
    assert [path.parent.name for path in world.blobs()] == ["7d"]


PURPOSES = "purpose: Input should be 'assistants', 'batch', 'fine-tune', 'vision', 'user_data' or 'evals'"
SECONDS = "expires_after.seconds: Input should be "


@pytest.mark.parametrize(
    ("content", "fields", "text", "param"),
    [
        (b"", {}, "The file is empty.", "file"),
        (b"x", {"purpose": "poetry"}, PURPOSES, "purpose"),
        (b"x", {"purpose": ""}, PURPOSES, "purpose"),
        (
            b"x",
            {"expires_after": "3600"},
            "expires_after: Input should be an object: send its fields as expires_after[FIELD]",
            "expires_after",
        ),
        (
            b"x",
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            f"{SECONDS}greater than or equal to 3600",
            "expires_after.seconds",
        ),
        (
            b"x",
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "2592001"},
            f"{SECONDS}less than or equal to 2592000",
            "expires_after.seconds",
        ),
        (
            b"x",
            {"expires_after[anchor]": "last_active_at", "expires_after[seconds]": "3600"},
            "expires_after.anchor: Input should be 'created_at'",
            "expires_after.anchor",
        ),
    ],
)
async def test_what_is_no_file_is_refused_and_leaves_nothing(
    world: FileWorld, content: bytes, fields: dict[str, str], text: str, param: str
) -> None:
    client = await world.client()
    answer = await upload(client, content, fields=fields)
    assert (answer.status_code, message(answer), answer.json()["error"]["param"]) == (400, text, param)
    assert not world.blobs()


async def test_forms_without_a_purpose_or_a_file_or_with_too_large_a_one_are_refused(world: FileWorld) -> None:
    client = await world.client(max_upload_bytes=2048)
    bare = await client.post("/v1/files", files={"file": ("a", b"x")}, headers=ADA)
    assert (bare.status_code, message(bare)) == (400, "purpose: Field required")
    data = {"purpose": "batch"}
    nothing = await client.post("/v1/files", data=data, files={"other": (None, b"")}, headers=ADA)
    assert (nothing.status_code, message(nothing)) == (400, "There is no file: send one as the part `file`.")
    large = await upload(client, b"x" * 2049)
    assert large.status_code == 413
    assert message(large) == (
        "The request body is larger than 2048 bytes, the most that this endpoint takes. Send it in parts: "
        "client.uploads.upload_file_chunked(..., part_size=2048) does it with OpenAI's client, `llambda files upload` by itself."
    )
    text = await client.post("/v1/files", content=b"x", headers=by("ada", **{"content-type": "text/plain"}))
    assert (text.status_code, message(text)) == (
        415,
        "Send multipart/form-data, with the file as its part `file`, or JSON that describes the file.",
    )
    assert not world.blobs()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\a.txt", "a.txt"),
        ("a\x00b.txt", "ab.txt"),
        ("x" * 4000, "x" * 255),
        ("..", "file"),
    ],
)
async def test_names_are_names_and_no_paths(world: FileWorld, name: str, kept: str) -> None:
    client = await world.client()
    body = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n'.encode()
    body += b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
    headers = by("ada", **{"content-type": "multipart/form-data; boundary=b"})
    answer = await client.post("/v1/files", content=body, headers=headers)
    if "\x00" in name and answer.status_code == 400:
        return  # it cannot be a header's value
    assert answer.json().get("filename") == kept, answer.text


async def test_nonsense_as_an_id_is_not_there(world: FileWorld) -> None:
    client = await world.client()
    for name in ("nonsense", "file-é", "%00", "x" * 600, "file-..%2f..%2fregistry.db"):
        assert (await client.get(f"/v1/files/{name}", headers=ADA)).status_code == 404


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "10001"}, {"order": "up"}, {"purpose": "poetry"}])
async def test_lists_that_cannot_be_are_refused(world: FileWorld, query: dict[str, str]) -> None:
    client = await world.client()
    answer = await client.get("/v1/files", params=query, headers=ADA)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(query)))


async def test_limits_of_what_is_kept_hold_under_64_uploads_at_once(world: FileWorld) -> None:
    client = await world.client(quota={"max_files": 10, "max_bytes": 1000, "roles": {"eve": {"max_files": 11}}})
    answers = await asyncio.gather(*(upload(client) for _ in range(64)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 54
    assert len(world.blobs()) == 10
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["x-should-retry"] == "false"
    assert refused.json()["error"]["code"] == "max_files_reached"
    assert message(refused) == "You may keep 10 files, and have as many. Delete some."
    files = (await client.get("/v1/files", headers=ADA)).json()["data"]
    await asyncio.gather(*(client.delete(f"/v1/files/{file['id']}", headers=ADA) for file in files))
    assert (await upload(client, b"x" * 999)).status_code == 200
    large = await upload(client, b"xx")
    assert (large.status_code, large.json()["error"]["code"]) == (413, "max_bytes_reached")
    assert message(large) == "You may keep 1000 bytes in files, and have 999; this one has 2. Delete some files."
    assert [(await upload(client, who="eve")).status_code for _ in range(12)] == [200] * 11 + [429]
    assert (await upload(client, who="bob")).status_code == 200


async def test_limits_and_lists_hold_over_dynamodb_and_s3(
    world: FileWorld, bucket: str, moto_endpoint: str, state_table: str, dynamodb_endpoint: str
) -> None:
    state = {"type": "kv_dynamodb", "table": state_table, "region": "eu-central-1", "endpoint_url": dynamodb_endpoint}
    blobs = {"type": "blob_s3", "bucket": bucket, "region": "us-east-1", "endpoint_url": moto_endpoint}
    stores = {"documents": {"backend": "state"}, "blobs": {"backend": "blobs"}}
    storage = {"backends": {"state": state, "blobs": blobs}, "stores": stores}
    client = await world.client(storage=storage, quota={"max_files": 5})
    answers = await asyncio.gather(*(upload(client) for _ in range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 19
    with aws_client("s3", moto_endpoint) as s3:
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5
    first = (await client.get("/v1/files", params={"limit": "3"}, headers=ADA)).json()
    rest = (await client.get("/v1/files", params={"after": first["last_id"]}, headers=ADA)).json()
    ids = [file["id"] for file in first["data"] + rest["data"]]
    assert sorted(ids) == sorted(answer.json()["id"] for answer in answers if answer.status_code == 200)
    gone = await asyncio.gather(*(client.delete(f"/v1/files/{file_id}", headers=ADA) for file_id in ids * 2))
    assert sorted(answer.status_code for answer in gone) == [200] * 5 + [404] * 5
    upload_id, parts = await send_in_parts(client, [b"ab", b"cd"])
    done = await client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": parts}, headers=ADA)
    assert (await download(client, done.json()["file"]["id"])).content == b"abcd"
    assert [(await upload(client)).status_code for _ in range(5)] == [200] * 4 + [429]


async def test_what_has_expired_counts_no_more(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client(quota={"max_files": 1})
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = (await upload(client, fields=fields)).json()
    assert (await upload(client)).status_code == 429
    monkeypatch.setattr(time, "time", lambda: float(file["expires_at"]))
    late = await world.client(quota={"max_files": 1})
    assert (await upload(late)).status_code == 200
    assert (await upload(late)).status_code == 429
    assert len(world.blobs()) == 1


async def test_another_provider_first_leaves_old_files_where_they_are(world: FileWorld, tmp_path: Path) -> None:
    client = await world.client()
    old = (await upload(client, b"old")).json()["id"]
    config = {"storage_dir": str(tmp_path / "elsewhere")}
    folder = {"provider_id": "p", "provider_type": "inline::localfs", "config": config}
    both = await world.client(folder, BLOBS)
    new = (await upload(both, b"new")).json()["id"]
    assert [(await download(both, file_id)).content for file_id in (old, new)] == [b"old", b"new"]
    assert len(world.blobs()) == 1
    alone = await world.client(folder)
    answer = await download(alone, old)
    assert (answer.status_code, message(answer)) == (
        503,
        "The file is kept by the provider `blobs`, which this stack does not configure.",
    )


async def test_the_references_config_names_a_bucket_its_keys_and_whether_it_is_made(
    world: FileWorld, bucket: str, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {name: os.environ[name.upper()] for name in ("aws_access_key_id", "aws_secret_access_key")}
    for name in keys:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = {"table_name": "s3_files_metadata", "backend": "sql_default"}
    for region, made in (("us-east-1", f"{bucket}-new"), ("eu-west-1", f"{bucket}-eu")):
        config = {"region": region, "auto_create_bucket": True, "metadata_store": store, **keys}
        client = await world.client(in_bucket(made, moto_endpoint, **config))
        assert (await download(client, (await upload(client)).json()["id"])).content == b"hello"
    missing = await world.client(in_bucket(f"{bucket}-missing", moto_endpoint, **keys))
    answer = await upload(missing)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "state_unavailable")
    assert message(answer) == f"The S3 bucket `{bucket}-missing` does not exist in this account and region."
    health = (await missing.get("/v1/providers", headers=ADA)).json()["data"][0]["health"]
    assert health["status"] == "Error"


async def test_keys_of_a_bucket_may_be_references_to_secrets(
    world: FileWorld, bucket: str, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    with aws_client("secretsmanager", moto_endpoint) as aws:
        arn = aws.create_secret(Name=bucket, SecretString='{"id":"AKIAOFTHEVAULT","key":"x"}')["ARN"]
    keys = {
        "aws_access_key_id": f"aws-secretsmanager:{arn}#id",
        "aws_secret_access_key": f"aws-secretsmanager:{arn}#key",
    }
    client = await world.client(in_bucket(bucket, moto_endpoint, **keys))
    file = (await upload(client, bytes(2 * MB))).json()
    answer = await client.get(f"/v1/files/{file['id']}/content", headers=ADA)
    assert "Credential=AKIAOFTHEVAULT%2F" in answer.headers["location"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"aws_access_key_id": "a"}, "give `aws_access_key_id` and `aws_secret_access_key` together, or neither"),
        ({"key_prefix": "/a"}, "key_prefix"),
        ({"ttl_secs": 60}, "ttl_secs"),
    ],
)
def test_a_bucket_that_is_configured_badly_is_told_of(config: dict[str, Any], text: str, world: FileWorld) -> None:
    loaded = interpret(world.document(in_bucket("files", "http://127.0.0.1:1", **config)), {})
    assert any(text in str(problem) for problem in loaded.problems + check(loaded))


async def test_other_apis_open_a_file_as_its_caller_may(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.client()
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = (await upload(client, b"0123456789", fields=fields)).json()
    stack = await resolve(interpret(world.document(), {}), ["files"], version="1")
    owner = Principal("ada", {"roles": ("ada",), "namespaces": ("ada",)})
    files = stack.surfaces["files"](Call(owner))
    opened = await files.open(file["id"])
    assert (opened.file_id, opened.filename, opened.purpose, opened.content.size) == (
        file["id"],
        "a.txt",
        "assistants",
        10,
    )
    assert b"".join([chunk async for chunk in opened.content.read(2, 5)]) == b"234"
    strangers = stack.surfaces["files"](Call(Principal("bob", {"namespaces": ("bob",)})))
    monkeypatch.setattr(time, "time", lambda: file["expires_at"] - 0.001)
    await files.open(file["id"])
    for surface, now in ((strangers, 0), (files, file["expires_at"])):
        monkeypatch.setattr(time, "time", lambda now=now: float(now))
        with pytest.raises(NotFound, match=f"There is no file `{file['id']}`"):
            await surface.open(file["id"])
    await stack.close()


async def test_an_expiry_in_the_text_of_one_field_is_understood(world: FileWorld) -> None:
    client = await world.client()
    file = (await upload(client, fields={"expires_after": '{"anchor": "created_at", "seconds": 3600}'})).json()
    assert file["expires_at"] == file["created_at"] + 3600
    broken = await upload(client, fields={"expires_after": "tomorrow"})
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "expires_after")
