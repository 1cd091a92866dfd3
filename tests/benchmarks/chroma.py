"""What do `remote::chromadb`'s searches and writes cost over the bare calls of the same server, with the same index?"""

from array import array
import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

SIZE, BATCH, PUTS, SEARCHES, LIMIT = 6_000, 250, 24, 100, 10
TENTH = Comparison("eq", "part", 3)
KEPT_BESIDE = {"source": "file", "filename": "a.txt", "metadata": "{}"}
"""Of a chunk, whose source and file an answer names: a row of Chroma's for each."""
INCLUDE = ["documents", "metadatas", "distances"]


@dataclass(frozen=True)
class Bare:
    """Calls of the server with the same content, and nothing around them; `url` is that of the collections."""

    session: aiohttp.ClientSession
    url: str

    async def create(self, name: str) -> str:
        made = await self.post("", {"name": name, "configuration": {"hnsw": HNSW}})
        return str(made["id"])

    async def put(self, collection: str, batch: Sequence[Chunk]) -> None:
        await self.post(f"/{collection}/upsert", printed(batch))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"content-type": "application/json"}
        async with self.session.post(f"{self.url}{path}", data=to_json(body), headers=headers) as answer:
            return from_json(await answer.read())


def chroma() -> list[Row]:
    with server.running() as url:
        return asyncio.run(measure(url))


async def measure(url: str) -> list[Row]:
    source = random.Random(SIZE)  # noqa: S311 - test data
    chunks = [new_chunk(number, SIZE, source) for number in range(SIZE)]
    database = server.create_database(url)
    vectors = Chroma("chroma", Config(url=url, database=database))
    async with aiohttp.ClientSession() as session:
        bare = Bare(session, f"{url}{server.TENANT}/databases/{database}/collections")
        rows = [await compare_puts(vectors, bare, chunks[:BATCH])]
        collection = await bare.create("bare")
        for batch in batched(chunks, BATCH, strict=False):
            await asyncio.gather(vectors.put(INDEX, batch), bare.put(collection, batch))
        queries = [[source.gauss(0, 1) for _ in range(INDEX.dimension)] for _ in range(SEARCHES)]
        for name, only in (("by vector", None), ("by vector in a tenth", TENTH)):
            where = {} if only is None else {"where": {"part": {"$eq": 3}}}
            ours, floor = list[float](), list[float]()
            for one in queries:
                body = {"query_embeddings": [one], "n_results": LIMIT, "include": INCLUDE, **where}
                await timed(floor, partial(bare.post, f"/{collection}/query", body))
                await timed(ours, partial(vectors.search, INDEX, VectorQuery(one, filter=only, limit=LIMIT)))
            rows.append(compared(f"search {name} among {SIZE}", ours, floor))
    await vectors.close()
    return rows


async def compare_puts(vectors: Chroma, bare: Bare, batch: Sequence[Chunk]) -> Row:
    """Each into an empty collection of its own, since a fuller one takes longer, and each first as often as second.

    What comes second waits for the server's work on the first, a quarter of the time of a bare one after another.
    """
    puts, bare_puts = list[float](), list[float]()
    for turn in range(PUTS):
        index = replace(INDEX, name=f"vs_{turn}")
        await vectors.create(index)
        collection = await bare.create(f"bare_{turn}")
        both = [(puts, partial(vectors.put, index, batch)), (bare_puts, partial(bare.put, collection, batch))]
        for times, put in both if turn % 2 else reversed(both):
            await timed(times, put)
    return compared(f"{BATCH} chunks put", puts, bare_puts)


def printed(batch: Sequence[Chunk]) -> dict[str, Any]:
    return {
        "ids": [chunk.key for chunk in batch],
        "embeddings": [b64encode(array("f", chunk.vector).tobytes()).decode() for chunk in batch],
        "documents": [chunk.text for chunk in batch],
        "metadatas": [dict(chunk.attributes) | KEPT_BESIDE for chunk in batch],
    }
