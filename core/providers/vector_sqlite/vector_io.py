"""Vector stores in one SQLite file: vectors by simsimd over a buffer in memory, words by FTS5, exact, for one machine.

Processes share the file. Each write counts its index on, so that the next search of any process takes what was added and
removed since its last one, and never reads the rest again.
"""

from array import array
import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
import sqlite3
from typing import Any, Final

from pydantic import ConfigDict
from pydantic_core import from_json

from core.apis.vector_checks import check_chunk, check_index, check_length, check_query, print_attributes
from core.apis.vector_filters import Filter
from core.apis.vector_io import (
    Chunk,
    KeyPage,
    ScoredChunk,
    Vector,
    VectorCapabilities,
    VectorIndex,
    VectorIOProvider,
    VectorQuery,
)
from core.config.problems import ConfigInvalid, Problem
from core.config.records import LocalConfig, UserPath
from core.errors import ApiError, Conflict, InvalidRequest, ProviderUnavailable
from core.frame.types import Health, JsonObject
from core.platform.environment import environ, expand_home
from core.platform.sqlite_connection import SqliteConnection
from core.providers.vector_sqlite.buffer import Vectors, to_unit
from core.providers.vector_sqlite.tables import (
    SCHEMA,
    Values,
    create_words,
    to_match,
    to_sql,
    to_typed,
    to_words,
    words_table,
)

CAPABILITIES: Final = VectorCapabilities(
    keyword=True, hybrid=True, most_results=10_000, filtered_bytes=16_384, listing=True
)
MOST_BUFFERED: Final = 512 * 2**20
"""Bytes of vectors in memory; the index that was searched last may have more."""
RECIPROCAL: Final = 60
DEPTH: Final = 10  # how many times as many as asked for each ranking of a hybrid search has, before they are fused
MOST_REMOVALS: Final = 10_000
FIND: Final = "SELECT id, dimension, change, epoch FROM vector_indexes WHERE name = ?"
MAKE: Final = "INSERT INTO vector_indexes (name, dimension, change, epoch) VALUES (?, ?, 0, 0)"
COUNT_ON: Final = "UPDATE vector_indexes SET change = change + 1 WHERE id = ? RETURNING change"
ADD: Final = """INSERT INTO vector_chunks (index_id, key, norm, vector, attributes, metadata, source, filename, text)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
ADD_ATTRIBUTE: Final = "INSERT INTO vector_attributes VALUES (?, ?, ?, ?, ?)"
COLUMNS: Final = "id, key, norm, iif(?, vector, x''), attributes, metadata, source, filename, text"
NO_FTS5: Final = "This Python's SQLite has no FTS5, which searches words: use a Python of uv (`uv python install 3.13`) or of python.org."

type Row = tuple[Any, ...]
type Ranking = list[tuple[int, float]]


class Config(LocalConfig):
    """`db_path` is the file; without it, `vectors.db` in the folder of the SQLite file that the reference's `kvstore` or `persistence` names, or else beside the state."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    db_path: UserPath | None = None
    kvstore: JsonObject | None = None
    persistence: JsonObject | None = None

    @property
    def file(self) -> Path:
        """Where the vectors are."""
        if self.db_path is not None:
            return Path(self.db_path)
        for place in (self.kvstore or {}, self.persistence or {}):
            if isinstance(path := place.get("db_path"), str):
                return Path(expand_home(path, environ())).parent / "vectors.db"
        return Path(self.folder or expand_home("~/.llambda", environ())) / "vectors.db"


