"""Counters in one SQLite file, shared by the processes of one machine.

A statement takes some 10 microseconds.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing
import logging
from pathlib import Path
import sqlite3
import time
from typing import Final

from core.errors import QuotaUnavailable
from core.platform.sqlite_file import open_file
from core.platform.sqlite_inline import InlineConnection
from core.platform.sqlite_schema import Schema
from core.stores.counters.port import Admission, CounterStore, Counts, Limit

PATIENCE: Final = 2.0  # seconds
OWNER: Final = "The quota's"
MOST: Final = 2**63 - 1  # SQLite's greatest integer
TIDY_SECONDS: Final = 60
TIDY_ROWS: Final = 1000  # deleted at a time, so that others can write in between

VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS counters (
        namespace TEXT NOT NULL, key TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
        expires INTEGER NOT NULL, PRIMARY KEY (namespace, key)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS counters_by_expiry ON counters (expires)",
)
SCHEMA: Final = Schema("counters", (VERSION_1,))
TAKE: Final = """INSERT INTO counters VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens
    WHERE requests < ? AND tokens < ? RETURNING requests, tokens"""
ADJUST: Final = "UPDATE counters SET requests = requests + ?, tokens = tokens + ? WHERE namespace = ? AND key = ?"
BELOW: Final = "counters WHERE namespace = ?1 AND substr(key, 1, length(?2)) = ?2"
READ: Final = "SELECT requests, tokens FROM counters WHERE namespace = ? AND key = ?"
TIDY: Final = f"""DELETE FROM counters WHERE (namespace, key) IN
    (SELECT namespace, key FROM counters WHERE expires <= ? LIMIT {TIDY_ROWS})"""  # noqa: S608 - a constant

log = logging.getLogger(__name__)


class SqliteCounters:
    """One connection, opened at the first call."""

    def __init__(
        self,
        path: Path,
        *,
        namespace: str,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives Unix seconds, and may be set; `uptime` seconds that only ever pass."""
        self._path = path
        self._connection = InlineConnection(path, SCHEMA, owner=OWNER, unavailable=QuotaUnavailable, patience=patience)
        self._namespace = namespace
        self._clock = clock
        self._uptime = uptime
        self._started = clock() - uptime()
        self._tidy_minute = -1
        self._tidying: asyncio.Task[None] | None = None

    async def take(self, key: str, *, tokens: int, below: Limit, expires: int, requests: int = 1) -> Admission:
        """Count in one statement; the counts of a refusal are read after it."""
        requests_below, tokens_below = _bound(below.requests), _bound(below.tokens)
        if requests_below > 0 and tokens_below > 0:
            values = (self._namespace, key, requests, tokens, expires, requests_below, tokens_below)
            rows = await self._connection.execute(TAKE, *values)
            self._tidy_once_a_minute()
            if rows:
                return Admission(admitted=True, counts=Counts(*rows[0]))
        return Admission(admitted=False, counts=await self.read(key))

    async def adjust(self, key: str, *, tokens: int, requests: int = 0) -> None:
        await self._connection.execute(ADJUST, requests, tokens, self._namespace, key)

    async def read(self, key: str) -> Counts:
        rows = await self._connection.execute(READ, self._namespace, key)
        return Counts(*rows[0]) if rows else Counts()

    async def erase(self, prefix: str, *, dry: bool = False) -> int:
        statement = f"SELECT 1 FROM {BELOW}" if dry else f"DELETE FROM {BELOW} RETURNING 1"  # noqa: S608 - constants
        return len(await self._connection.execute(statement, self._namespace, prefix))

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        tidying, self._tidying = self._tidying, None
        if tidying is not None and tidying.get_loop() is asyncio.get_running_loop():
            await tidying
        self._connection.close()

    def _tidy_once_a_minute(self) -> None:
        now = self._now()
        minute = int(now // TIDY_SECONDS)
        if minute != self._tidy_minute and (self._tidying is None or self._tidying.done()):
            self._tidy_minute = minute
            self._tidying = asyncio.create_task(asyncio.to_thread(self._tidy, int(now)))

    def _now(self) -> float:
        """The clock's time, but never more than has passed: a clock that jumps ahead must not make counters expire."""
        now, uptime = self._clock(), self._uptime()
        self._started = min(self._started, now - uptime)
        return self._started + uptime

    def _tidy(self, now: int) -> None:
        """Delete what has expired, over a connection of its own, which may wait."""
        try:
            with closing(open_file(self._path, SCHEMA)) as connection:
                while connection.execute(TIDY, (now,)).rowcount == TIDY_ROWS:
                    pass
        except (sqlite3.Error, OSError) as failure:
            log.warning("expired counters stay in the quota's SQLite file %s for now: %s", self._path, failure)


def _bound(below: int | None) -> int:
    return MOST if below is None else min(below, MOST)


def connect(db_path: str, *, namespace: str | None = None, patience: float = PATIENCE) -> CounterStore:
    """The counters in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    return SqliteCounters(Path(db_path).expanduser(), namespace=namespace or "", patience=patience)
