"""Accounts in one SQLite file, shared by the processes of one machine: a row for each window, and one for what each call holds.

A statement takes some 10 microseconds. Windows are kept under the names that counters had before there were accounts.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial
import logging
from pathlib import Path
import sqlite3
import time
from typing import Final
from uuid import uuid4

from core.errors import QuotaUnavailable
from core.platform.sqlite_file import open_file
from core.platform.sqlite_inline import InlineConnection
from core.platform.sqlite_schema import Schema
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Held,
    Reservation,
    Take,
    counters_of,
)

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
VERSION_2: Final = (
    "ALTER TABLE counters ADD COLUMN nanos INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE reservations (
        namespace TEXT NOT NULL, account TEXT NOT NULL, id TEXT NOT NULL, since REAL NOT NULL,
        requests INTEGER NOT NULL, tokens INTEGER NOT NULL, nanos INTEGER NOT NULL, expires INTEGER NOT NULL,
        PRIMARY KEY (namespace, account, id)) WITHOUT ROWID""",  # open ones alone: to tidy, all are read
)
SCHEMA: Final = Schema("counters", (VERSION_1, VERSION_2))
TAKE: Final = """INSERT INTO counters (namespace, key, requests, tokens, nanos, expires) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests, tokens = tokens + excluded.tokens, nanos = nanos + excluded.nanos
    WHERE requests < ? AND tokens < ? AND nanos < ? RETURNING requests, tokens, nanos"""
HOLD: Final = "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
RELEASE: Final = "DELETE FROM reservations WHERE namespace = ? AND account = ? AND id = ? RETURNING 1"
CORRECT: Final = """UPDATE counters SET requests = requests + ?, tokens = tokens + ?, nanos = nanos + ?
    WHERE namespace = ? AND key = ?"""
READ: Final = "SELECT requests, tokens, nanos FROM counters WHERE namespace = ? AND key = ?"
HELD: Final = """SELECT since, requests, tokens, nanos FROM reservations WHERE namespace = ? AND account = ?
    ORDER BY since, id"""
BELOW: Final = "namespace = ?1 AND substr(key, 1, length(?2)) = ?2"
OF_CLIENT: Final = "namespace = ?1 AND (account = ?2 OR substr(account, 1, length(?2) + 1) = ?2 || ':')"
TIDY: Final = (
    f"""DELETE FROM counters WHERE (namespace, key) IN
        (SELECT namespace, key FROM counters WHERE expires <= ? LIMIT {TIDY_ROWS})""",  # noqa: S608 - a constant
    f"""DELETE FROM reservations WHERE (namespace, account, id) IN
        (SELECT namespace, account, id FROM reservations WHERE expires <= ? LIMIT {TIDY_ROWS})""",  # noqa: S608 - a constant
)

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

    async def take(self, account: AccountKey, take: Take) -> Admission:
        """Count in one transaction; the counts of a refusal are read after it."""
        if not take.is_shut:
            statements = len(take.counters) + 2 + take.holds
            admission = await self._connection.transact(partial(self._take, account, take), statements)
            self._tidy_once_a_minute()
            if admission is not None:
                return admission
        return Admission(admitted=False, counts=(await self.read(account, take.counters)).counts)

    async def settle(self, reservation: Reservation, correction: Counts) -> None:
        work = partial(self._settle, reservation, correction)
        await self._connection.transact(work, len(reservation.counters) + 3)

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        return await self._connection.run(partial(self._read, account, counters))

    async def erase(self, client: str, *, dry: bool = False) -> int:
        prefix = counters_of(client)
        keys = await self._connection.execute(f"SELECT key FROM counters WHERE {BELOW}", self._namespace, prefix)  # noqa: S608
        if not dry:
            await self._connection.execute(f"DELETE FROM counters WHERE {BELOW}", self._namespace, prefix)  # noqa: S608
            await self._connection.execute(f"DELETE FROM reservations WHERE {OF_CLIENT}", self._namespace, client)  # noqa: S608
        return len({tuple(key.removeprefix(prefix).split(":")[2:]) for (key,) in keys})

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        tidying, self._tidying = self._tidying, None
        if tidying is not None and tidying.get_loop() is asyncio.get_running_loop():
            await tidying
        self._connection.close()

    def _take(self, account: AccountKey, take: Take, connection: sqlite3.Connection) -> Admission | None:
        counts: list[Counts] = []
        for counter in take.counters:
            key, expires = account.counter_name(counter), counter.window.expires
            bounds = (MOST if bound is None else min(bound, MOST) for bound in counter.below.bounds)
            values = (self._namespace, key, *take.amount.numbers, expires, *bounds)
            if (row := connection.execute(TAKE, values).fetchone()) is None:
                connection.rollback()
                return None
            counts.append(Counts(*row))
        reservation = None
        if take.holds:
            reservation = Reservation(account, take.counters, uuid4().hex)
            place = (self._namespace, account.name, reservation.name, self._clock())
            connection.execute(HOLD, (*place, *take.amount.numbers, take.expires))
        return Admission(admitted=True, counts=tuple(counts), reservation=reservation)

    def _settle(self, reservation: Reservation, correction: Counts, connection: sqlite3.Connection) -> None:
        name = (self._namespace, reservation.account.name, reservation.name)
        if connection.execute(RELEASE, name).fetchone() is None or correction == Counts():
            return
        for counter in reservation.counters:
            key = reservation.account.counter_name(counter)
            connection.execute(CORRECT, (*correction.numbers, self._namespace, key))

    def _read(self, account: AccountKey, counters: tuple[Counter, ...], connection: sqlite3.Connection) -> AccountState:
        names = (account.counter_name(counter) for counter in counters)
        rows = [connection.execute(READ, (self._namespace, name)).fetchone() or () for name in names]
        reservations = connection.execute(HELD, (self._namespace, account.name)).fetchall()
        return AccountState(
            tuple(Counts(*row) for row in rows),
            tuple(Held(since, Counts(*numbers)) for since, *numbers in reservations),
        )

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
                for statement in TIDY:
                    while connection.execute(statement, (now,)).rowcount == TIDY_ROWS:
                        pass
        except (sqlite3.Error, OSError) as failure:
            log.warning("expired counters stay in the quota's SQLite file %s for now: %s", self._path, failure)


def connect(db_path: str, *, namespace: str | None = None, patience: float = PATIENCE) -> CounterStore:
    """The accounts in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    return SqliteCounters(Path(db_path).expanduser(), namespace=namespace or "", patience=patience)