class SqliteVectors:
    """One connection that writes and one that reads, so that a search does not wait for a batch of chunks."""

    def __init__(self, path: Path) -> None:
        """The file is opened, and made, at the first call."""
        self._writing, self._reading = (
            SqliteConnection(path, SCHEMA, owner="The vector stores'", unavailable=ProviderUnavailable)
            for _ in range(2)
        )
        self._buffers: OrderedDict[int, Vectors] = OrderedDict()  # by when they were searched; the reader's own

    @property
    def capabilities(self) -> VectorCapabilities:
        return CAPABILITIES

    async def create(self, index: VectorIndex) -> None:
        check_index(index, CAPABILITIES)
        await self._write(lambda connection: _made(connection, index))

    async def drop(self, index: VectorIndex) -> None:
        await self._write(lambda connection: _drop(connection, index.name))

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        check_index(index, CAPABILITIES)
        rows = await asyncio.to_thread(_to_rows, index, chunks)

        def putting(connection: sqlite3.Connection) -> None:
            index_id = _made(connection, index)
            _remove(connection, index_id, [row[0] for row, _ in rows])
            for row, attributes in rows:
                chunk = connection.execute(ADD, (index_id, *row)).lastrowid
                words = f"INSERT INTO {words_table(index_id)} (rowid, text) VALUES (?, ?)"  # noqa: S608 - a number
                connection.execute(words, (chunk, to_words(row[-1])))
                values = [(index_id, *attribute, chunk) for attribute in attributes]
                connection.executemany(ADD_ATTRIBUTE, values)

        await self._write(putting)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        statement = f"SELECT {COLUMNS} FROM vector_chunks WHERE index_id = ? AND key = ?"  # noqa: S608

        def fetching(connection: sqlite3.Connection) -> list[Chunk]:
            if (place := connection.execute(FIND, (index.name,)).fetchone()) is None:
                return []
            rows = (connection.execute(statement, (with_vectors, place[0], key)).fetchone() for key in keys)
            return [_to_chunk(row) for row in rows if row is not None]

        return await self._read(fetching)

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        # No key is above the second bound: they are ASCII.
        statement = (
            "SELECT key FROM vector_chunks WHERE index_id = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
        )

        def listing(connection: sqlite3.Connection) -> KeyPage:
            if (place := connection.execute(FIND, (index.name,)).fetchone()) is None:
                return KeyPage(())
            rows = connection.execute(statement, (place[0], after, prefix, f"{prefix}\x80", limit))
            keys = [key for (key,) in rows]
            return KeyPage(keys, keys[-1] if len(keys) == limit else "")

        return await self._read(listing)

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        def deleting(connection: sqlite3.Connection) -> None:
            if (place := connection.execute(FIND, (index.name,)).fetchone()) is not None:
                _remove(connection, place[0], keys)

        await self._write(deleting)

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        check_query(index, query, CAPABILITIES)
        unit = None if query.vector is None else _to_unit(query.vector)[0]
        return await self._read(lambda connection: self._search(connection, index, query, unit))

    async def health(self) -> Health:
        try:
            await self._read(lambda connection: connection.execute(FIND, ("",)).fetchone())
        except ApiError as failure:
            return {"status": "Error", "message": failure.message}
        return {"status": "OK"}

    async def close(self) -> None:
        """Close the file; a later call opens it again."""
        await self._writing.close()
        await self._reading.close()
        self._buffers = OrderedDict()

    async def _write[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        return await self._writing.run(lambda connection: _transact(connection, "BEGIN IMMEDIATE", work))

    async def _read[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        return await self._reading.run(lambda connection: _transact(connection, "BEGIN", work))

    def _search(
        self, connection: sqlite3.Connection, index: VectorIndex, query: VectorQuery, unit: bytes | None
    ) -> list[ScoredChunk]:
        if (place := connection.execute(FIND, (index.name,)).fetchone()) is None or query.limit < 1:
            return []
        index_id = place[0]
        if unit is not None:  # the index itself may be of another dimension than it is said to be
            check_length(replace(index, dimension=place[1]), query.vector or ())
        both = unit is not None and bool(query.text)
        limit = query.limit * DEPTH if both else query.limit
        rankings: list[Ranking] = []
        if unit is not None:
            ranking = self._refresh(connection, place).nearest(unit, limit, _among(connection, index_id, query.filter))
            rankings.append([(chunk, min(1.0, max(0.0, score))) for chunk, score in ranking])
        if query.text or unit is None:
            rankings.append(_rank_words(connection, index_id, query, limit))
        ranking = _fuse(rankings) if both else rankings[0]
        return list(_present(connection, ranking[: query.limit], query))

    def _refresh(self, connection: sqlite3.Connection, place: Row) -> Vectors:
        """The buffer of an index, as the transaction sees it."""
        index_id, dimension, change, epoch = place
        # It is there again only when it is whole: what fails halfway is read anew.
        buffer = self._buffers.pop(index_id, None)
        if buffer is None or buffer.epoch != epoch:
            buffer = Vectors(dimension, epoch)
            self._forget_dropped(connection)
        if buffer.change != change:
            removals = "SELECT chunk FROM vector_removals WHERE index_id = ? AND change > ?"
            buffer.remove(chunk for (chunk,) in connection.execute(removals, (index_id, buffer.change)))
            added = "SELECT id, vector FROM vector_chunks WHERE index_id = ? AND id > ? ORDER BY id"
            buffer.add(connection.execute(added, (index_id, buffer.newest)))
            buffer.change = change
        self._buffers[index_id] = buffer
        while len(self._buffers) > 1 and sum(other.size for other in self._buffers.values()) > MOST_BUFFERED:
            self._buffers.popitem(last=False)
        return buffer

    def _forget_dropped(self, connection: sqlite3.Connection) -> None:
        indexes = {index_id for (index_id,) in connection.execute("SELECT id FROM vector_indexes")}
        for index_id in self._buffers.keys() - indexes:
            del self._buffers[index_id]


def _transact[Outcome](
    connection: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], Outcome]
) -> Outcome:
    connection.execute(begin)
    with connection:  # which commits, or rolls back whatever is raised
        return work(connection)


