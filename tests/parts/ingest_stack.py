"""A stack whose vector stores take files in, in this process, with a worker beside it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import time
from typing import Any

import httpx

from core.apis.vector_io import VectorQuery
from core.config.load import interpret
from core.frame.callers import Principal
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, routed_apis
from core.runtime.job_worker import JobRunner, JobTasks
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.records import BYTES, FileRecord, chunk_key, file_id_of
from core.services.vector_stores.records import STORES as STORES_COLLECTION
from core.services.vector_stores.stores import StoreCollection
from tests.parts.vector_stack import VectorWorld, by

ADA = by("ada")
PRINCIPAL = Principal("ada", {"roles": ("ada",), "namespaces": ("ada",)}, "custom")
STORES = "/v1/vector_stores"
SENTENCE = "The {n}th lighthouse of the coast has a keeper, who writes down which ships pass it, and when.\n"


def text_of(sentences: int, word: str = "lighthouse") -> str:
    """About 25 tokens a sentence."""
    return "".join(SENTENCE.format(n=n).replace("lighthouse", word) for n in range(sentences))


async def stack_of(world: VectorWorld, **how: Any) -> Stack:
    """Every API of the world in one stack, which is closed with it."""
    stack = await _resolved(world, **how)
    world.opened.push_async_callback(stack.close)
    return stack


async def _resolved(world: VectorWorld, **how: Any) -> Stack:
    loaded = interpret(world.document(**how), {})
    assert loaded.config is not None
    return await resolve(loaded, routed_apis(loaded.config), version="1")


@asynccontextmanager
async def working(world: VectorWorld, **how: Any) -> AsyncIterator[None]:
    """With a worker of the world's jobs."""
    tasks = JobTasks(JobRunner(await _resolved(world, **how)))
    tasks.start()
    try:
        yield
    finally:
        await tasks.close()


async def upload(
    client: httpx.AsyncClient, content: bytes | str, name: str = "a.txt", *, who: str = "ada", **more: str
) -> str:
    """The id of the file."""
    content = content.encode() if isinstance(content, str) else content
    headers = by(who, **{"content-type": "multipart/form-data; boundary=between-the-parts"})
    data = {"purpose": "assistants", **more}
    answer = await client.post("/v1/files", data=data, files={"file": (name, content)}, headers=headers)
    assert answer.status_code == 200, answer.text
    file_id: str = answer.json()["id"]
    return file_id


async def make_store(client: httpx.AsyncClient, *, who: str = "ada", **fields: Any) -> str:
    """The id of the store."""
    answer = await client.post(STORES, json=fields, headers=by(who))
    assert answer.status_code == 200, answer.text
    store_id: str = answer.json()["id"]
    return store_id


async def add(
    client: httpx.AsyncClient, store_id: str, file_id: str, *, who: str = "ada", **fields: Any
) -> httpx.Response:
    return await client.post(f"{STORES}/{store_id}/files", json={"file_id": file_id, **fields}, headers=by(who))


async def counts_of(client: httpx.AsyncClient, store_id: str) -> dict[str, int]:
    """Those that are not 0, but for the total."""
    counts = (await client.get(f"{STORES}/{store_id}", headers=ADA)).json()["file_counts"]
    return {name: count for name, count in counts.items() if count and name != "total"}


async def until(
    client: httpx.AsyncClient, path: str, *statuses: str, seconds: float = 30.0, who: str = "ada"
) -> dict[str, Any]:
    """What is at the path once it has one of the statuses: by default, any but in_progress."""
    end = time.monotonic() + seconds
    while True:
        shown: dict[str, Any] = (await client.get(path, headers=by(who))).json()
        status = shown["status"]
        if status in statuses or (not statuses and status != "in_progress"):
            return shown
        assert time.monotonic() < end, shown
        await asyncio.sleep(0.05)


async def check_exact(stack: Stack, store_id: str) -> dict[str, FileRecord]:
    """The records of a store's files, which its counts and its index agree with: no chunk is missing, none is too many."""
    stores = StoreCollection(stack, None)
    files = StoreFiles(stores, await stores.get(store_id))
    records = {file_id_of(document): FileRecord.read(document.body) async for document in files.walk("asc", None)}
    counts: Counter[str] = Counter()
    keys: dict[str, FileRecord] = {}
    for file_id, record in records.items():
        assert not record.deleting, file_id
        counts[record.status] += 1
        counts[BYTES] += record.usage_bytes
        if record.status == "completed":
            keys |= {chunk_key(file_id, number): record for number in range(record.claimed)}
    tallies = await stores.store.tallies(STORES_COLLECTION, store_id)
    assert {name: count for name, count in tallies.items() if count} == {n: c for n, c in counts.items() if c}
    provider = stores.provider(files.store)
    vector = [1.0] * files.store.record.embedding_dimension
    chunks = await provider.search(files.store.index, VectorQuery(vector=vector, limit=1000))
    there = {scored.chunk.key: scored.chunk.attributes for scored in chunks}
    assert len(there) < 1000
    expected = {key: record.attributes for key, record in keys.items()}
    differ = {
        key: (there.get(key), expected.get(key)) for key in there | expected if there.get(key) != expected.get(key)
    }
    assert not differ, (differ, {key: keys.get(key) for key in differ})
    return records


async def records_of(stack: Stack, store_id: str) -> list[FileRecord]:
    """Of the files in a store, with those that are being deleted."""
    stores = StoreCollection(stack, None)
    files = StoreFiles(stores, await stores.get(store_id))
    return [FileRecord.read(document.body) async for document in files.walk("asc", None)]
