"""Vector stores in a Chroma server, by its REST API of version 2: a collection for each.

Searches go through Chroma's index of the nearest, which is approximate; filters come before them. It has no ranking by words.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import batched
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakValueDictionary

from pydantic_core import to_json

from core.apis.vector_checks import check_index
from core.apis.vector_io import (
    Chunk,
    KeyPage,
    ScoredChunk,
    VectorCapabilities,
    VectorIndex,
    VectorIOProvider,
    VectorQuery,
)
from core.errors import NotFound, ProviderUnavailable
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.chroma import wire
from core.providers.chroma.config import Config
from core.providers.http.keyed_service import KeyedService

WAITS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds, after each try to use what another makes or removes at that time
MOST_IDS: Final = 1000  # of collections that a process knows


class Chroma:
    """A collection is found by its name once, and by its id from then on; one that is gone is looked for again."""

    def __init__(self, provider_id: str, config: Config) -> None:
        self._service = KeyedService(
            provider_id, config, header="x-chroma-token", judge=wire.judge, unreadable=wire.unreadable
        )
        self._database = f"/api/v2/tenants/{quote(config.tenant, safe='')}/databases/{quote(config.database, safe='')}"
        self._ids: dict[str, str] = {}
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._limits: tuple[int, bool] | None = None

    @property
    def capabilities(self) -> VectorCapabilities:
        return wire.CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._service.warm()

    async def create(self, index: VectorIndex) -> None:
        check_index(index, wire.CAPABILITIES)
        self._ids.pop(index.name, None)
        await self._find(index, make=True)

    async def drop(self, index: VectorIndex) -> None:
        self._ids.pop(index.name, None)
        await self._service.call_unless_missing("DELETE", self._path_of(index))

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, wire.CAPABILITIES)
        records = wire.print_records(index, chunks)
        most, base64 = await self._server_limits()
        # What a record has is read and replaced in two calls: of two that write one record, one must be first.
        lock = self._writing.setdefault(index.name, asyncio.Lock())
        for batch in wire.batches(records, most):
            async with lock:
                await self._within(index, partial(self._replace, batch, base64), make=True)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        include = ["documents", "metadatas", *(["embeddings"] if with_vectors else [])]
        chunks: dict[str, Chunk] = {}
        for batch in batched(dict.fromkeys(keys), wire.MOST_RECORDS, strict=False):
            answer = await self._within(index, self._posting("get", {"ids": batch, "include": include}))
            with self._service.reading():
                chunks |= {chunk.key: chunk for chunk in wire.read_chunks(answer)} if answer is not None else {}
        return [chunks[key] for key in keys if key in chunks]

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """All are asked for each time: Chroma's pages are counted, so that one would be missed while others are deleted."""
        answer = await self._within(index, self._posting("get", {"include": []}))
        if answer is None:
            return KeyPage(())
        with self._service.reading():
            keys = sorted(key for key in answer["ids"] if key.startswith(prefix) and key > after)
        return KeyPage(keys[:limit], keys[limit - 1] if len(keys) > limit else "")

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        for batch in batched(dict.fromkeys(keys), wire.MOST_RECORDS, strict=False):
            await self._within(index, self._posting("delete", {"ids": batch}))

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        body = wire.print_query(index, query)
        return [] if body is None else await self._within(index, partial(self._search, query, body)) or []

    async def health(self) -> Health:
        return await self._service.health(self._database)

    async def close(self) -> None:
        await self._service.close()

    def _path_of(self, index: VectorIndex) -> str:
        return f"{self._database}/collections/{wire.collection_name(index.name)}"

    def _posting(self, operation: str, body: object) -> Callable[[str], Awaitable[Any]]:
        content = body if isinstance(body, bytes) else to_json(body)
        return lambda collection: self._service.call(
            "POST", f"{self._database}/collections/{collection}/{operation}", content
        )

    async def _within[Answer](
        self, index: VectorIndex, call: Callable[[str], Awaitable[Answer]], *, make: bool = False
    ) -> Answer | None:
        """What `call` answers about the id of the collection; None where there is none, and it is not to be made."""
        for wait in WAITS:
            collection = self._ids.get(index.name) or await self._find(index, make=make)
            if collection is None:
                return None
            try:
                return await call(collection)
            except ProviderUnavailable as failure:
                if failure.code != wire.UNREADY_CODE:
                    raise
                await asyncio.sleep(wait)
            except NotFound:
                pass
            self._ids.pop(index.name, None)
        raise ProviderUnavailable(
            f"The collection of vector store `{index.store_id}` is being made or removed. Try again in a moment."
        )

    async def _find(self, index: VectorIndex, *, make: bool) -> str | None:
        if make:
            answer = await self._service.call(
                "POST", f"{self._database}/collections", to_json(wire.print_collection(index))
            )
        elif (answer := await self._service.call_unless_missing("GET", self._path_of(index))) is None:
            return None
        with self._service.reading():
            collection = wire.read_collection(index, answer)
        if len(self._ids) >= MOST_IDS:
            self._ids.clear()
        self._ids[index.name] = collection
        return collection

    async def _replace(self, batch: Sequence[wire.Record], base64: bool, collection: str) -> None:  # noqa: FBT001 - the server's
        ids = [record.key for record in batch]
        answer = await self._posting("get", {"ids": ids, "include": ["metadatas"]})(collection)
        with self._service.reading():
            before = dict(zip(answer["ids"], (to_object(metadata) for metadata in answer["metadatas"]), strict=True))
        await self._posting("upsert", wire.print_upsert(batch, before, base64=base64))(collection)

    async def _search(self, query: VectorQuery, body: bytes, collection: str) -> list[ScoredChunk]:
        answer = await self._posting("query", body)(collection)
        with self._service.reading():
            scored = wire.read_scored(answer)[: query.limit]
        if len(scored) < query.limit:
            scored += await self._find_unreached(query, {one.chunk.key for one in scored}, collection)
        return sorted(scored, key=lambda one: -one.score)[: query.limit]

    async def _find_unreached(self, query: VectorQuery, reached: set[str], collection: str) -> list[ScoredChunk]:
        """What the filter holds for and the index did not come to: many equal vectors have no way to another one."""
        condition: JsonObject = {} if query.filter is None else {"where": wire.print_where(query.filter)}
        body: JsonObject = condition | {"limit": max(query.limit, wire.MOST_RECORDS), "include": []}
        answer = to_object(await self._posting("get", body)(collection))
        with self._service.reading():
            unreached = [key for key in answer["ids"] if key not in reached]
        if not unreached:
            return []
        body = condition | {"ids": unreached, "include": ["documents", "metadatas", "embeddings"]}
        answer = await self._posting("get", body)(collection)
        with self._service.reading():
            return [wire.score(chunk, query) for chunk in wire.read_chunks(answer)]

    async def _server_limits(self) -> tuple[int, bool]:
        """How many records a call may have, and whether vectors may be in base64."""
        if self._limits is None:
            answer = to_object(await self._service.call("GET", "/api/v2/pre-flight-checks"))
            with self._service.reading():
                most = min(int(answer.get("max_batch_size") or wire.MOST_RECORDS), wire.MOST_RECORDS)
                self._limits = max(most, 1), answer.get("supports_base64_encoding") is True
        return self._limits


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over one database of a server; it depends on no other API."""
    del deps
    return Chroma(provider_id, config)