def _made(connection: sqlite3.Connection, index: VectorIndex) -> int:
    """The id of the index, which is made where it is missing."""
    place = connection.execute(FIND, (index.name,)).fetchone()
    if place is None:
        if connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is None:
            raise ProviderUnavailable(NO_FTS5)
        index_id = connection.execute(MAKE, (index.name, index.dimension)).lastrowid or 0
        connection.execute(create_words(index_id))
        return index_id
    if place[1] != index.dimension:
        raise Conflict(
            f"The vector store has vectors of {place[1]} dimensions, not {index.dimension}. "
            "Use the embedding model that it was made with, or make another store."
        )
    return int(place[0])


def _drop(connection: sqlite3.Connection, name: str) -> None:
    if (place := connection.execute(FIND, (name,)).fetchone()) is None:
        return
    connection.execute("DELETE FROM vector_indexes WHERE id = ?", place[:1])
    for table in ("vector_chunks", "vector_attributes", "vector_removals"):
        connection.execute(f"DELETE FROM {table} WHERE index_id = ?", place[:1])  # noqa: S608 - a name above
    connection.execute(f"DROP TABLE {words_table(place[0])}")


def _remove(connection: sqlite3.Connection, index_id: int, keys: Sequence[str]) -> None:
    """Count the index on, and take the chunks with these keys out of it; others learn of it from `vector_removals`."""
    [(change,)] = connection.execute(COUNT_ON, (index_id,)).fetchall()
    words = f"INSERT INTO {words_table(index_id)} ({words_table(index_id)}, rowid, text) VALUES ('delete', ?, ?)"  # noqa: S608
    for key in keys:
        statement = "DELETE FROM vector_chunks WHERE index_id = ? AND key = ? RETURNING id, text"
        for chunk, text in connection.execute(statement, (index_id, key)).fetchall():
            connection.execute(words, (chunk, to_words(text)))
            connection.execute("DELETE FROM vector_attributes WHERE chunk = ?", (chunk,))
            connection.execute("INSERT INTO vector_removals VALUES (?, ?, ?)", (index_id, change, chunk))
    count = "SELECT count(*) FROM (SELECT 1 FROM vector_removals WHERE index_id = ? LIMIT ?)"
    if connection.execute(count, (index_id, MOST_REMOVALS + 1)).fetchone()[0] > MOST_REMOVALS:
        connection.execute("DELETE FROM vector_removals WHERE index_id = ?", (index_id,))
        connection.execute("UPDATE vector_indexes SET epoch = epoch + 1 WHERE id = ?", (index_id,))


