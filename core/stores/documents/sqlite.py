"""Documents in one SQLite file, shared by the processes of one machine.

A body of any size is in its row, deflated. Each write is one statement, several of them or one with tallies a
transaction. Small bodies and short pages of them are read and written on the event loop, large
ones in a thread. `until` is when a document ends: NULL for one that stays, 0 for one that was deleted, whose row
stays until `forget` to say where a page goes on. `birth` tells it from a later one of the same id.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
import os
from pathlib import Path
import sqlite3
import sys
import time
from typing import Final

from core.errors import StateUnavailable
from core.frame.types import JsonObject
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_file import BUSY_SECONDS
from core.platform.sqlite_inline import InlineConnection
from core.platform.sqlite_schema import Schema
from core.platform.sqlite_shared import SharedTransactions, Statement, Value
from core.stores.documents.codec import (
    LARGE,
    begin,
    check_names,
    conflict,
    deflate,
    encode_owner,
    is_storable,
    not_in_list,
    pack,
    parse,
    renew,
    unpack,
    unpack_small,
    write_down,
)
from core.stores.documents.port import (
    GRACE,
    UNCHANGED,
    Document,
    DocumentPage,
    DocumentStore,
    Order,
    Place,
    StaleDocument,
    Tally,
    TallyExceeded,
    Unchanged,
)
from core.stores.documents.sqlite_pages import document_of, read_page

OWNER: Final = "The documents'"
DEFLATE: Final = 8192  # bytes: below, it takes longer than the statement, and saves a page
TIDY_WRITES: Final = 8  # after as many of one process it tidies, more rows than it has made since
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS documents (
        namespace TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL,
        created INTEGER NOT NULL, revision INTEGER NOT NULL, birth TEXT NOT NULL, until INTEGER, forget INTEGER,
        owner TEXT, body BLOB NOT NULL, PRIMARY KEY (namespace, collection, id))""",
    "CREATE INDEX IF NOT EXISTS documents_by_list ON documents (namespace, collection, parent, created, id)",
    "CREATE INDEX IF NOT EXISTS documents_by_end ON documents (forget) WHERE forget IS NOT NULL",
)
VERSION_2: Final = (
    """CREATE TABLE IF NOT EXISTS tallies (namespace TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        value INTEGER NOT NULL, PRIMARY KEY (namespace, collection, id, name)) WITHOUT ROWID""",
)
SCHEMA: Final = Schema("documents", (VERSION_1, VERSION_2))
THIS: Final = "namespace = ?1 AND collection = ?2 AND id = ?3"
ALIVE: Final = "(until IS NULL OR until > ?4)"
COLUMNS: Final = "id, parent, created, revision, birth, until, owner"
CREATE: Final = """INSERT INTO documents VALUES (?1, ?2, ?3, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT DO UPDATE SET parent = ?5, created = ?6, revision = 1, birth = ?7, until = ?8, forget = ?9, owner = ?10,
    body = ?11 WHERE until <= ?4 RETURNING 1"""
# The length of a blob is known without reading it.
GET: Final = f"SELECT {COLUMNS}, CASE WHEN length(body) < {LARGE} THEN body END FROM documents WHERE {THIS} AND {ALIVE}"  # noqa: S608 - constants, as below
GET_LARGE: Final = f"SELECT {COLUMNS}, body FROM documents WHERE {THIS} AND {ALIVE}"  # noqa: S608
PUT: Final = f"""UPDATE documents SET body = ?9, revision = revision + 1, until = ?7, forget = ?8
    WHERE {THIS} AND {ALIVE} AND birth = ?5 AND revision = ?6 RETURNING 1"""  # noqa: S608
DELETE: Final = f"""UPDATE documents SET body = ?8, owner = NULL, until = 0, forget = ?7
    WHERE {THIS} AND {ALIVE} AND birth = ?5 AND (?6 IS NULL OR revision = ?6) RETURNING 1"""  # noqa: S608
PLACE: Final = f"SELECT created FROM documents WHERE {THIS} AND parent = ?5 AND (forget IS NULL OR forget > ?4)"  # noqa: S608
PAGE: Final = """SELECT {columns}, {content} FROM documents
    WHERE namespace = ?1 AND collection = ?2 AND parent = ?3 AND {alive} AND (created, id) {after} (?5, ?6)
    ORDER BY created {order}, id {order} LIMIT ?7"""
