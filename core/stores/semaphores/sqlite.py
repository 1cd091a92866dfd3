"""Semaphores in one SQLite file, shared by the processes of one machine: a row for each lease."""

from pathlib import Path
from typing import Final

from core.errors import QuotaUnavailable
from core.platform.sqlite_inline import InlineConnection
from core.platform.sqlite_schema import Schema
from core.stores.semaphores.port import SemaphoreStore

PATIENCE: Final = 2.0  # seconds
OWNER: Final = "The quota's"

VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS semaphores (
        namespace TEXT NOT NULL, key TEXT NOT NULL, holder TEXT NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (namespace, key, holder)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS semaphores_by_end ON semaphores (until)",
)
SCHEMA: Final = Schema("semaphores", (VERSION_1,))
ACQUIRE: Final = """INSERT INTO semaphores SELECT ?1, ?2, ?3, ?4
    WHERE (SELECT COUNT(*) FROM semaphores WHERE namespace = ?1 AND key = ?2 AND holder <> ?3 AND until > ?5) < ?6
    ON CONFLICT DO UPDATE SET until = until RETURNING 1"""
RELEASE: Final = "DELETE FROM semaphores WHERE namespace = ? AND key = ? AND holder = ?"
OF_KEY: Final = "semaphores WHERE namespace = ? AND key = ?"
TIDY: Final = "DELETE FROM semaphores WHERE until <= ?"


class SqliteSemaphores:
    """One connection, opened at the first call."""

    def __init__(self, path: Path, *, namespace: str, patience: float = PATIENCE) -> None:
        self._connection = InlineConnection(path, SCHEMA, owner=OWNER, unavailable=QuotaUnavailable, patience=patience)
        self._namespace = namespace

    async def acquire(self, key: str, holder: str, *, most: int, now: int, until: int) -> bool:
        """One statement counts and inserts; leases that have ended go first, whoever held them."""
        await self._connection.execute(TIDY, now)
        rows = await self._connection.execute(ACQUIRE, self._namespace, key, holder, until, now, most)
        return bool(rows)

    async def release(self, key: str, holder: str) -> None:
        await self._connection.execute(RELEASE, self._namespace, key, holder)

    async def erase(self, key: str, *, dry: bool = False) -> int:
        statement = f"SELECT 1 FROM {OF_KEY}" if dry else f"DELETE FROM {OF_KEY} RETURNING 1"  # noqa: S608 - constants
        return len(await self._connection.execute(statement, self._namespace, key))

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        self._connection.close()


def connect(db_path: str, *, namespace: str | None = None, patience: float = PATIENCE) -> SemaphoreStore:
    """The semaphores in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    return SqliteSemaphores(Path(db_path).expanduser(), namespace=namespace or "", patience=patience)
