"""Vector stores in PostgreSQL with pgvector: a table for each, HNSW for vectors, tsvector for words, both fused in one statement.

The same statements are asked over a connection, or over the RDS Data API of an Aurora cluster; `database.py` is the seam.
Each is a transaction of its own, and may be carried out twice without harm.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.apis.vector_checks import check_index, check_query
from core.apis.vector_io import (
    Chunk,
    KeyPage,
    ScoredChunk,
    VectorCapabilities,
    VectorIndex,
    VectorIOProvider,
    VectorQuery,
)
from core.errors import Conflict, ProviderUnavailable
from core.frame.types import Health
from core.platform.retry import Backoff
from core.platform.ttl_cache import TtlCache
from core.providers.http.replies import health_of
from core.providers.pgvector.config import FILTERED, MOST_CANDIDATES, Config
from core.providers.pgvector.database import ConnectionLost, Row, SqlRefused, Value
from core.providers.pgvector.failures import loss_of, refusal_of
from core.providers.pgvector.filters import print_filter
from core.providers.pgvector.rows import escape, print_chunks, print_vector, print_words, read_scored, unescape
from core.providers.pgvector.schema import Tables
from core.providers.pgvector.statements import StoreTable

if TYPE_CHECKING:
    from core.providers.pgvector.database import Database

CAPABILITIES: Final = VectorCapabilities(
    keyword=True, hybrid=True, most_results=1000, filtered_bytes=8192, listing=True
)
MISSING: Final = frozenset({"42P01", "3F000"})  # a table, or its schema
COLLIDED: Final = frozenset({"40P01", "40001"})  # with another's transaction: nothing is done
REPLACED: Final = (
    "could not open relation"  # of a table that was removed between a look at its name and one at its rows
)
COLLISIONS: Final = Backoff(0.02, 0.5, 6)  # seconds
RESTART: Final = 0.5  # seconds, until a server that ends may take connections again
TRIES: Final = 3  # of a write to a store whose table another removes at that time
MOST_KEYS: Final = 5000  # of a statement
STATEMENTS: Final = 500  # whose texts are kept: one for each store and form of a filter
REMEMBERED: Final = 60.0  # seconds, the language of a store
TABLE_ID: Final = 8  # where in a row of a search by words it is, and the language
LANGUAGE: Final = 9
DEPTH: Final = 10  # how many times as many as are asked for each ranking of a hybrid search has, before they are fused


class PgVector:
    """`database` is how it is reached; the shared tables are looked at once, by the first call that needs them."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """Nothing is imported or opened before the first call, but what opens."""
        self._provider_id = provider_id
        self._config = config
        self._database = _connect(provider_id, config)
        self._tables = Tables(provider_id, config)
        self._near = lru_cache(STATEMENTS)(StoreTable.near)
        self._by_words = lru_cache(STATEMENTS)(StoreTable.search)
        self._store_table = lru_cache(STATEMENTS)(self._make_table)
        self._languages: TtlCache[StoreTable, tuple[int, str]] = TtlCache(REMEMBERED, most=STATEMENTS)
        self._ready = False

    @property
    def capabilities(self) -> VectorCapabilities:
        return CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._database.warm()

    async def create(self, index: VectorIndex) -> None:
        check_index(index, CAPABILITIES)
        dimension = await self._make(self._store(index))
        if dimension != index.dimension:
            raise Conflict(
                f"Vector store `{index.store_id}` is there already, with {dimension} dimensions, not {index.dimension}. "
                "Use the embedding model that it was made with, or make another store."
            )

    async def drop(self, index: VectorIndex) -> None:
        await self._certainly(lambda: self._tables.drop(self._database, self._store(index)), writes=False)

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, CAPABILITIES)
        store = self._store(index)
        for rows in await asyncio.to_thread(print_chunks, index, chunks, CAPABILITIES, self._database.room):
            for _ in range(TRIES):
                if await self._run(store.put(), {"chunks": rows, "store": escape(index.name)}, writes=True) is not None:
                    break
                await self.create(index)
            else:
                raise ProviderUnavailable(
                    f"The table of vector store `{index.store_id}` is being removed. Try again in a moment."
                )

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        chunks = await self._fetch(self._store(index), keys, with_vectors=with_vectors)
        return [chunks[key] for key in keys if key in chunks]

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        limit = min(limit, MOST_KEYS)
        begins = escape(prefix)
        # The index on keys is looked at from the prefix on.
        values: dict[str, Value] = {"prefix": begins, "after": max(after, begins[:-1]), "limit": limit}
        rows = await self._run(self._store(index).keys(), values) or []
        return KeyPage([unescape(key) for (key,) in rows], rows[-1][0] if len(rows) == limit else "")

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        statement = self._store(index).delete()
        for start in range(0, len(keys), MOST_KEYS):
            await self._run(statement, {"keys": _print_keys(keys[start : start + MOST_KEYS])}, writes=True)

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        check_query(index, query, CAPABILITIES)
        values = self._values(index, query)
        if query.limit < 1 or ("vector" not in values and "words" not in values):
            return []
        condition, values["filter"] = ("", "") if query.filter is None else print_filter(query.filter)
        store = self._store(index)
        rows = await self._rank(store, condition, values, with_vectors=query.with_vectors)
        left = [unescape(row[0]) for row in rows if row[2] is None]  # for which the answer had no room
        rest = await self._fetch(store, left, with_vectors=query.with_vectors) if left else {}
        return read_scored(rows, rest)

    async def _rank(
        self, store: StoreTable, condition: str, values: Mapping[str, Value], *, with_vectors: bool
    ) -> list[Row]:
        """By vector alone, all are looked at in a statement of its own, where the index has too few: it is rare, and costs others' planning."""
        if "words" in values:
            return await self._rank_words(store, condition, values, with_vectors=with_vectors)
        if store.is_indexed:
            settings = not (
                self._database.is_prepared and values["candidates"] == str(self._config.vector_index.ef_search)
            )
            statement = self._near(store, condition, with_vectors=with_vectors, settings=settings)
            rows = await self._run(statement, values)
            if rows is None or len(rows) == values["depth"]:
                return rows or []
        return await self._run(store.nearest(condition, with_vectors=with_vectors), values) or []

    async def _rank_words(
        self, store: StoreTable, condition: str, values: Mapping[str, Value], *, with_vectors: bool
    ) -> list[Row]:
        """In the language that a search before this one found, as long as the rows are of the same table; else it is looked up.

        To look it up each time would cost a tenth of a search, and PostgreSQL could not plan by how frequent the words are.
        """
        by = ("vector", "words") if "vector" in values else ("words",)
        if (remembered := self._languages.peek(store)) is not None:
            table, language = remembered
            statement = self._by_words(store, by, condition, with_vectors=with_vectors, given=True)
            rows = await self._run(statement, {**values, "language": language})
            if rows and rows[0][TABLE_ID] == table:
                return rows
        rows = await self._run(self._by_words(store, by, condition, with_vectors=with_vectors), values) or []
        if rows and not store.bounded:
            self._languages.put(store, (rows[0][TABLE_ID], rows[0][LANGUAGE]))
        return rows

    async def health(self) -> Health:
        return await health_of(self._certainly(lambda: self._database.run("SELECT 1", {}), writes=False))

    async def close(self) -> None:
        await self._database.close()

    def _store(self, index: VectorIndex) -> StoreTable:
        return self._store_table(index.name, index.dimension)

    def _make_table(self, name: str, dimension: int) -> StoreTable:
        return StoreTable(self._config, escape(name), dimension, self._database.room.answer is not None)

    def _values(self, index: VectorIndex, query: VectorQuery) -> dict[str, Value]:
        """What a search has beside its filter; a text without words is left out, unless there is nothing else."""
        words = print_words(query.text) if query.text else ""
        both = query.vector is not None and bool(words)
        depth = min(query.limit * DEPTH, max(query.limit, MOST_CANDIDATES)) if both else query.limit
        values: dict[str, Value] = {"limit": query.limit, "depth": depth, "room": self._database.room.answer}
        if query.vector is not None:
            candidates = max(self._config.vector_index.ef_search, 2 * depth) * (1 if query.filter is None else FILTERED)
            candidates = min(MOST_CANDIDATES, candidates)
            values |= {"vector": print_vector(query.vector), "candidates": str(candidates)}
        return values | ({"words": words, "store": escape(index.name)} if words else {})

    async def _fetch(self, store: StoreTable, keys: Sequence[str], *, with_vectors: bool) -> dict[str, Chunk]:
        """The chunks with these keys that are there; as many at once as an answer has room for."""
        statement = store.fetch(with_vectors=with_vectors)
        waiting, chunks = list(dict.fromkeys(keys)), dict[str, Chunk]()
        while waiting:
            values: dict[str, Value] = {"keys": _print_keys(waiting[:MOST_KEYS]), "room": self._database.room.answer}
            rows = await self._run(statement, values) or []
            chunks |= {scored.chunk.key: scored.chunk for scored in read_scored(rows, {})}
            waiting = [unescape(row[0]) for row in rows if row[2] is None] + waiting[MOST_KEYS:]
        return chunks

    async def _make(self, store: StoreTable) -> int:
        """Once more where the shared tables are gone, which were there."""
        try:
            return await self._certainly(lambda: self._tables.create(self._database, store), writes=False)
        except _Missing:
            self._ready = False
        try:
            return await self._certainly(lambda: self._tables.create(self._database, store), writes=False)
        except _Missing as missing:
            raise refusal_of(self._provider_id, missing.refusal) from missing

    async def _run(self, statement: str, values: Mapping[str, Value], *, writes: bool = False) -> list[Row] | None:
        """The rows; None where the table of the store is not there."""
        try:
            return await self._certainly(lambda: self._database.run(statement, values), writes=writes)
        except _Missing:
            return None

    async def _upgrade(self) -> None:
        """Once for this process."""
        if not self._ready:
            await self._tables.upgrade(self._database)
            self._ready = True

    async def _certainly[Outcome](self, work: Callable[[], Awaitable[Outcome]], *, writes: bool) -> Outcome:
        """Ask again where another was in the way, and once where the connection was lost and nothing written.

        Raises:
            _Missing: a table is not there.
        """
        lost: ConnectionLost | None = None
        collision = SqlRefused("40001", "")
        for pause in COLLISIONS.pauses():
            if pause:
                await asyncio.sleep(pause)
            try:
                await self._upgrade()
                return await work()
            except ConnectionLost as again:
                if lost is not None or (writes and again.done):
                    raise loss_of(self._provider_id, again) from again
                lost = again
                await asyncio.sleep(RESTART)
            except SqlRefused as refusal:
                if refusal.state in MISSING:
                    raise _Missing(refusal) from refusal
                if refusal.state not in COLLIDED and REPLACED not in refusal.text:
                    raise refusal_of(self._provider_id, refusal) from refusal
                collision = refusal
        raise refusal_of(self._provider_id, collision) from collision


class _Missing(Exception):
    """A table is not there."""

    def __init__(self, refusal: SqlRefused) -> None:
        super().__init__(refusal.state)
        self.refusal = refusal


def _print_keys(keys: Sequence[str]) -> str:
    return to_json([escape(key) for key in keys]).decode()


def _connect(provider_id: str, config: Config) -> "Database":
    if config.resource_arn:
        from core.providers.pgvector.data_api import DataApi

        return DataApi(provider_id, config)
    from core.providers.pgvector.direct import Connections

    return Connections(provider_id, config)


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over one schema of a database; it depends on no other API."""
    del deps
    return PgVector(provider_id, config)
