"""The audit trail in the SQLite file of what it is about: the registry's.

Triggers refuse to change or remove an entry, also to who opens the file with another program and does not mean to.
"""

from pathlib import Path
import sqlite3
from typing import TYPE_CHECKING, Final

from core.errors import ProviderUnavailable
from core.frame.types import JsonObject
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_schema import Schema
from core.stores.audit.port import AuditStore, id_at

if TYPE_CHECKING:
    from core.stores.audit.entry import Change

OWNER: Final = "The audit trail's"
APPEND_ONLY: Final = """CREATE TRIGGER IF NOT EXISTS audit_{0} BEFORE {0} ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append only'); END"""
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS audit (
        namespace TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, id)) WITHOUT ROWID""",
    APPEND_ONLY.format("UPDATE"),
    APPEND_ONLY.format("DELETE"),
)
SCHEMA: Final = Schema("audit", (VERSION_1,))
ADD: Final = "INSERT INTO audit VALUES (?, ?, ?)"
PAGE: Final = """SELECT id, body FROM audit
    WHERE namespace = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?"""


def note(connection: sqlite3.Connection, namespace: str, change: "Change") -> None:
    """Add the entry, in the transaction that is open on the connection: that of the change."""
    from core.stores.audit.entry import encode  # for few calls

    connection.execute(ADD, (namespace, *encode(change)))


class SqliteAudit:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    async def page(self, *, since: int, before: str, limit: int) -> list[JsonObject]:
        from core.stores.audit.entry import decode

        rows = await self._connection.execute(PAGE, self._namespace, id_at(since), before, limit)
        return [decode(entry_id, body) for entry_id, body in rows]

    async def close(self) -> None:
        await self._connection.close()


def connect(db_path: str, *, namespace: str | None = None) -> AuditStore:
    """The audit trail in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    connection = SqliteConnection(Path(db_path).expanduser(), SCHEMA, owner=OWNER, unavailable=ProviderUnavailable)
    return SqliteAudit(connection, namespace=namespace or "")
