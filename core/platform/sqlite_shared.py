"""Transactions that callers of one event loop share: what is asked for in one turn of the loop has one commit, which costs more than its statements."""

import asyncio
from collections.abc import Sequence
from functools import partial
import sqlite3
from typing import Final, NamedTuple

from core.platform.sqlite_inline import InlineConnection

MOST: Final = 16
"""Calls of one transaction: the event loop stands still for it."""

type Value = str | int | bytes | None
type Statement = tuple[str, tuple[Value, ...]]


class Call(NamedTuple):
    """Statements that are carried out all, or not at all, and how many of them would be."""

    statements: Sequence[Statement]
    outcome: asyncio.Future[int]


class SharedTransactions:
    """On one connection. Each statement returns a row where its condition held."""

    def __init__(self, connection: InlineConnection) -> None:
        self._connection = connection
        self._calls = list[Call]()
        self._task: asyncio.Task[None] | None = None

    async def write(self, statements: Sequence[Statement]) -> int:
        """Of how many, from the first on, the condition held; of less than all, none is carried out. Raises as the connection does."""
        call = Call(statements, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await call.outcome

    async def _work(self) -> None:
        while self._calls:
            calls, self._calls = self._calls[:MOST], self._calls[MOST:]
            waiting = [call for call in calls if not call.outcome.done()]
            work = self._connection.run(partial(carry_out, [call.statements for call in waiting]))
            try:
                # Gathered, so that whatever it raises is a value; a cancellation of this task still cancels it.
                [result] = await asyncio.gather(work, return_exceptions=True)
                _tell(waiting, result)
            finally:
                for call in waiting:
                    call.outcome.cancel()  # nothing for those that were told
            await asyncio.sleep(0)


def _tell(calls: Sequence[Call], result: list[int] | BaseException) -> None:
    if isinstance(result, BaseException):
        for call in calls:
            if not call.outcome.done():
                call.outcome.set_exception(result)
        return
    for call, count in zip(calls, result, strict=True):
        if not call.outcome.done():
            call.outcome.set_result(count)


def carry_out(groups: Sequence[Sequence[Statement]], connection: sqlite3.Connection) -> list[int]:
    """In one transaction; for each group as `SharedTransactions.write` has it."""
    if len(groups) == 1 and len(groups[0]) == 1:
        return [_carry_out(groups[0], connection)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        counts = [_carry_out(group, connection) for group in groups]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return counts


def _carry_out(group: Sequence[Statement], connection: sqlite3.Connection) -> int:
    """A single statement whose condition does not hold has done nothing, so that it needs no savepoint."""
    if len(group) == 1:
        text, values = group[0]
        return len(connection.execute(text, values).fetchall())
    connection.execute("SAVEPOINT one")
    for done, (text, values) in enumerate(group):
        if not connection.execute(text, values).fetchall():
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
            return done
    connection.execute("RELEASE one")
    return len(group)
