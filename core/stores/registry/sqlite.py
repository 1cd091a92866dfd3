"""The registry in one SQLite file, shared by the processes of one machine.

SQLite orders TEXT by its UTF-8 bytes (BINARY, the default collation) and lets one process write
while others read (https://www.sqlite.org/wal.html). Each write is one transaction, with its entry in the audit trail.
"""

from functools import partial
from pathlib import Path
import sqlite3
from typing import Any, Final

from core.errors import ProviderUnavailable
from core.frame.resources import Resource
from core.platform.sqlite_connection import SqliteConnection, writing
from core.platform.sqlite_schema import Schema
from core.stores.audit import sqlite as audit
from core.stores.registry.codec import (
    check_cursor,
    decode,
    encode,
    is_noted,
    is_other_spelling,
    is_place,
    is_storable,
    settle,
)
from core.stores.registry.port import Author, Check, RegistryStore

OWNER: Final = "The registry's"
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS resources (
        namespace TEXT NOT NULL, kind TEXT NOT NULL, identifier TEXT NOT NULL,
        provider_id TEXT NOT NULL, provider_resource_id TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (namespace, kind, identifier)) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS resources_by_provider_name
        ON resources (namespace, kind, provider_id, provider_resource_id, identifier)""",
)
SCHEMA: Final = Schema("registry", (VERSION_1,), beside=(audit.SCHEMA,))
GET: Final = "SELECT body FROM resources WHERE namespace = ? AND kind = ? AND identifier = ?"
PAGE_AT: Final = """SELECT body FROM resources
    WHERE namespace = ? AND kind = ? AND provider_id = ? AND provider_resource_id = ? AND identifier > ?
    ORDER BY identifier LIMIT ?"""
PAGE: Final = """SELECT body FROM resources
    WHERE namespace = ? AND kind = ? AND identifier > ? ORDER BY identifier LIMIT ?"""
CREATE: Final = "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?)"
REPLACE: Final = """UPDATE resources SET body = ?6 WHERE namespace = ?1 AND kind = ?2 AND identifier = ?3
    AND provider_id = ?4 AND provider_resource_id = ?5 AND body = ?7 RETURNING 1"""
DELETE: Final = "DELETE FROM resources WHERE namespace = ? AND kind = ? AND identifier = ? AND body = ? RETURNING 1"


class SqliteRegistry:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    async def get(self, kind: str, identifier: str) -> Resource | None:
        if not is_storable(identifier):
            return None
        return await self._first(GET, kind, identifier)

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        check_cursor(after)
        return [decode(body) for (body,) in await self._execute(PAGE, kind, after, limit)]

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        if not is_place(provider_id, provider_resource_id, after):
            return []
        rows = await self._execute(PAGE_AT, kind, provider_id, provider_resource_id, after, limit)
        return [decode(body) for (body,) in rows]

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        row = _row(resource)

        def creating(connection: sqlite3.Connection) -> str:
            with writing(connection):
                there = connection.execute(GET, (self._namespace, resource.kind, resource.identifier)).fetchone()
                if there is None:
                    connection.execute(CREATE, (self._namespace, *row))
                    self._note(connection, None, resource, by)
                return row[-1] if there is None else str(there[0])

        return settle(resource, decode(await self._connection.run(creating)))

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        row, expected = _row(resource), encode(expect)

        def replacing(connection: sqlite3.Connection, body: str) -> bool:
            with writing(connection):
                if not connection.execute(REPLACE, (self._namespace, *row, body)).fetchall():
                    return False
                self._note(connection, expect, resource, by)
                return True

        while not await self._connection.run(partial(replacing, body=expected)):
            rows = await self._execute(GET, resource.kind, resource.identifier)
            if not rows or not is_other_spelling(rows[0][0], expected, of=expect):
                return False
            ((expected,),) = rows
        return True

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        while is_storable(identifier) and (rows := await self._execute(GET, kind, identifier)):
            ((body,),) = rows
            if check is not None:
                check(decode(body))
            if await self._connection.run(partial(self._remove, decode(body), body, by)):
                return True
        return False

    def _remove(self, resource: Resource, body: str, by: Author, connection: sqlite3.Connection) -> bool:
        with writing(connection):
            values = self._namespace, resource.kind, resource.identifier, body
            if not connection.execute(DELETE, values).fetchall():
                return False
            self._note(connection, resource, None, by)
            return True

    def _note(
        self, connection: sqlite3.Connection, before: Resource | None, after: Resource | None, by: Author
    ) -> None:
        if is_noted(before, after):
            from core.stores.audit.entry import change_of

            audit.note(connection, self._namespace, change_of(before, after, by))

    async def close(self) -> None:
        await self._connection.close()

    async def _first(self, statement: str, *values: str) -> Resource | None:
        rows = await self._execute(statement, *values)
        return decode(rows[0][0]) if rows else None

    async def _execute(self, statement: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        return await self._connection.execute(statement, self._namespace, *values)


def _row(resource: Resource) -> tuple[str, ...]:
    body = encode(resource)
    return resource.kind, resource.identifier, resource.provider_id, resource.provider_resource_id, body


def connect(db_path: str, *, namespace: str | None = None) -> RegistryStore:
    """The registry in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    connection = SqliteConnection(Path(db_path).expanduser(), SCHEMA, owner=OWNER, unavailable=ProviderUnavailable)
    return SqliteRegistry(connection, namespace=namespace or "")
