"""The registry in one SQLite file, shared by the processes of one machine.

SQLite orders TEXT by its UTF-8 bytes (BINARY, the default collation) and lets one process write
while others read (https://www.sqlite.org/wal.html). Each call is one statement, so it is atomic.
"""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
import logging
import os
from pathlib import Path
import sqlite3
import threading
import time
from typing import Any, Final

from core.apis.resources import Resource
from core.errors import ProviderUnavailable
from core.stores.codec import check_cursor, decode, encode, settle, storable
from core.stores.ports import RegistryStore

BUSY_SECONDS: Final = 5.0  # how long a call waits for another process's write

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS resources (
        namespace TEXT NOT NULL, kind TEXT NOT NULL, identifier TEXT NOT NULL,
        provider_id TEXT NOT NULL, provider_resource_id TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (namespace, kind, identifier)) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS resources_by_provider_name
        ON resources (namespace, kind, provider_id, provider_resource_id, identifier)""",
)
GET: Final = "SELECT body FROM resources WHERE namespace = ? AND kind = ? AND identifier = ?"
FIND: Final = """SELECT body FROM resources
    WHERE namespace = ? AND kind = ? AND provider_id = ? AND provider_resource_id = ? ORDER BY identifier LIMIT 1"""
PAGE: Final = """SELECT body FROM resources
    WHERE namespace = ? AND kind = ? AND identifier > ? ORDER BY identifier LIMIT ?"""
# The update changes nothing; it makes the row that is there come back in the same step.
CREATE: Final = """INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET body = body RETURNING body"""
DELETE: Final = "DELETE FROM resources WHERE namespace = ? AND kind = ? AND identifier = ? RETURNING 1"

log = logging.getLogger(__name__)


class SqliteRegistry:
    """One connection, opened at the first call; statements run in threads, one at a time."""

    def __init__(self, path: Path, *, namespace: str) -> None:
        """Keep where it is; nothing is opened or made yet."""
        self._path = path
        self._namespace = namespace
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def get(self, kind: str, identifier: str) -> Resource | None:
        """The resource with this identifier, or None."""
        if not storable(identifier):
            return None
        return await self._first(GET, kind, identifier)

    async def find(self, kind: str, provider_id: str, provider_resource_id: str) -> Resource | None:
        """The first resource, in identifier order, that stands for this name within the provider, or None."""
        if not (storable(provider_id) and storable(provider_resource_id)):
            return None
        return await self._first(FIND, kind, provider_id, provider_resource_id)

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        """At most `limit` resources after the identifier `after`, in UTF-8 byte order of identifiers."""
        check_cursor(after)
        return [decode(body) for (body,) in await self._execute(PAGE, kind, after, limit)]

    async def create(self, resource: Resource) -> Resource:
        """Store it, or return the same content that is there; raises Conflict."""
        body = encode(resource)
        names = (resource.kind, resource.identifier, resource.provider_id, resource.provider_resource_id)
        ((kept,),) = await self._execute(CREATE, *names, body)
        return settle(resource, decode(kept))

    async def delete(self, kind: str, identifier: str) -> bool:
        """Remove it; False if it was not there."""
        return storable(identifier) and bool(await self._execute(DELETE, kind, identifier))

    async def close(self) -> None:
        """Close the connection; a later call opens another."""
        await asyncio.to_thread(self._close)

    async def _first(self, statement: str, *values: str) -> Resource | None:
        rows = await self._execute(statement, *values)
        return decode(rows[0][0]) if rows else None

    async def _execute(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._run, statement, (self._namespace, *values))

    def _run(self, statement: str, values: tuple[str | int, ...]) -> list[tuple[Any, ...]]:
        with self._lock, self._translated():
            if self._connection is None:
                self._connection = _open(self._path)
            with closing(self._connection.execute(statement, values)) as cursor:
                return cursor.fetchall()

    def _close(self) -> None:
        with self._lock, self._translated():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as failure:
            raise self._unusable(failure, str(failure)) from failure
        except OSError as failure:
            raise self._unusable(failure, f"its folder cannot be written ({failure.strerror})") from failure

    def _unusable(self, failure: Exception, reason: str) -> ProviderUnavailable:
        log.warning("the registry's SQLite file %s cannot be used: %s", self._path, failure)
        return ProviderUnavailable(f"The registry's SQLite file `{self._path.name}` cannot be used: {reason}.")


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # SQLite gives its -wal and -shm files the mode of this one
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on WAL; SQLite does not itself wait where several processes do so at once."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def connect(db_path: str, *, namespace: str | None = None) -> RegistryStore:
    """The registry in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    return SqliteRegistry(Path(db_path).expanduser(), namespace=namespace or "")
