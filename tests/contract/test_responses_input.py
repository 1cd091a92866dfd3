"""Images and files in an input, and guardrails, on the wire: what the model is told, and what is kept."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from tests.parts.live_stack import client_over
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld, response_world

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 8
PDF = b"%PDF-1.4 0"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ResponseWorld]:
    async with response_world(tmp_path) as world:
        yield world


async def upload(client: httpx.AsyncClient, name: str, content: bytes) -> str:
    form = httpx.Request("POST", "http://stack", data={"purpose": "user_data"}, files={"file": (name, content)})
    headers = {"content-type": form.headers["content-type"]}
    answer = await client.post("/v1/files", content=form.read(), headers=headers)
    file_id: str = answer.json()["id"]
    return file_id


async def ask(client: httpx.AsyncClient, *parts: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"model": MODEL, "input": [{"role": "user", "content": [*parts]}], **more}
    return await client.post(RESPONSES, json=body)


def told(world: ResponseWorld) -> Any:
    return [message["content"] for message in world.model.chats[-1]["messages"] if message["role"] == "user"]


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


async def test_files_are_told_as_a_model_takes_them_and_kept_by_their_ids(world: ResponseWorld) -> None:
    client = await world.client()
    image, paper, notes = [
        await upload(client, name, content)
        for name, content in (("a.png", PNG), ("a.pdf", PDF), ("notes.md", "# Größe".encode()))
    ]
    parts = [
        {"type": "input_image", "file_id": image, "detail": "low"},
        *({"type": "input_file", "file_id": file_id} for file_id in (paper, notes)),
        {"type": "input_file", "file_data": data_url("text/plain", b"here"), "filename": "b.txt"},
    ]
    answer = await ask(client, *parts)
    assert answer.status_code == 200, answer.text
    assert told(world)[0] == [
        {"type": "image_url", "image_url": {"url": data_url("image/png", PNG), "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}},
        {"type": "text", "text": "File `notes.md`:\n\n# Größe"},
        {"type": "text", "text": "File `b.txt`:\n\nhere"},
    ]
    first = answer.json()["id"]
    kept = (await client.get(f"{RESPONSES}/{first}/input_items")).json()["data"]
    assert kept[0]["content"] == parts
    await client.delete(f"/v1/files/{notes}")
    again = await ask(client, {"type": "input_text", "text": "And?"}, previous_response_id=first)
    assert again.status_code == 200, again.text
    assert told(world)[0][2] == {"type": "text", "text": "[A file that is not there any more.]"}


async def test_what_cannot_be_told_to_a_model_is_named(world: ResponseWorld) -> None:
    client = await world.client()
    notes, old = (
        await upload(client, "notes.md", b"text"),
        await upload(client, "a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    )
    rows: list[tuple[dict[str, Any], int, str, str]] = [
        ({"type": "input_file", "file_id": "file-none"}, 404, "file_id", "There is no file"),
        ({"type": "input_image", "file_id": notes}, 400, "", "is no image that models take"),
        ({"type": "input_file", "file_id": old}, 400, "", "save it as .docx"),
        ({"type": "input_file", "file_data": "?"}, 400, "file_data", "must be base64"),
        ({"type": "input_file", "file_url": "http://169.254.169.254/a.txt"}, 400, "file_url", "fetches no files"),
    ]
    for part, status, field, words in rows:
        answer = await ask(client, part)
        error = answer.json()["error"]
        assert (answer.status_code, words in error["message"]) == (status, True), answer.text
        assert error["param"] == "input[0].content[0]" + (f".{field}" if field else "")
    assert not world.model.chats


async def test_a_file_of_a_url_is_fetched_where_callers_may_send_the_stack(world: ResponseWorld) -> None:
    document = world.document()
    document["providers"]["tool_runtime"].append(
        {"provider_id": "rag", "provider_type": "inline::rag-runtime", "config": {}}
    )
    client = await world.opened.enter_async_context(client_over(interpret(document, {})))
    answer = await ask(client, {"type": "input_file", "file_url": f"{world.model.url}/notes.md"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[0].content[0].file_url")
    assert not any(seen.path == "/notes.md" for seen in world.model.seen)


async def test_guardrails_need_shields(world: ResponseWorld) -> None:
    client = await world.client()
    for guardrails, words in ((["s"], "has no shields"), (True, "default_shield_id")):
        answer = await client.post(RESPONSES, json={"model": MODEL, "input": "hi", "guardrails": guardrails})
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
