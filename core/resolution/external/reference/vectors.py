"""A provider of vector stores written for the reference, as one of this stack's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter, isawaitable
import math
from types import SimpleNamespace
from typing import Any, Final

from core.apis.vector_checks import check_chunk, check_index, check_query, print_attributes
from core.apis.vector_io import Chunk, ScoredChunk, Vector, VectorCapabilities, VectorIndex, VectorQuery
from core.errors import Conflict, InvalidRequest, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.resolution.external.reference.calls import Translated, own_method, parameters
from core.resolution.external.reference.chunks import id_of, to_record, to_scored
from core.resolution.external.reference.deps import QUERIED, Queried
from core.resolution.external.reference.filtering import holds
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, record
from core.services.vector_stores.fusion import Fusion, fuse

METHODS: Final = ("insert_chunks", "query_chunks")
IDS: Final = ("vector_store_id", "vector_db_id", "store_id")
"""What the store is called in the keywords of the versions before one record."""
REQUESTS: Final = {
    "insert_chunks": "InsertChunksRequest",
    "query_chunks": "QueryChunksRequest",
    "delete_chunks": "DeleteChunksRequest",
}
REGISTRATIONS: Final = {"register_vector_store": "VectorStore", "register_vector_db": "VectorDB"}
REMOVALS: Final = ("unregister_vector_store", "unregister_vector_db")
DEEPEST: Final = 4096
"""Chunks that one search looks through; sqlite-vec gives no more."""
DEEPER: Final = 4  # times as many as before, where too few were let through
LEAST_SCORE: Final = -1.0  # 0 would leave out what is farther than a right angle
PLACEHOLDER: Final = "llambda: the vector of this query is at hand"
DEPTH: Final = 5  # how many times as many as asked for each of two rankings has, before they are fused
CAPABILITIES: Final = VectorCapabilities(keyword=True, hybrid=True, most_results=1000, filtered_bytes=16_384)


class ReferenceStores:
    """The `vector_store_table` of the reference, or `vector_db_store`: what was registered in this process."""

    def __init__(self) -> None:
        self.indexes: dict[str, VectorIndex] = {}
        self.ready: set[str] = set()  # of their names, those that the package has been told
        self.lock = asyncio.Lock()  # a package that is told twice at once may forget what was put between

    async def get_vector_store(self, identifier: Any) -> Record | None:  # noqa: ANN401 - a name, or a request for one
        return self._record("VectorStore", identifier)

    async def get_vector_db(self, identifier: Any) -> Record | None:  # noqa: ANN401 - a name, or a request for one
        return self._record("VectorDB", identifier)

    def forget(self, name: str) -> None:
        self.indexes.pop(name, None)
        self.ready.discard(name)

    def _record(self, kind: str, identifier: Any) -> Record | None:  # noqa: ANN401 - a name, or a request for one
        index = self.indexes.get(str(getattr(identifier, "vector_store_id", identifier)))
        return None if index is None else to_resource(kind, index)


def to_resource(kind: str, index: VectorIndex, provider_id: str = "") -> Record:
    """A VectorStore or a VectorDB; its identifier is what the store is called at its provider."""
    row: Record = record(
        kind,
        identifier=index.name,
        provider_resource_id=index.name,
        provider_id=provider_id,
        embedding_model=index.embedding_model,
        embedding_dimension=index.dimension,
    )
    return row


@dataclass(frozen=True, slots=True)
class Ask:
    """A search as the package is asked: for a vector, or for the words of a text."""

    vector: Vector | None
    text: str
    depth: int


class ReferenceVectors:
    """`provider` has the reference's `insert_chunks` and `query_chunks`, of 0.2 or later; `stores` is what it looks stores up in."""

    def __init__(
        self,
        provider_id: str,
        provider: Any,  # noqa: ANN401 - somebody else's object
        stores: ReferenceStores,
        data: SimpleNamespace | None = None,
    ) -> None:
        self._provider_id = provider_id
        self._provider = provider
        self._stores = stores
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceVectors":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        return ReferenceVectors(self._provider_id, self._provider, self._stores, SimpleNamespace(**data))

    @property
    def capabilities(self) -> VectorCapabilities:
        return replace(CAPABILITIES, removable=own_method(self._provider, "delete_chunks") is not None)

    async def create(self, index: VectorIndex) -> None:
        check_index(index, CAPABILITIES)
        async with self._stores.lock:
            await self._register(index)

    async def drop(self, index: VectorIndex) -> None:
        """Registered before: packages do not remove what their process has not seen."""
        async with self._stores.lock:
            if index.name not in self._stores.ready and index.dimension:
                await self._register(index)
            name = next((name for name in REMOVALS if own_method(self._provider, name) is not None), None)
            if name is not None:
                await self._call(name, index.name)
            self._stores.forget(index.name)

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, CAPABILITIES)
        for chunk in chunks:
            check_chunk(index, chunk)
            _check_finite(chunk.vector)
            print_attributes(chunk.key, chunk.attributes, CAPABILITIES)
        rows = [to_record(index, chunk) for chunk in {chunk.key: chunk for chunk in chunks}.values()]
        if rows:
            await self._send("insert_chunks", index, {"chunks": rows})

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        """Looked for among all chunks, since the reference has no way to ask for one.

        Raises:
            InvalidRequest: the store has more of them than a search looks through.
        """
        somewhere = [1.0, *[0.0] * (index.dimension - 1)]
        results, is_whole = await self._look(index, Ask(somewhere, PLACEHOLDER, DEEPEST))
        chunks = {scored.chunk.key: scored.chunk for scored in results}
        if not is_whole and not chunks.keys() >= set(keys):
            raise InvalidRequest(
                f"Provider `{self._provider_id}` finds chunks by searches alone, which see {DEEPEST} of them, and this vector store has "
                "more: what is in a file of it cannot be shown. Keep fewer files in a store, or use a provider of llambda's own."
            )
        rows = [chunks[key] for key in keys if key in chunks]
        return rows if with_vectors else [replace(chunk, vector=()) for chunk in rows]

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        """One at a time: packages leave all alone where one of them is not there."""
        if own_method(self._provider, "delete_chunks") is None:
            raise InvalidRequest(
                f"Provider `{self._provider_id}` cannot take chunks out of a vector store: its package has no delete_chunks. "
                "Delete the store, or use a later version of the package."
            )
        for key in keys:
            rows = [record("ChunkForDeletion", chunk_id=id_of(key), document_id=id_of(key))]
            await self._send("delete_chunks", index, {"chunks": rows})

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        """Both rankings are asked for one by one, and fused here: packages fuse in ways of their own."""
        check_query(index, query, CAPABILITIES)
        _check_finite(query.vector or ())
        if query.limit < 1:
            return []
        if query.vector is None or query.text is None:
            results = await self._search_one(index, query)
        else:
            deep = replace(query, limit=min(query.limit * DEPTH, CAPABILITIES.most_results))
            by_vector = await self._search_one(index, replace(deep, text=None))
            by_words = await self._search_one(index, replace(deep, vector=None))
            results = fuse(by_vector, by_words, Fusion())[: query.limit]
        return results if query.with_vectors else [_bare(scored) for scored in results]

    async def _search_one(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        """By a vector or by words, deeper and deeper until the filter lets enough through, or nothing is left."""
        if query.vector is None and not (query.text or "").strip():
            return []
        text = PLACEHOLDER if query.text is None else query.text
        depth = query.limit if query.filter is None else min(query.limit * DEEPER, DEEPEST)
        while True:
            results, is_whole = await self._look(index, Ask(query.vector, text, depth))
            fit = [scored for scored in results if holds(query.filter, scored.chunk.attributes)]
            if len(fit) >= query.limit or is_whole or (depth == DEEPEST and query.filter is None):
                return fit[: query.limit]
            if depth == DEEPEST:
                raise InvalidRequest(
                    f"Provider `{self._provider_id}` cannot filter, and the filter holds for fewer than {query.limit} of the {DEEPEST} chunks "
                    "that are looked through for it. Ask for fewer results, make the filter wider, or use a provider of llambda's own.",
                    param="filters",
                )
            depth = min(depth * DEEPER, DEEPEST)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _look(self, index: VectorIndex, ask: Ask) -> tuple[list[ScoredChunk], bool]:
        """The nearest chunks, each once, the best first; and whether the package has no more of them."""
        mode = "keyword" if ask.vector is None else "vector"
        params = {"max_chunks": ask.depth, "score_threshold": LEAST_SCORE, "mode": mode}
        queried = Queried(ask.text, None if ask.vector is None else [float(number) for number in ask.vector])
        token = QUERIED.set(queried)
        try:
            answer = await self._send("query_chunks", index, {"query": ask.text, "params": params})
        finally:
            QUERIED.reset(token)
        rows = to_scored(answer, ask.vector)
        if rows and ask.vector is not None and not queried.is_asked:
            raise UpstreamFailed(
                f"Provider `{self._provider_id}` makes vectors of queries itself, and does not ask for that of this one: its package "
                "cannot search vector stores whose vectors llambda makes."
            )
        best: dict[str, ScoredChunk] = {}
        for scored in rows:
            best.setdefault(scored.chunk.key, scored)
        return sorted(best.values(), key=lambda scored: -scored.score), len(rows) < ask.depth

    async def _send(self, name: str, index: VectorIndex, fields: JsonObject) -> Any:  # noqa: ANN401 - a package's answer
        """Once more where the store was removed meanwhile, and so its package does not know it."""
        await self._ensure(index)
        try:
            return await self._call_about(name, index, fields)
        except InvalidRequest:
            if index.name in self._stores.ready:
                raise
        await self._ensure(index)
        return await self._call_about(name, index, fields)

    async def _call_about(self, name: str, index: VectorIndex, fields: JsonObject) -> Any:  # noqa: ANN401 - a package's answer
        """By the form of the method's signature: keywords up to 0.6, later one record."""
        method = own_method(self._provider, name)
        offered: Mapping[str, Parameter] = {} if method is None else parameters(method)
        identifier = next((word for word in IDS if word in offered), None)
        if identifier is None:
            return await self._call(name, record(REQUESTS[name], vector_store_id=index.name, **fields))
        return await self._call(name, **{identifier: index.name}, **_spell(fields, offered))

    async def _ensure(self, index: VectorIndex) -> None:
        if index.name in self._stores.ready and self._stores.indexes[index.name].dimension == index.dimension:
            return
        async with self._stores.lock:
            await self._register(index)

    async def _register(self, index: VectorIndex) -> None:
        """Once in a process, as the reference does; raises Conflict where it has another dimension."""
        before = self._stores.indexes.get(index.name)
        if before is not None and before.dimension != index.dimension:
            raise Conflict(
                f"The vector store has vectors of {before.dimension} dimensions, not {index.dimension}. "
                "Use the embedding model that it was made with, or make another store."
            )
        if before is not None:
            return
        self._stores.indexes[index.name] = index  # first: a package may look it up
        try:
            for name, kind in REGISTRATIONS.items():
                if own_method(self._provider, name) is not None:
                    await self._call(name, to_resource(kind, index, self._provider_id))
                    break
            self._stores.ready.add(index.name)
        finally:
            if index.name not in self._stores.ready:
                self._stores.forget(index.name)

    async def _call(self, name: str, *values: Any, **fields: Any) -> Any:  # noqa: ANN401 - a package's method
        with Translated(self._provider_id, self._data):
            method = own_method(self._provider, name)
            if method is None:
                raise NotImplementedError(name)
            answer = method(*values, **fields)
            return await answer if isawaitable(answer) else answer


def _check_finite(vector: Vector) -> None:
    if not all(map(math.isfinite, vector)):
        raise InvalidRequest("A vector has only finite numbers.", param="vector")


def _bare(scored: ScoredChunk) -> ScoredChunk:
    return ScoredChunk(replace(scored.chunk, vector=()), scored.score)


def _spell(fields: JsonObject, offered: Mapping[str, Parameter]) -> JsonObject:
    """The chunks that are to go by the name that a version has for them."""
    if "chunks_for_deletion" in offered:
        return {"chunks_for_deletion": fields["chunks"]}
    if "chunk_ids" in offered:
        return {"chunk_ids": [chunk.chunk_id for chunk in fields["chunks"]]}
    return fields
