"""Answers by idempotency key in one SQLite file, shared by the processes of one machine.

`expires` is when a lease ends while `status` is NULL, and when an answer goes once it is there: one condition takes over both.
"""

from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from core.errors import IdempotencyUnavailable
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_file import BUSY_SECONDS
from core.platform.sqlite_schema import Schema
from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease

GRACE: Final = 3600  # seconds that a row outlives its time: for a holder that is late, but whose key nobody took
OWNER: Final = "The idempotency keys'"
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS answers (
        namespace TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, holder TEXT NOT NULL,
        expires INTEGER NOT NULL, status INTEGER, content_type TEXT, body BLOB, PRIMARY KEY (namespace, key))""",
    "CREATE INDEX IF NOT EXISTS answers_by_expiry ON answers (expires)",
)
VERSION_2: Final = (
    "ALTER TABLE answers ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX IF NOT EXISTS answers_by_owner ON answers (namespace, owner) WHERE owner != ''",
)
SCHEMA: Final = Schema("answers", (VERSION_1, VERSION_2))
BEGIN: Final = """INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, NULL, ?7)
    ON CONFLICT DO UPDATE SET fingerprint = ?3, holder = ?4, expires = ?5, status = NULL, content_type = NULL, body = NULL,
    owner = ?7 WHERE expires <= ?6 RETURNING 1"""
OF_OWNER: Final = "answers WHERE namespace = ? AND owner = ? AND owner != ''"
READ: Final = "SELECT fingerprint, status, content_type, body FROM answers WHERE namespace = ? AND key = ?"
FINISH: Final = """UPDATE answers SET status = ?4, content_type = ?5, body = ?6, expires = ?7
    WHERE namespace = ?1 AND key = ?2 AND holder = ?3 RETURNING 1"""
RELEASE: Final = "DELETE FROM answers WHERE namespace = ? AND key = ? AND holder = ?"
# Each call makes at most one row, so that this keeps up, and none waits long for it.
TIDY: Final = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE expires <= ? LIMIT 20)"


class SqliteAnswers:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    async def begin(self, key: str, fingerprint: str, *, now: int, until: int, owner: str = "") -> Lease | Earlier:
        """Take the key in one statement, or read what is there after it; a key that is freed in between is tried again."""
        lease = Lease(key, uuid4().hex)
        taking = (self._namespace, key, fingerprint, lease.holder, until, now, owner)
        while not await self._execute(BEGIN, *taking):
            if rows := await self._execute(READ, self._namespace, key):
                fingerprint_then, status, content_type, body = rows[0]
                return Earlier(fingerprint_then, None if status is None else Answer(status, content_type, body))
        await self._execute(TIDY, now - GRACE)
        return lease

    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        columns = (answer.status, answer.content_type, answer.body, expires)
        return bool(await self._execute(FINISH, self._namespace, lease.key, lease.holder, *columns))

    async def release(self, lease: Lease) -> None:
        await self._execute(RELEASE, self._namespace, lease.key, lease.holder)

    async def erase(self, owner: str, *, dry: bool = False) -> int:
        statement = f"SELECT 1 FROM {OF_OWNER}" if dry else f"DELETE FROM {OF_OWNER} RETURNING 1"  # noqa: S608 - constants
        return len(await self._execute(statement, self._namespace, owner))

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        await self._connection.close()

    async def _execute(self, statement: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        return await self._connection.execute(statement, *values)


def connect(db_path: str, *, namespace: str | None = None, patience: float = BUSY_SECONDS) -> AnswerStore:
    """The answers in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    path = Path(db_path).expanduser()
    connection = SqliteConnection(path, SCHEMA, owner=OWNER, unavailable=IdempotencyUnavailable, patience=patience)
    return SqliteAnswers(connection, namespace=namespace or "")
