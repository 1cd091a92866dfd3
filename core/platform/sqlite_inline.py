"""A SQLite file whose statements run on the event loop: for those that take less than handing them to a thread.

None waits there: while another process writes, the call sleeps and tries again. `synchronous` is NORMAL, so that none waits for
the disk either: what a power cut may lose is the last writes, never the file (https://www.sqlite.org/wal.html).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
import sqlite3
import threading
import time
from typing import Any, Final

from core.errors import ApiError
from core.platform.sqlite_file import BACKOFF, BUSY_SECONDS, is_busy, open_file, translate_errors
from core.platform.sqlite_schema import Schema

TURN: Final = 32  # statements: after as many, others on the event loop have theirs


class InlineConnection:
    """One connection, opened at the first call in a thread; what SQLite raises leaves as `unavailable`.

    `owner` begins its message, as "The quota's"; `patience` is in seconds, of each wait for another process.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        owner: str,
        unavailable: type[ApiError],
        patience: float = BUSY_SECONDS,
    ) -> None:
        self._path = path
        self._schema = schema
        self._owner = owner
        self._unavailable = unavailable
        self._patience = patience
        self._opening = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._statements = 0

    async def execute(self, statement: str, *values: str | int | bytes | None) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        await self._count(1)
        if self._connection is not None:
            # While all goes well there is nothing but the statement: what is around it below takes as long as it does.
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error:  # which it meets again below
                pass
        return await self.run(lambda connection: connection.execute(statement, values).fetchall())

    async def transact[Outcome](self, work: Callable[[sqlite3.Connection], Outcome], statements: int) -> Outcome:
        """What `work` makes of the connection in a transaction, which has the file for itself; it counts as so many statements.

        Where `work` raises, nothing was done. It is short, and done anew while another process writes.
        """
        await self._count(statements)

        if (connection := self._connection) is not None:
            try:  # as in `execute`: nothing around it while all goes well
                return _transact(work, connection)
            except sqlite3.Error as failure:
                if not is_busy(failure):
                    with translate_errors(self._path, self._owner, self._unavailable):
                        raise
        return await self.run(partial(_transact, work))

    def close(self) -> None:
        """Close the connection, on the event loop, so that no statement is under way; a later call opens another."""
        with self._opening, translate_errors(self._path, self._owner, self._unavailable):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    async def run[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        """What `work` makes of the connection, which is in autocommit; it is short, and done anew while another process writes."""
        pauses, until = BACKOFF.pauses(), 0.0
        while True:
            if pause := next(pauses):
                await asyncio.sleep(pause)
            with translate_errors(self._path, self._owner, self._unavailable):
                connection = self._connection
                if connection is None:
                    connection = await asyncio.to_thread(self._open)
                try:
                    return work(connection)
                except sqlite3.OperationalError as failure:
                    now = time.monotonic()
                    until = until or now + self._patience
                    if not is_busy(failure) or now >= until:
                        raise

    async def _count(self, statements: int) -> None:
        before, self._statements = self._statements, self._statements + statements
        if before // TURN != self._statements // TURN:
            await asyncio.sleep(0)

    def _open(self) -> sqlite3.Connection:
        with self._opening:
            if self._connection is None:
                connection = open_file(self._path, self._schema, patience=self._patience)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA busy_timeout = 0").fetchall()  # else SQLite would wait on the event loop
                self._connection = connection
            return self._connection


def _transact[Outcome](work: Callable[[sqlite3.Connection], Outcome], connection: sqlite3.Connection) -> Outcome:
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # which commits, or rolls back
        return work(connection)
