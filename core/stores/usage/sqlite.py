"""Usage in the SQLite file of the accounts, read over a connection of its own in threads: calls go on meanwhile.

SQLite groups and sums, in one statement, which is a snapshot of all clients.
"""

from functools import partial
import json
from pathlib import Path
import sqlite3
from typing import Final

from core.errors import QuotaUnavailable
from core.frame.callers import UsageRow
from core.platform.sqlite_connection import SqliteConnection
from core.stores.counters.port import Counts, Held
from core.stores.counters.sqlite_tables import NUMBERS, SCHEMA
from core.stores.usage.port import DIMENSIONS, Unsettled, UsageQuery, UsageStore, UsageSum

OWNER: Final = "The usage's"
SUMS: Final = ", ".join(f"sum({name})" for name in NUMBERS)
COLUMNS: Final = {name: {"client": "account"}.get(name, name) for name in DIMENSIONS}
"""Of the table, by dimension."""
WITHIN: Final = "SELECT value FROM json_each(?)"  # as many values as there may be, in one parameter
HELD: Final = """SELECT account, id, since, requests, tokens, nanos FROM reservations
    WHERE namespace = ?1 AND (?2 IS NULL OR account = ?2 OR substr(account, 1, length(?2) + 1) = ?2 || ':')
    ORDER BY since, account, id"""


class SqliteUsage:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    async def sum(self, query: UsageQuery) -> list[UsageSum]:
        return await self._connection.run(partial(self._sum, query))

    async def unsettled(self, client: str | None = None) -> list[Unsettled]:
        rows = await self._connection.execute(HELD, self._namespace, client)
        reservations = (
            Unsettled(_client_of(account, name), Held(since, Counts(*numbers)))
            for account, name, since, *numbers in rows
        )
        return [each for each in reservations if client is None or each.client == client]

    async def close(self) -> None:
        await self._connection.close()

    def _sum(self, query: UsageQuery, connection: sqlite3.Connection) -> list[UsageSum]:
        groups = [COLUMNS[dimension] for dimension in query.by]
        conditions, values = _conditions(query)
        texts = ["CAST(day AS TEXT)" if group == "day" else group for group in groups]
        statement = f"SELECT {', '.join([*texts, SUMS])} FROM usage WHERE namespace = ? AND {conditions}"  # noqa: S608 - of constants
        if groups:
            statement += f" GROUP BY {', '.join(groups)}"
        length = len(groups)
        return [
            UsageSum(row[:length], UsageRow("", "", "", "", *row[length:]))
            for row in connection.execute(statement, (self._namespace, *values))
            if row[-1] is not None  # the sum of no row
        ]


def _conditions(query: UsageQuery) -> tuple[str, list[str | int]]:
    """With the values of their parameters. Days of few clients are looked up one by one, as rows are in the order of days."""
    conditions: list[str] = ["day BETWEEN ? AND ?"]
    parameters: list[str | int] = [query.first, query.last]
    if "client" in query.among:
        conditions, parameters = [f"day IN ({WITHIN})"], [json.dumps(list(range(query.first, query.last + 1)))]
    for dimension, among in query.among.items():
        conditions.append(f"{COLUMNS[dimension]} IN ({WITHIN})")
        parameters.append(json.dumps(sorted(among)))
    return " AND ".join(conditions), parameters


def _client_of(account: str, reservation: str) -> str:
    """Without the number of a shard, which its reservation's name ends with."""
    _, _, shard = reservation.partition(":")
    return account.removesuffix(f":{shard}") if shard else account


def connect(db_path: str, *, namespace: str | None = None) -> UsageStore:
    """The usage in the file `db_path` of the accounts (`~` is the home directory), made at its first use with mode 0600."""
    connection = SqliteConnection(Path(db_path).expanduser(), SCHEMA, owner=OWNER, unavailable=QuotaUnavailable)
    return SqliteUsage(connection, namespace=namespace or "")
