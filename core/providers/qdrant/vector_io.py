"""Vector stores in Qdrant, by its REST API: a collection for each. It is spoken to as its description says; no server was asked here.

Searches go through Qdrant's index of the nearest, which is approximate; filters come before them.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

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
from core.providers.http.operators_key import call_with_key
from core.providers.http.replies import health_of
from core.providers.qdrant import wire
from core.providers.qdrant.config import Config

if TYPE_CHECKING:
    from core.providers.http.resources import ResourceClient

FORMS: Final = {"api-key": "{key}"}
TRIES: Final = 3  # of using a collection that another makes or removes at that time


class Qdrant:
    """All writes are waited for: what was written is found."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._provider_id = provider_id
        self._credentials = config.credentials()
        self._remote = config.remote(provider_id)
        self._client: ResourceClient | None = None

    @property
    def capabilities(self) -> VectorCapabilities:
        return wire.CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        _ = self._http

    async def create(self, index: VectorIndex) -> None:
        check_index(index, wire.CAPABILITIES)
        for _ in range(TRIES):
            answer = await self._unless_missing(self._call("GET", index))
            if answer is not None:
                with self._reading():
                    wire.check_collection(index, answer)
                return
            try:
                await self._call("PUT", index, body=wire.print_collection(index))
            except Conflict as conflict:
                if conflict.code != wire.THERE_CODE:
                    raise
            else:
                return
        raise _unready(index)

    async def drop(self, index: VectorIndex) -> None:
        await self._unless_missing(self._call("DELETE", index))

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, wire.CAPABILITIES)
        for body in wire.print_points(index, chunks):
            await self._put(index, body)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        chunks: dict[str, Chunk] = {}
        for batch in batched(dict.fromkeys(keys), wire.MOST_POINTS, strict=False):
            ids = [wire.point_id(key) for key in batch]
            body = to_json({"ids": ids, "with_payload": True, "with_vector": with_vectors})
            answer = await self._unless_missing(self._call("POST", index, "/points", body))
            with self._reading():
                points: list[JsonObject] = [] if answer is None else answer["result"]
                chunks |= {chunk.key: chunk for chunk in map(wire.read_chunk, points)}
        return [chunks[key] for key in keys if key in chunks]

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """Points are listed by their ids, which are digests: a page is what is listed, without what has another prefix."""
        body = wire.print_scroll(after, min(limit, wire.MOST_POINTS))
        answer = await self._unless_missing(self._call("POST", index, "/points/scroll", body))
        with self._reading():
            keys, rest = ([], "") if answer is None else wire.read_keys(answer)
        return KeyPage([key for key in keys if key.startswith(prefix)], rest)

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        for batch in batched(dict.fromkeys(keys), wire.MOST_POINTS, strict=False):
            body = to_json({"points": [wire.point_id(key) for key in batch]})
            await self._unless_missing(self._call("POST", index, "/points/delete?wait=true", body))

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        body = wire.print_query(index, query)
        if body is None:
            return []
        answer = await self._unless_missing(self._call("POST", index, "/points/query", body))
        with self._reading():
            return [] if answer is None else wire.read_scored(answer)[: query.limit]

    async def health(self) -> Health:
        return await health_of(self._ask("GET", "/collections"))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def _http(self) -> "ResourceClient":
        if self._client is None:
            from core.providers.http.resources import ResourceClient

            self._client = ResourceClient(self._remote, partial(wire.judge, self._provider_id))
        return self._client

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        call: Callable[..., Awaitable[Any]] = self._http.call
        return await call_with_key(self._credentials, lambda credentials: call(method, path, body, credentials, FORMS))

    async def _call(self, method: str, index: VectorIndex, more: str = "", body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        return await self._ask(method, f"/collections/{wire.collection_name(index.name)}{more}", body)

    async def _unless_missing(self, coming: Awaitable[Any]) -> Any:  # noqa: ANN401 - JSON
        """None where there is no such collection."""
        try:
            return await coming
        except NotFound:
            return None

    async def _put(self, index: VectorIndex, body: bytes) -> None:
        for _ in range(TRIES):
            try:
                answer = to_object(await self._call("PUT", index, "/points?wait=true", body))
            except NotFound:
                await self.create(index)
                continue
            with self._reading():
                if answer["result"]["status"] != "completed":
                    raise ValueError("a write that is not done yet")
            return
        raise _unready(index)

    @contextmanager
    def _reading(self) -> Generator[None]:
        """What an answer of another shape raises inside leaves as UpstreamFailed."""
        try:
            yield
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as odd:
            raise wire.unreadable(self._provider_id) from odd


def _unready(index: VectorIndex) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"The collection of vector store `{index.store_id}` is being made or removed. Try again in a moment."
    )


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over one server; it depends on no other API."""
    del deps
    return Qdrant(provider_id, config)
