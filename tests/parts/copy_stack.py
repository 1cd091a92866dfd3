"""A stack with two places for vectors, between which stores are copied: the embedded one, `here`, and the double of S3 Vectors, `there`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, override

import httpx
import pytest

from core.apis.vector_io import Chunk, VectorIOProvider, VectorListing
from core.resolution.stack import Stack
from core.services.vector_stores.stores import StoreCollection
from core.stores.queue import sqlite as sqlite_queue
from tests.parts.ingest_stack import until
from tests.parts.vector_stack import ADA, CHAT, EMBEDDER, STORES, VectorWorld, by, message, vector_world

TINY: dict[str, Any] = EMBEDDER | {
    "model_id": "tiny",
    "provider_model_id": "tiny",
    "metadata": {"embedding_dimension": 8},
}


@dataclass
class CopyWorld(VectorWorld):
    """`others` are the entries of further providers."""

    others: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        place = {"db_path": str(self.folder / "vectors.db")}
        here = {"provider_id": "here", "provider_type": "inline::sqlite", "config": place}
        fields: dict[str, Any] = {"models": [EMBEDDER, TINY, CHAT]} | how
        document = super().document(**fields)
        document["providers"]["vector_io"] = [here, self.provider | {"provider_id": "there"}, *self.others]
        document["vector_stores"] = {"default_provider_id": "here"} | document.get("vector_stores", {})
        return document


@pytest.fixture
def quick_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy has three messages, each of which a worker would look for half a second later."""
    monkeypatch.setattr(sqlite_queue, "LONGEST_PAUSE", sqlite_queue.FIRST_PAUSE)


@asynccontextmanager
async def copy_world(folder: Path) -> AsyncGenerator[CopyWorld]:
    async with vector_world(folder, "s3-vectors") as world:
        yield CopyWorld(world.upstream, world.folder, world.provider, world.double, world.opened)


async def begin(client: httpx.AsyncClient, store: str, *, who: str = "ada", **to: Any) -> dict[str, Any]:
    """The job that copies the store."""
    answer = await client.post(f"{STORES}/{store}/copy", json={"to": to}, headers=by(who))
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def ended(client: httpx.AsyncClient, job: dict[str, Any], *, who: str = "ada") -> dict[str, Any]:
    path = f"/v1/jobs/{job['id']}"
    return await until(client, path, "completed", "failed", "cancelled", "expired", who=who)


async def copy(client: httpx.AsyncClient, store: str, **to: Any) -> dict[str, Any]:
    """The result of the job, and `store`, the other store's id."""
    job = await ended(client, await begin(client, store, **to))
    assert job["status"] == "completed", job
    result: dict[str, Any] = job["result"]
    return result


async def chunks_of(stack: Stack, store_id: str) -> dict[str, Chunk]:
    """All that is in the index of a store, by key, with vectors."""
    stores = StoreCollection(stack, None)
    store = await stores.get(store_id)
    provider: VectorIOProvider = stores.provider(store)
    keys, after, more = list[str](), "", True
    while more:
        page = await cast("VectorListing", provider).keys(store.index, after=after, limit=100)
        keys += page.keys
        after, more = page.next, bool(page.next)
    return {chunk.key: chunk for chunk in await provider.fetch(store.index, keys, with_vectors=True)}


def without_vectors(chunks: dict[str, Chunk]) -> dict[str, Chunk]:
    return {key: replace(chunk, vector=()) for key, chunk in chunks.items()}


async def show(client: httpx.AsyncClient, store: str) -> dict[str, Any]:
    """What the API says of a store and of its `files`, without what is its own."""
    view = (await client.get(f"{STORES}/{store}", headers=ADA)).json()
    files = (await client.get(f"{STORES}/{store}/files", params={"limit": "100"}, headers=ADA)).json()["data"]
    for file in files:
        del file["vector_store_id"], file["usage_bytes"]
    names = ("name", "description", "usage_bytes", "file_counts", "status", "expires_after")
    return {"files": files, **{name: view[name] for name in names}}


async def refusal(client: httpx.AsyncClient, store: str, *, who: str = "ada", **to: Any) -> tuple[int, str]:
    """The status and the message."""
    answer = await client.post(f"{STORES}/{store}/copy", json={"to": to}, headers=by(who))
    return answer.status_code, message(answer)
