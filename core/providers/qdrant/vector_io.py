"""Vector stores in Qdrant, by its REST API: a collection for each. It is spoken to as its description says; no server was asked here.

Searches go through Qdrant's index of the nearest, which is approximate; filters come before them.
"""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Any, Final

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
from core.errors import Conflict, NotFound, ProviderUnavailable
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.http.keyed_service import KeyedService
from core.providers.qdrant import wire
from core.providers.qdrant.config import Config

TRIES: Final = 3  # of using a collection that another makes or removes at that time


class Qdrant:
    """All writes are waited for: what was written is found."""

    def __init__(self, provider_id: str, config: Config) -> None:
        self._service = KeyedService(
            provider_id, config, header="api-key", judge=wire.judge, unreadable=wire.unreadable
        )

    @property
    def capabilities(self) -> VectorCapabilities:
        return wire.CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._service.warm()

    async def create(self, index: VectorIndex) -> None:
        check_index(index, wire.CAPABILITIES)
        for _ in range(TRIES):
            answer = await self._service.call_unless_missing("GET", _path(index))
            if answer is not None:
                with self._service.reading():
                    wire.check_collection(index, answer)
                return
            try:
                await self._service.call("PUT", _path(index), wire.print_collection(index))
            except Conflict as conflict:
                if conflict.code != wire.THERE_CODE:
                    raise
            else:
                return
        raise _unready(index)

    async def drop(self, index: VectorIndex) -> None:
        await self._service.call_unless_missing("DELETE", _path(index))

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, wire.CAPABILITIES)
        for body in wire.print_points(index, chunks):
            await self._put(index, body)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        chunks: dict[str, Chunk] = {}
        for batch in batched(dict.fromkeys(keys), wire.MOST_POINTS, strict=False):
            ids = [wire.point_id(key) for key in batch]
            body = to_json({"ids": ids, "with_payload": True, "with_vector": with_vectors})
            answer = await self._service.call_unless_missing("POST", _path(index, "/points"), body)
            with self._service.reading():
                points: list[JsonObject] = [] if answer is None else answer["result"]
                chunks |= {chunk.key: chunk for chunk in map(wire.read_chunk, points)}
        return [chunks[key] for key in keys if key in chunks]

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """Points are listed by their ids, which are digests: a page is what is listed, without what has another prefix."""
        body = wire.print_scroll(after, min(limit, wire.MOST_POINTS))
        answer = await self._service.call_unless_missing("POST", _path(index, "/points/scroll"), body)
        with self._service.reading():
            keys, rest = ([], "") if answer is None else wire.read_keys(answer)
        return KeyPage([key for key in keys if key.startswith(prefix)], rest)

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        for batch in batched(dict.fromkeys(keys), wire.MOST_POINTS, strict=False):
            body = to_json({"points": [wire.point_id(key) for key in batch]})
            await self._service.call_unless_missing("POST", _path(index, "/points/delete?wait=true"), body)

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        body = wire.print_query(index, query)
        if body is None:
            return []
        answer = await self._service.call_unless_missing("POST", _path(index, "/points/query"), body)
        with self._service.reading():
            return [] if answer is None else wire.read_scored(answer)[: query.limit]

    async def health(self) -> Health:
        return await self._service.health("/collections")

    async def close(self) -> None:
        await self._service.close()

    async def _put(self, index: VectorIndex, body: bytes) -> None:
        for _ in range(TRIES):
            try:
                answer = to_object(await self._service.call("PUT", _path(index, "/points?wait=true"), body))
            except NotFound:
                await self.create(index)
                continue
            with self._service.reading():
                if answer["result"]["status"] != "completed":
                    raise ValueError("a write that is not done yet")
            return
        raise _unready(index)


def _path(index: VectorIndex, more: str = "") -> str:
    return f"/collections/{wire.collection_name(index.name)}{more}"


def _unready(index: VectorIndex) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"The collection of vector store `{index.store_id}` is being made or removed. Try again in a moment."
    )


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over one server; it depends on no other API."""
    del deps
    return Qdrant(provider_id, config)
