"""The tables of accounts in SQLite, and what their table of usage is written with.

Usage has a row for each day, client (its shards have one together), teams, model, provider, API and operation: by day first, since
reports are of days. Its index by `expires` costs a row's first write alone: later ones leave it as it was.
"""

from operator import attrgetter
import sqlite3
from typing import Final

from core.platform.sqlite_schema import Schema
from core.stores.counters.port import Use

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
VERSION_3: Final = (
    """CREATE TABLE usage (
        namespace TEXT NOT NULL, day INTEGER NOT NULL, account TEXT NOT NULL, teams TEXT NOT NULL, model TEXT NOT NULL,
        provider TEXT NOT NULL, api TEXT NOT NULL, operation TEXT NOT NULL, requests INTEGER NOT NULL,
        answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
        estimated_tokens INTEGER NOT NULL, nanos INTEGER NOT NULL, unpriced INTEGER NOT NULL, expires INTEGER NOT NULL,
        PRIMARY KEY (namespace, day, account, teams, model, provider, api, operation)) WITHOUT ROWID""",
    "CREATE INDEX usage_by_expiry ON usage (expires)",
)
SCHEMA: Final = Schema("counters", (VERSION_1, VERSION_2, VERSION_3))

ERASED: Final = "erased"  # no identity is called so
"""The client whose usage is that of all who were erased: totals of teams and models stay."""
NUMBERS: Final = (
    "requests", "answers", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens",
    "reasoning_tokens", "estimated_tokens", "nanos", "unpriced",
)  # fmt: skip
"""Of a `UsageRow`, in its order, and columns of the table."""
numbers_of: Final = attrgetter(*NUMBERS)
ADDING: Final = f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in NUMBERS)}"
COUNT: Final = f"INSERT INTO usage VALUES ({', '.join('?' * 19)}) {ADDING}"  # noqa: S608 - of constants, as all below
BY_CLIENT: Final = """WITH RECURSIVE days (day) AS (
        SELECT min(day) FROM usage WHERE namespace = ?1
        UNION ALL SELECT (SELECT min(day) FROM usage WHERE namespace = ?1 AND day > days.day) FROM days
        WHERE day IS NOT NULL)
    {0} WHERE namespace = ?1 AND day IN (SELECT day FROM days WHERE day IS NOT NULL) AND account = ?2"""
"""Days are looked up one after another, as their rows are in the order of days."""
KNOWN: Final = BY_CLIENT.format("SELECT 1 FROM usage") + " LIMIT 1"  # noqa: S608
MOVE: Final = BY_CLIENT.format(
    f"""INSERT INTO usage SELECT namespace, day, '{ERASED}', teams, model, provider, api, operation, {", ".join(NUMBERS)}, expires
    FROM usage"""  # noqa: S608
)
REMOVE: Final = BY_CLIENT.format("DELETE FROM usage")


def count(connection: sqlite3.Connection, namespace: str, client: str, use: Use) -> None:
    """Add its rows to the client's usage of the day, in the transaction that is open on the connection."""
    place = (namespace, use.day, client, use.teams)
    rows = [(*place, *row.key, *numbers_of(row), use.expires) for row in use.rows]
    connection.executemany(COUNT, rows)


def has_usage(connection: sqlite3.Connection, namespace: str, client: str) -> bool:
    return connection.execute(KNOWN, (namespace, client)).fetchone() is not None


def disown(connection: sqlite3.Connection, namespace: str, client: str) -> None:
    """Make the client's usage that of `ERASED`, in the transaction that is open on the connection."""
    if client != ERASED:
        connection.execute(f"{MOVE} {ADDING}", (namespace, client))
        connection.execute(REMOVE, (namespace, client))
