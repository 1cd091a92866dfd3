"""Registered configurations in one SQLite file, that of the registry, shared by the processes of one machine.

Each write is one transaction, which takes the file before it reads the head: no other writes in between.
"""

from pathlib import Path
import sqlite3
from typing import TYPE_CHECKING, Final

from core.apis.configurations import Configuration
from core.errors import ProviderUnavailable
from core.platform.sqlite_connection import SqliteConnection, writing
from core.platform.sqlite_file import BUSY_SECONDS
from core.platform.sqlite_schema import Schema
from core.stores.audit import sqlite as audit
from core.stores.configurations.codec import MOST_VERSION, decode, encode, is_possible, not_found
from core.stores.configurations.port import ConfigurationStore, Head

if TYPE_CHECKING:
    from core.stores.audit.entry import Change

OWNER: Final = "The registry's"
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS configurations (
        namespace TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, version))""",
    """CREATE TABLE IF NOT EXISTS configuration_heads (
        namespace TEXT NOT NULL PRIMARY KEY, latest INTEGER NOT NULL, active INTEGER NOT NULL) WITHOUT ROWID""",
)
SCHEMA: Final = Schema("configurations", (VERSION_1,), beside=(audit.SCHEMA,))
HEAD: Final = "SELECT latest, active FROM configuration_heads WHERE namespace = ?"
MOVE: Final = "INSERT OR REPLACE INTO configuration_heads VALUES (?, ?, ?)"
GET: Final = "SELECT body FROM configurations WHERE namespace = ? AND version = ?"
PAGE: Final = "SELECT body FROM configurations WHERE namespace = ? AND version < ? ORDER BY version DESC LIMIT ?"
ADD: Final = "INSERT INTO configurations VALUES (?, ?, ?)"
REWRITE: Final = "UPDATE configurations SET body = ? WHERE namespace = ? AND version = ? RETURNING 1"
REMOVE: Final = "DELETE FROM configurations WHERE namespace = ? AND version = ?"


class SqliteConfigurations:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    async def head(self) -> Head:
        return await self._connection.run(self._head)

    async def get(self, version: int) -> Configuration | None:
        rows = await self._connection.execute(GET, self._namespace, version) if is_possible(version) else []
        return decode(rows[0][0]) if rows else None

    async def page(self, *, before: int | None, limit: int) -> list[Configuration]:
        below = MOST_VERSION if before is None else max(0, min(before, MOST_VERSION))
        rows = await self._connection.execute(PAGE, self._namespace, below, limit)
        return [decode(body) for (body,) in rows]

    async def append(self, configuration: Configuration, *, after: Head, change: "Change") -> bool:
        version, body = configuration.version, encode(configuration)

        def adding(connection: sqlite3.Connection) -> bool:
            with writing(connection):
                if self._head(connection) != after or version != after.latest + 1:
                    return False
                connection.execute(ADD, (self._namespace, version, body))
                connection.execute(MOVE, (self._namespace, version, version))
                audit.note(connection, self._namespace, change)
                return True

        return await self._connection.run(adding)

    async def rewrite(self, configuration: Configuration) -> bool:
        values = encode(configuration), self._namespace, configuration.version
        return bool(await self._connection.execute(REWRITE, *values))

    async def remove(self, version: int, *, after: Head, change: "Change") -> bool:

        def removing(connection: sqlite3.Connection) -> bool:
            with writing(connection):
                if self._head(connection) != after:
                    return False
                if not is_possible(version) or not connection.execute(REMOVE, (self._namespace, version)).rowcount:
                    raise not_found(version)
                if after.active == version:
                    connection.execute(MOVE, (self._namespace, after.latest, 0))
                audit.note(connection, self._namespace, change)
                return True

        return await self._connection.run(removing)

    async def close(self) -> None:
        await self._connection.close()

    def _head(self, connection: sqlite3.Connection) -> Head:
        row = connection.execute(HEAD, (self._namespace,)).fetchone()
        return Head() if row is None else Head(*row)


def connect(db_path: str, *, namespace: str | None = None, patience: float = BUSY_SECONDS) -> ConfigurationStore:
    """The configurations in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    path = Path(db_path).expanduser()
    connection = SqliteConnection(path, SCHEMA, owner=OWNER, unavailable=ProviderUnavailable, patience=patience)
    return SqliteConfigurations(connection, namespace=namespace or "")