def _among(connection: sqlite3.Connection, index_id: int, tree: Filter | None) -> list[int] | None:
    """The ids of the chunks for which a filter holds; None without one."""
    if tree is None:
        return None
    values: Values = []
    statement = to_sql(tree, index_id, values)
    return [chunk for (chunk,) in connection.execute(statement, values)]


def _rank_words(connection: sqlite3.Connection, index_id: int, query: VectorQuery, limit: int) -> Ranking:
    if not (match := to_match(query.text or "")):
        return []
    values: Values = [match]
    # Without the `+`, FTS5 would be asked for the words once for each chunk for which the filter holds.
    condition = "" if query.filter is None else f" AND +rowid IN ({to_sql(query.filter, index_id, values)})"
    statement = f"""SELECT rowid, -rank FROM {words_table(index_id)} WHERE text MATCH ?{condition}
        ORDER BY rank, rowid LIMIT ?"""  # noqa: S608
    rows = connection.execute(statement, [*values, limit]).fetchall()
    return [(chunk, max(0.0, score) / (1 + max(0.0, score))) for chunk, score in rows]


def _fuse(rankings: list[Ranking]) -> Ranking:
    """By reciprocal ranks, of what is possible at most."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (chunk, _) in enumerate(ranking, 1):
            scores[chunk] = scores.get(chunk, 0.0) + (RECIPROCAL + 1) / (RECIPROCAL + rank) / len(rankings)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def _present(connection: sqlite3.Connection, ranking: Ranking, query: VectorQuery) -> Iterator[ScoredChunk]:
    statement = f"SELECT {COLUMNS} FROM vector_chunks WHERE id = ?"  # noqa: S608
    for chunk, score in ranking:
        row = connection.execute(statement, (query.with_vectors, chunk)).fetchone()
        yield ScoredChunk(_to_chunk(row), score)


def _to_rows(index: VectorIndex, chunks: Sequence[Chunk]) -> list[tuple[Row, list[Row]]]:
    """Of each chunk its columns and its attributes; of equal keys the last chunk counts."""
    return [_to_row(index, chunk) for chunk in {chunk.key: chunk for chunk in chunks}.values()]


def _to_row(index: VectorIndex, chunk: Chunk) -> tuple[Row, list[Row]]:
    check_chunk(index, chunk)
    document = print_attributes(chunk.key, chunk.attributes, CAPABILITIES).decode()
    vector, norm = _to_unit(chunk.vector)
    columns = (chunk.key, norm, vector, document, chunk.metadata, chunk.source, chunk.filename, chunk.text)
    return columns, [(key, *to_typed(value)) for key, value in chunk.attributes.items()]


def _to_chunk(row: Row) -> Chunk:
    _, key, norm, vector, attributes, metadata, source, filename, text = row
    numbers: Vector = tuple(number * norm for number in array("f", vector))
    return Chunk(key, text, numbers, from_json(attributes), metadata, source, filename)


def _to_unit(vector: Vector) -> tuple[bytes, float]:
    try:
        return to_unit(vector)
    except ValueError as infinite:
        raise InvalidRequest("A vector has a number that is not finite.", param="vector") from infinite


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over one file; raises ConfigInvalid on Lambda, where a file is gone with its environment."""
    del deps
    if environ().get("AWS_LAMBDA_FUNCTION_NAME"):
        fault = "keeps vectors in a file, which Lambda does not: use `remote::s3-vectors`"
        raise ConfigInvalid(
            "run config", [Problem(f"providers.vector_io.{provider_id}", f"provider `{provider_id}` {fault}")]
        )
    return SqliteVectors(config.file)