AFTER: Final[dict[Order, str]] = {"asc": ">", "desc": "<"}
PAGES: Final = {
    order: PAGE.format(columns=COLUMNS, content="rowid, length(body)", alive=ALIVE, after=after, order=order)
    for order, after in AFTER.items()
}
SHORT: Final = 64  # documents: a page of so many that are SMALL is read on the event loop
SMALL: Final = "length(body) < 4096 AND substr(body, 1, 1) = x'7B'"  # and not deflated
SHORT_PAGES: Final = {
    order: PAGE.format(
        columns=COLUMNS, content=f"CASE WHEN {SMALL} THEN body END", alive=ALIVE, after=after, order=order
    )
    for order, after in AFTER.items()
}
ENDS: Final[dict[Order, tuple[int, str]]] = {"asc": (-1, ""), "desc": (2**63 - 1, "")}
ADD: Final = """INSERT INTO tallies VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET value = value + ?5 RETURNING value"""
TALLIES: Final = "SELECT name, value FROM tallies WHERE namespace = ? AND collection = ? AND id = ?"
DROP_TALLIES: Final = "DELETE FROM tallies WHERE namespace = ? AND collection = ? AND id = ?"
UNTIDY: Final = "SELECT 1 FROM documents WHERE forget <= ? LIMIT 1"
TIDY: Final = "DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents WHERE forget <= ? LIMIT 20)"


