"""What do `remote::chromadb`'s searches and writes cost over the bare calls of the same server, with the same index?"""

from array import array
import asyncio
from base64 import b64encode
from functools import partial
from itertools import batched
import random
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json

from core.apis.vector_filters import Comparison
from core.apis.vector_io import Chunk, VectorQuery
from core.providers.chroma.config import Config
from core.providers.chroma.vector_io import Chroma
from core.providers.chroma.wire import HNSW
from infra.local import chroma as server
from tests.benchmarks.pgvector import compared, timed
from tests.benchmarks.table import Row
from tests.benchmarks.vectors import INDEX, new_chunk

SIZE, BATCH, SEARCHES, LIMIT = 6_000, 250, 100, 10
TENTH = Comparison("eq", "part", 3)
KEPT_BESIDE = {"source": "file", "filename": "a.txt", "metadata": "{}"}
"""Of a chunk, whose source and file an answer names: a row of Chroma's for each."""
INCLUDE = ["documents", "metadatas", "distances"]


def chroma() -> list[Row]:
    with server.running() as url:
        return asyncio.run(measure(url))


async def measure(url: str) -> list[Row]:
    source = random.Random(SIZE)  # noqa: S311 - test data
    chunks = [new_chunk(number, SIZE, source) for number in range(SIZE)]
    database = server.create_database(url)
    collections = f"{url}{server.TENANT}/databases/{database}/collections"
    vectors = Chroma("chroma", Config(url=url, database=database))
    puts, bare_puts = list[float](), list[float]()
    async with aiohttp.ClientSession() as session:
        made = await post(session, collections, {"name": "bare", "configuration": {"hnsw": HNSW}})
        bare = f"{collections}/{made['id']}"
        await vectors.create(INDEX)
        for place, batch in enumerate(batched(chunks, BATCH, strict=False)):
            both = [(puts, partial(vectors.put, INDEX, batch)), (bare_puts, partial(put_bare, session, bare, batch))]
            for times, put in (
                both if place % 2 else reversed(both)
            ):  # what comes second waits for the server's work on the first
                await timed(times, put)
        rows = [compared(f"{BATCH} chunks put", puts, bare_puts)]
        queries = [[source.gauss(0, 1) for _ in range(INDEX.dimension)] for _ in range(SEARCHES)]
        for name, only in (("by vector", None), ("by vector in a tenth", TENTH)):
            where = {} if only is None else {"where": {"part": {"$eq": 3}}}
            ours, floor = list[float](), list[float]()
            for one in queries:
                body = {"query_embeddings": [one], "n_results": LIMIT, "include": INCLUDE, **where}
                await timed(floor, partial(post, session, f"{bare}/query", body))
                await timed(ours, partial(vectors.search, INDEX, VectorQuery(one, filter=only, limit=LIMIT)))
            rows.append(compared(f"search {name} among {SIZE}", ours, floor))
    await vectors.close()
    return rows


def printed(batch: tuple[Chunk, ...]) -> dict[str, Any]:
    return {
        "ids": [chunk.key for chunk in batch],
        "embeddings": [b64encode(array("f", chunk.vector).tobytes()).decode() for chunk in batch],
        "documents": [chunk.text for chunk in batch],
        "metadatas": [dict(chunk.attributes) | KEPT_BESIDE for chunk in batch],
    }


async def put_bare(session: aiohttp.ClientSession, collection: str, batch: tuple[Chunk, ...]) -> Any:
    return await post(session, f"{collection}/upsert", printed(batch))


async def post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:
    async with session.post(url, data=to_json(body), headers={"content-type": "application/json"}) as answer:
        return from_json(await answer.read())
