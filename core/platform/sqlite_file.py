"""One SQLite file that several processes share: how it is made, opened and waited for, and how its failures are told."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
import logging
import os
from pathlib import Path
import sqlite3
import time
from typing import Final

from core.errors import ApiError
from core.platform.retry import Backoff
from core.platform.sqlite_schema import Schema

BUSY_SECONDS: Final = 5.0
BACKOFF: Final = Backoff(0.001, 0.02)  # while another process has the file

log = logging.getLogger(__name__)


def open_file(path: Path, schema: Schema, *, patience: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit and WAL mode, for any thread; the file is made with mode 0600, its folder with 0700.

    Its tables are up to date with `schema`. A file on a read-only file system is opened to be read: each write then fails.

    `patience` is in seconds: how long opening, and then each statement, waits for another process's write.

    Raises:
        sqlite3.Error, OSError: it cannot be used.
    """
    if path.exists() and is_read_only(path):
        return _open_to_read(path, schema)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # SQLite gives its -wal and -shm files the mode of this one
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection, patience)
        connection.execute("BEGIN IMMEDIATE")
        schema.upgrade(connection)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def is_read_only(path: Path) -> bool:
    """Whether the file system that it is on takes no writes, of anybody."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _open_to_read(path: Path, schema: Schema) -> sqlite3.Connection:
    """Without locks, and without the -shm file that WAL mode would need: nobody can write what is read."""
    if (wal := path.with_name(f"{path.name}-wal")).exists() and wal.stat().st_size:
        raise sqlite3.OperationalError(
            f"the file system is read-only, and {wal.name} has writes that are not in it yet; open it once where it can be written"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        schema.require(connection)
    except sqlite3.Error:
        connection.close()
        raise
    log.warning("SQLite file %s is on a read-only file system: it is read, and nothing is written to it", path)
    return connection


def is_busy(failure: sqlite3.Error) -> bool:
    """Whether another connection holds the file just now."""
    code: int = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_OK)  # of the module's own errors there is none
    return code & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def translate_errors(path: Path, owner: str, unavailable: type[ApiError]) -> Generator[None]:
    """What SQLite or the file system raises inside leaves as `unavailable`; `owner` begins its message: "The registry's"."""
    try:
        yield
    except sqlite3.Error as failure:
        raise _unusable(path, owner, unavailable, str(failure)) from failure
    except OSError as failure:
        reason = f"its folder cannot be written ({failure.strerror})"
        raise _unusable(path, owner, unavailable, reason) from failure


def _unusable(path: Path, owner: str, unavailable: type[ApiError], reason: str) -> ApiError:
    log.warning("%s SQLite file %s cannot be used: %s", owner, path, reason)
    return unavailable(f"{owner} SQLite file `{path.name}` cannot be used: {reason}.")


def _write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Turn on WAL; SQLite does not itself wait where several processes do so at once."""
    until = time.monotonic() + patience
    for pause in BACKOFF.pauses():
        time.sleep(pause)
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as failure:
            if not is_busy(failure) or time.monotonic() > until:
                raise
        else:
            return
