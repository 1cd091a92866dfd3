"""Accounts in one SQLite file, shared by the processes of one machine: a row for each window, and one for what each call holds.

Usage has a table beside (see `sqlite_tables`), and each write is one transaction over all.
A statement takes some 10 microseconds. Windows are kept under the names that counters had before there were accounts.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
import logging
import os
from pathlib import Path
import sqlite3
import time
from typing import Final

from core.errors import QuotaUnavailable
from core.platform.sqlite_file import open_file
from core.platform.sqlite_inline import InlineConnection
from core.stores.counters import sqlite_tables as tables
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Held,
    Reservation,
    Scope,
    Take,
    Use,
    counters_of,
)
from core.stores.counters.sqlite_tables import SCHEMA

PATIENCE: Final = 2.0  # seconds
OWNER: Final = "The quota's"
NOTHING: Final = Counts()
MOST: Final = 2**63 - 1  # SQLite's greatest integer
NAME_BYTES: Final = 16  # random, of a reservation
TIDY_SECONDS: Final = 60
TIDY_ROWS: Final = 1000  # deleted at a time, so that others can write in between
TAKE: Final = """INSERT INTO counters (namespace, key, requests, tokens, nanos, expires) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests, tokens = tokens + excluded.tokens, nanos = nanos + excluded.nanos
    WHERE requests < ? AND tokens < ? AND nanos < ? RETURNING requests, tokens, nanos"""
HOLD: Final = "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
RELEASE: Final = "DELETE FROM reservations WHERE namespace = ? AND account = ? AND id = ?"
CORRECT: Final = """UPDATE counters SET requests = requests + ?, tokens = tokens + ?, nanos = nanos + ?
    WHERE namespace = ? AND key IN ({})"""
READ: Final = "SELECT requests, tokens, nanos FROM counters WHERE namespace = ? AND key = ?"
ONCE: Final = (
    "INSERT INTO counters (namespace, key, requests, tokens, expires) VALUES (?, ?, 0, 0, ?) ON CONFLICT DO NOTHING"
)
MARK: Final = "once:"  # in a key, where counters have a period
HELD: Final = """SELECT since, requests, tokens, nanos FROM reservations WHERE namespace = ? AND account = ?
    ORDER BY since, id"""
BELOW: Final = "namespace = ?1 AND substr(key, 1, length(?2)) = ?2"
OF_CLIENT: Final = "namespace = ?1 AND (account = ?2 OR substr(account, 1, length(?2) + 1) = ?2 || ':')"
TIDY: Final = (
    f"""DELETE FROM counters WHERE (namespace, key) IN
        (SELECT namespace, key FROM counters WHERE expires <= ? LIMIT {TIDY_ROWS})""",  # noqa: S608 - a constant
    f"""DELETE FROM reservations WHERE (namespace, account, id) IN
        (SELECT namespace, account, id FROM reservations WHERE expires <= ? LIMIT {TIDY_ROWS})""",  # noqa: S608 - a constant
    f"""DELETE FROM usage WHERE (namespace, day, account, teams, model, provider, api, operation) IN
        (SELECT namespace, day, account, teams, model, provider, api, operation FROM usage
        WHERE expires <= ? LIMIT {TIDY_ROWS})""",  # noqa: S608 - a constant
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

    async def take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
        """Count in one transaction, with that of the scopes; the counts of a refusal are read after it."""
        if take.is_shut or any(scope.take.is_shut for scope in scopes):
            return await self._connection.run(partial(self._refuse, account, take, scopes))
        counters = len(take.counters) + sum(len(scope.take.counters) for scope in scopes)
        statements = counters + 2 + take.holds + bool(take.once) + _rows(take.use)
        admission = await self._connection.transact(partial(self._take, account, take, scopes), statements)
        self._tidy_once_a_minute()
        return admission

    async def settle(
        self, reservation: Reservation, correction: Counts, use: Use | None = None, scopes: Sequence[Counts] = ()
    ) -> None:
        work = partial(self._settle, reservation, correction, use, scopes)
        counters = len(reservation.counters) + sum(len(scope.take.counters) for scope in reservation.scopes)
        await self._connection.transact(work, counters + 3 + _rows(use))

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        return await self._connection.run(partial(self._look, account, counters))

    async def erase(self, client: str, *, dry: bool = False) -> int:
        """Usage goes to the client `ERASED`, so that sums stay."""
        work = partial(self._erase, client, dry)
        return await (self._connection.run(work) if dry else self._connection.transact(work, 6))

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        tidying, self._tidying = self._tidying, None
        if tidying is not None and tidying.get_loop() is asyncio.get_running_loop():
            await tidying
        self._connection.close()

    def _take(
        self, account: AccountKey, take: Take, scopes: Sequence[Scope], connection: sqlite3.Connection
    ) -> Admission:
        if take.once and not self._mark(account, take, connection):
            return Admission(admitted=True, counts=tuple(self._read(account, take.counters, connection)))
        counts = self._count(account, take, connection)
        others = (self._count(scope.account, scope.take, connection) for scope in scopes)
        if counts is None or any(each is None for each in others):
            connection.rollback()
            return self._refuse(account, take, scopes, connection)
        if take.use is not None and take.use.rows:
            tables.count(connection, self._namespace, account.client, take.use)
        reservation = None
        if take.holds:
            name = os.urandom(NAME_BYTES).hex()
            name = name if account.shard is None else f"{name}:{account.shard}"
            reservation = Reservation(account, take.counters, name, scopes=tuple(scopes))
            place = (self._namespace, account.name, reservation.name, self._clock())
            connection.execute(HOLD, (*place, *take.amount.numbers, take.expires))
        return Admission(admitted=True, counts=counts, reservation=reservation)

    def _mark(self, account: AccountKey, take: Take, connection: sqlite3.Connection) -> bool:
        """Whether nothing was counted under its name before."""
        key = f"{counters_of(account.client)}{MARK}{take.once}"
        return connection.execute(ONCE, (self._namespace, key, take.expires)).rowcount == 1

    def _count(self, account: AccountKey, take: Take, connection: sqlite3.Connection) -> tuple[Counts, ...] | None:
        """What each counter has then; None where one has no room."""
        counts: list[Counts] = []
        numbers = take.amount.numbers
        for counter in take.counters:
            key, expires = account.counter_name(counter), counter.window.expires
            bounds = [MOST if bound is None or bound > MOST else bound for bound in counter.below.bounds]
            values = (self._namespace, key, *numbers, expires, *bounds)
            if (row := connection.execute(TAKE, values).fetchone()) is None:
                return None
            counts.append(Counts(*row))
        return tuple(counts)

    def _refuse(
        self, account: AccountKey, take: Take, scopes: Sequence[Scope], connection: sqlite3.Connection
    ) -> Admission:
        own, *others = (
            tuple(self._read(key, each.counters, connection))
            for key, each in ((account, take), *((scope.account, scope.take) for scope in scopes))
        )
        return Admission(admitted=False, counts=own, scopes=tuple(others))

    def _settle(
        self,
        reservation: Reservation,
        correction: Counts,
        use: Use | None,
        scopes: Sequence[Counts],
        connection: sqlite3.Connection,
    ) -> None:
        name = (self._namespace, reservation.account.name, reservation.name)
        if connection.execute(RELEASE, name).rowcount == 0:
            return
        self._correct(reservation.account, reservation.counters, correction, connection)
        for scope, of_scope in zip(reservation.scopes, scopes, strict=False):
            self._correct(scope.account, scope.take.counters, of_scope, connection)
        if use is not None:
            tables.count(connection, self._namespace, reservation.account.client, use)

    def _correct(
        self, account: AccountKey, counters: Sequence[Counter], correction: Counts, connection: sqlite3.Connection
    ) -> None:
        if counters and correction != NOTHING:
            names = [account.counter_name(counter) for counter in counters]
            statement = CORRECT.format(", ".join("?" * len(names)))
            connection.execute(statement, (*correction.numbers, self._namespace, *names))

    def _read(
        self, account: AccountKey, counters: Sequence[Counter], connection: sqlite3.Connection
    ) -> Iterator[Counts]:
        for counter in counters:
            row = connection.execute(READ, (self._namespace, account.counter_name(counter))).fetchone()
            yield Counts(*row or ())

    def _look(self, account: AccountKey, counters: tuple[Counter, ...], connection: sqlite3.Connection) -> AccountState:
        counts = tuple(self._read(account, counters, connection))
        reservations = connection.execute(HELD, (self._namespace, account.name)).fetchall()
        return AccountState(counts, tuple(Held(since, Counts(*numbers)) for since, *numbers in reservations))

    def _erase(self, client: str, dry: bool, connection: sqlite3.Connection) -> int:  # noqa: FBT001 - of a partial
        prefix = counters_of(client)
        rows = connection.execute(f"SELECT key FROM counters WHERE {BELOW}", (self._namespace, prefix))  # noqa: S608
        keys = [key.removeprefix(prefix) for (key,) in rows]
        shards = {tuple(key.split(":")[2:]) for key in keys if not key.startswith(MARK)}
        has_usage = tables.has_usage(connection, self._namespace, client)
        if not dry:
            connection.execute(f"DELETE FROM counters WHERE {BELOW}", (self._namespace, prefix))  # noqa: S608
            connection.execute(f"DELETE FROM reservations WHERE {OF_CLIENT}", (self._namespace, client))  # noqa: S608
            tables.disown(connection, self._namespace, client)
        return max(len(shards), has_usage)

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


def _rows(use: Use | None) -> int:
    return 0 if use is None else len(use.rows)


def connect(db_path: str, *, namespace: str | None = None, patience: float = PATIENCE) -> CounterStore:
    """The accounts in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    return SqliteCounters(Path(db_path).expanduser(), namespace=namespace or "", patience=patience)
