"""Batches of a stack in this process over the scripted upstream, with a worker where a test asks for one."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
import json
from pathlib import Path
from typing import Any, Final, override

import httpx

from tests.parts.response_stack import MODEL, ResponseWorld, response_world

BATCHES: Final = "/v1/batches"
CHAT: Final = "/v1/chat/completions"
SECONDS: Final = 60  # a slow machine is no failure
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})
REFERENCE: Final[dict[str, Any]] = {"provider_id": "reference", "provider_type": "inline::reference", "config": {}}


class BatchWorld(ResponseWorld):
    """The stack of responses, with batches; of a document an `inference` provider more, and a `model`."""

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        batches = how.pop("batches", None) or REFERENCE
        inference, model = how.pop("inference", None), how.pop("model", None)
        document = super().document(**how)
        document["providers"]["inference"] += [inference] if inference else []
        document["models"] += [model] if model else []
        document["apis"] = [*document["apis"], "batches"]
        document["providers"]["batches"] = [batches]
        return document

    @override
    async def client(self, **how: Any) -> httpx.AsyncClient:
        client = await super().client(**how)
        del client.headers["content-type"]  # uploads are forms
        return client


@asynccontextmanager
async def batch_world(folder: Path) -> AsyncGenerator[BatchWorld]:
    async with response_world(folder) as world:
        yield BatchWorld(world.folder, world.model, world.server, world.engines, world.opened)


def chat_line(custom_id: str, text: str = "Hello", **more: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def upload(client: httpx.AsyncClient, content: bytes, *, purpose: str = "batch", **headers: str) -> str:
    """The id of the file."""
    files = {"file": ("input.jsonl", content)}
    answer = await client.post("/v1/files", data={"purpose": purpose}, files=files, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def new_batch(file_id: str, endpoint: str = CHAT, **more: Any) -> dict[str, Any]:
    return {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", **more}


async def end_of(client: httpx.AsyncClient, batch_id: str, **headers: str) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        while True:
            found = await client.get(f"{BATCHES}/{batch_id}", headers=headers)
            assert found.status_code == 200, found.text
            batch: dict[str, Any] = found.json()
            if batch["status"] in ENDED:
                return batch
            await asyncio.sleep(0.05)


async def lines_of(client: httpx.AsyncClient, file_id: str, **headers: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/files/{file_id}/content", headers=headers)
    if answer.status_code == 302:  # what is large and in a bucket
        async with httpx.AsyncClient() as anybody:
            answer = await anybody.get(answer.headers["location"])
    assert answer.status_code == 200, answer.text
    content = answer.text
    return [json.loads(line) for line in content.splitlines()]


def plain_document(folder: Path, upstream: str) -> dict[str, Any]:
    """A stack with batches over one model server, without anything else."""
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["batches", "files", "inference"],
        "providers": {
            "inference": [
                {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"{upstream}/v1"}}
            ],
            "files": [{"provider_id": "files", "provider_type": "inline::localfs", "config": {}}],
            "batches": [{"provider_id": "reference", "provider_type": "inline::reference", "config": {}}],
        },
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