class SqliteDocuments:
    """A namespace of a file, which `small` and `large` are connections to."""

    def __init__(
        self,
        small: InlineConnection,
        large: SqliteConnection,
        *,
        namespace: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._small = small
        self._large = large
        self._shared = SharedTransactions(small)
        self._namespace = namespace
        self._clock = clock
        self._writes = 0

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        creation, made = await self._creation(document)
        if not await self._write([creation], tally):
            raise conflict(document)
        return made

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        creations = [await self._creation(document) for document in documents]
        removals = [self._removal(document, None) for document in replacing]
        done = await self._write([*removals, *(creation for creation, _ in creations)], tally)
        if done < len(replacing):
            raise StaleDocument(replacing[done], None)
        if done < len(replacing) + len(documents):
            raise conflict(documents[done - len(replacing)])
        return [made for _, made in creations]

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        creations = [await self._creation(document) for document in documents]
        statements = [creation for creation, _ in creations]
        if any(is_large(values) for _, values in statements):
            done = await self._write(statements)
        else:
            done = await self._shared.write(statements)
            self._writes += 1
            if self._writes % TIDY_WRITES == 0:
                await self._tidy()
        if done < len(documents):
            raise conflict(documents[done])
        return [made for _, made in creations]

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - what the record calls it
        if not is_storable(id):
            return None
        key = self._namespace, collection, id, int(self._clock())
        rows = await self._small.execute(GET, *key)
        if not rows:
            return None
        body = rows[0][-1]
        if body is not None:
            return document_of(collection, rows[0], unpack_small(body))
        rows = await self._large.execute(GET_LARGE, *key)
        return document_of(collection, rows[0], await unpack(rows[0][-1])) if rows else None

    async def put(
        self,
        document: Document,
        body: JsonObject,
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        until = document.expires if expires is UNCHANGED else expires
        content = write_down(body)
        if len(content) >= DEFLATE:
            content = await deflate(content)
        statement = self._statement(PUT, document, document.tag, document.revision, until, _forget(until), content)
        if not await self._write([statement], tally):
            raise StaleDocument(document, await self.get(document.collection, document.id))
        return renew(document, body, until, document.tag)

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        if await self._write([self._removal(document, expect)], tally):
            return True
        current = await self.get(document.collection, document.id)
        if current is None or current.tag != document.tag or expect is None:
            return False
        raise StaleDocument(document, current)

    async def page(
        self,
        collection: str,
        parent: str = "",
        *,
        order: Order = "asc",
        after: str | Place | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> DocumentPage:
        start = ENDS[order] if after is None else await self._place(collection, parent, after)
        values = self._namespace, collection, parent, self._now(), *start, limit + 1
        most = sys.maxsize if most_bytes is None else most_bytes
        if limit <= SHORT:
            rows = await self._small.execute(SHORT_PAGES[order], *values)
            contents = [row[-1] for row in rows[:limit] if row[-1] is not None]
            size = sum(map(len, contents))
            if len(contents) == min(len(rows), limit) and size <= most:
                documents = [document_of(collection, row, parse(row[-1])) for row in rows[:limit]]
                return DocumentPage(documents, has_more=len(rows) > limit, size=size)
        return await self._large.run(partial(read_page, collection, PAGES[order], values, limit, most))

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        return dict(await self._small.execute(TALLIES, self._namespace, collection, id))

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        await self._small.execute(DROP_TALLIES, self._namespace, collection, id)

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        self._small.close()
        await self._large.close()

    async def _place(self, collection: str, parent: str, after: str | Place) -> Place:
        if not isinstance(after, str):
            return after
        key = self._namespace, collection, after, self._now(), parent
        places = await self._small.execute(PLACE, *key) if is_storable(after) else []
        if not places:
            raise not_in_list(after)
        return places[0][0], after

    async def _creation(self, document: Document) -> tuple[Statement, Document]:
        """The statement that makes it, and the document that it makes."""
        check_names(document)
        body, birth, until = await pack(document.body, least=DEFLATE), os.urandom(16).hex(), document.expires
        values = document.parent, document.created, birth, until, _forget(until), encode_owner(document)
        return self._statement(CREATE, document, *values, body), begin(document, birth)

    def _removal(self, document: Document, expect: int | None) -> Statement:
        return self._statement(DELETE, document, document.tag, expect, self._now() + GRACE, b"")

    def _statement(self, text: str, document: Document, *values: Value) -> Statement:
        return text, (self._namespace, document.collection, document.id, self._now(), *values)

    async def _write(self, statements: Sequence[Statement], tally: Sequence[Tally] = ()) -> int:
        """Of how many, from the first on, the condition held; of less than all, none is carried out."""
        if tally or len(statements) > 1:
            done = await self._large.run(partial(self._write_together, statements, tally))
        else:
            text, values = statements[0]
            done = len(await (self._large if is_large(values) else self._small).execute(text, *values))
        self._writes += 1
        if self._writes % TIDY_WRITES == 0:
            await self._tidy()
        return done

    def _write_together(
        self, statements: Sequence[Statement], tally: Sequence[Tally], connection: sqlite3.Connection
    ) -> int:
        with connection:  # which commits, or takes back
            connection.execute("BEGIN IMMEDIATE")
            for done, (text, values) in enumerate(statements):
                if not connection.execute(text, values).fetchall():
                    connection.execute("ROLLBACK")
                    return done
            for one in tally:
                self._add(connection, one)
        return len(statements)

    def _add(self, connection: sqlite3.Connection, tally: Tally) -> None:
        for name, change in tally.changes.items():
            key = self._namespace, tally.collection, tally.id, name
            value: int = connection.execute(ADD, (*key, change)).fetchall()[0][0]
            if change > 0 and value > tally.most.get(name, value):
                raise TallyExceeded(tally, name, value - change)

    async def _tidy(self) -> None:
        with suppress(StateUnavailable):  # which is none of the call's that it is done in
            if await self._small.execute(UNTIDY, self._now()):
                await self._large.execute(TIDY, self._now())

    def _now(self) -> int:
        return int(self._clock())


def is_large(values: Sequence[Value]) -> bool:
    """Whether the body, which is the last, would hold up the event loop."""
    body = values[-1]
    return isinstance(body, bytes) and len(body) >= LARGE


def _forget(until: int | None) -> int | None:
    return None if until is None else until + GRACE


def connect(
    db_path: str,
    *,
    namespace: str | None = None,
    blobs: object = None,
    patience: float = BUSY_SECONDS,
    clock: Callable[[], float] = time.time,
) -> DocumentStore:
    """The documents in the file `db_path` (`~` is the home directory), made at its first use with mode 0600; it needs no blobs."""
    del blobs
    path = Path(db_path).expanduser()
    small = InlineConnection(path, SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=patience)
    large = SqliteConnection(path, SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=patience)
    return SqliteDocuments(small, large, namespace=namespace or "", clock=clock)
