"""What the stores of one SQLite file do alike: one connection, opened at the first call, used by one thread at a time."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
import sqlite3
import threading
from typing import Any

from core.errors import ApiError
from core.platform.sqlite_file import BUSY_SECONDS, open_file, translate_errors
from core.platform.sqlite_schema import Schema


@contextmanager
def writing(connection: sqlite3.Connection) -> Generator[None]:
    """One transaction, which no other writer comes between; an error inside undoes it."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


class SqliteConnection:
    """Work runs in threads, one piece at a time; what SQLite raises leaves as `unavailable`.

    `owner` begins its message, as "The registry's"; `patience` is in seconds, of each wait for another process.
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
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def run[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        """What `work` makes of the connection, which is in autocommit."""
        return await asyncio.to_thread(self._run_locked, work)

    async def execute(self, statement: str, *values: str | int | bytes | None) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        return await self.run(lambda connection: connection.execute(statement, values).fetchall())

    async def close(self) -> None:
        """Close the connection; a later call opens another."""
        await asyncio.to_thread(self._close)

    def _run_locked[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        with self._lock, translate_errors(self._path, self._owner, self._unavailable):
            if self._connection is None:
                self._connection = open_file(self._path, self._schema, patience=self._patience)
            return work(self._connection)

    def _close(self) -> None:
        with self._lock, translate_errors(self._path, self._owner, self._unavailable):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
