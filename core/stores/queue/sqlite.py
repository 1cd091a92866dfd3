"""The work queue in one SQLite file, shared by the processes of one machine.

Groups take turns: a message is that of the group whose turn was longest ago, its oldest that may be delivered. Dead
letters stay in a table of their own for two weeks, the longest that SQS keeps any.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import inf, nextafter
from pathlib import Path
import sqlite3
import time
from typing import Any, Final, Literal
from uuid import uuid4

from core.errors import StateUnavailable
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_file import BUSY_SECONDS
from core.platform.sqlite_schema import Schema
from core.stores.queue.codec import decode, encode
from core.stores.queue.port import MOST_RECEIVES, Delivery, Message, WorkQueue

FIRST_PAUSE: Final = 0.05  # seconds, between two looks at an empty queue: a look costs 0.1 ms of CPU
LONGEST_PAUSE: Final = 0.1
DEAD_SECONDS: Final = 14 * 24 * 3600
OWNER: Final = "The work queue's"
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS queue_messages (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, tenant TEXT NOT NULL, body TEXT NOT NULL,
        visible_at REAL NOT NULL, receives INTEGER NOT NULL DEFAULT 0, receipt TEXT UNIQUE)""",
    "CREATE INDEX IF NOT EXISTS queue_messages_by_time ON queue_messages (namespace, visible_at)",
    "CREATE INDEX IF NOT EXISTS queue_messages_by_tenant ON queue_messages (namespace, tenant, visible_at)",
    """CREATE TABLE IF NOT EXISTS queue_turns (
        namespace TEXT NOT NULL, tenant TEXT NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (namespace, tenant))""",
    "CREATE INDEX IF NOT EXISTS queue_turns_in_order ON queue_turns (namespace, turn)",
    """CREATE TABLE IF NOT EXISTS queue_dead_letters (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, tenant TEXT NOT NULL, body TEXT NOT NULL,
        receives INTEGER NOT NULL, died REAL NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS queue_dead_letters_by_time ON queue_dead_letters (died)",
)
SCHEMA: Final = Schema("queue", (VERSION_1,))
SEND: Final = "INSERT INTO queue_messages (namespace, tenant, body, visible_at) VALUES (?, ?, ?, ?)"
NEXT_TURN: Final = "(SELECT coalesce(max(turn), 0) + 1 FROM queue_turns WHERE namespace = :namespace)"
# Last in line even if it was served and emptied before: who sends one message after another gets no more than a turn.
JOIN: Final = f"INSERT OR IGNORE INTO queue_turns VALUES (:namespace, :tenant, {NEXT_TURN})"  # noqa: S608 - no values
IS_WAITING: Final = "SELECT 1 FROM queue_messages WHERE namespace = ? AND visible_at <= ? LIMIT 1"
BURY: Final = """INSERT INTO queue_dead_letters (namespace, tenant, body, receives, died)
    SELECT namespace, tenant, body, receives, :now FROM queue_messages
    WHERE namespace = :namespace AND visible_at <= :now AND receives >= :most"""
REMOVE_DEAD: Final = """DELETE FROM queue_messages
    WHERE namespace = :namespace AND visible_at <= :now AND receives >= :most"""
FORGET_DEAD: Final = "DELETE FROM queue_dead_letters WHERE died <= ?"
TENANT: Final = """SELECT tenant FROM queue_turns AS turns WHERE namespace = :namespace AND EXISTS (
    SELECT 1 FROM queue_messages AS messages WHERE messages.namespace = turns.namespace
    AND messages.tenant = turns.tenant AND visible_at <= :now) ORDER BY turn LIMIT 1"""
TAKE: Final = """UPDATE queue_messages SET visible_at = :until, receives = receives + 1, receipt = :receipt WHERE id = (
    SELECT id FROM queue_messages WHERE namespace = :namespace AND tenant = :tenant
    ORDER BY visible_at, id LIMIT 1) RETURNING body, receives"""
MOVE_ON: Final = f"UPDATE queue_turns SET turn = {NEXT_TURN} WHERE namespace = :namespace AND tenant = :tenant"  # noqa: S608
EXTEND: Final = "UPDATE queue_messages SET visible_at = ? WHERE namespace = ? AND receipt = ?"
DONE: Final = "DELETE FROM queue_messages WHERE namespace = :namespace AND receipt = :receipt"
LEAVE: Final = """DELETE FROM queue_turns WHERE namespace = :namespace AND NOT EXISTS (
    SELECT 1 FROM queue_messages AS messages WHERE messages.namespace = queue_turns.namespace
    AND messages.tenant = queue_turns.tenant)"""


class SqliteQueue:
    """A namespace of the file behind `connection`."""

    def __init__(self, connection: SqliteConnection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._listeners: set[asyncio.Future[None]] = set()

    async def send(self, messages: Sequence[Message], *, delay: int = 0) -> None:
        bodies = [(ascii(message.group), encode(message.body)) for message in messages]
        visible_at = time.time() + delay

        def sending(connection: sqlite3.Connection) -> None:
            rows = [(self._namespace, tenant, body, visible_at) for tenant, body in bodies]
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany(SEND, rows)
                for tenant in dict.fromkeys(tenant for tenant, _ in bodies):
                    connection.execute(JOIN, {"namespace": self._namespace, "tenant": tenant})

        if bodies:
            await self._connection.run(sending)
            if not delay:
                self._tell()

    async def take(
        self, *, most: int, wait: float, visibility: int, ending: asyncio.Event | None = None
    ) -> list[Delivery]:
        until, pause = time.monotonic() + wait, FIRST_PAUSE
        ended = None if ending is None else asyncio.ensure_future(ending.wait())
        try:
            while True:
                with self._listening() as sent:
                    deliveries = await self._connection.run(lambda connection: self._take(connection, most, visibility))
                    left = until - time.monotonic()
                    if deliveries or left <= 0 or await _is_done(ended, sent, min(pause, left)):
                        return deliveries
                pause = min(1.5 * pause, LONGEST_PAUSE)
        finally:
            if ended is not None:
                ended.cancel()

    async def extend(self, delivery: Delivery, *, seconds: int) -> bool:
        values = (time.time() + seconds, self._namespace, delivery.receipt)
        return bool(await self._connection.run(lambda connection: connection.execute(EXTEND, values).rowcount))

    async def done(self, delivery: Delivery) -> None:
        values = {"namespace": self._namespace, "receipt": delivery.receipt}

        def removing(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                if connection.execute(DONE, values).rowcount:
                    connection.execute(LEAVE, values)

        await self._connection.run(removing)

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        await self._connection.close()

    @contextmanager
    def _listening(self) -> Generator[asyncio.Future[None]]:
        """What is done when a message is sent from this process: its look at the queue need not wait for the next."""
        sent = asyncio.get_running_loop().create_future()
        self._listeners.add(sent)
        try:
            yield sent
        finally:
            self._listeners.discard(sent)

    def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        for sent in self._listeners:
            if not sent.done() and sent.get_loop() is loop:
                sent.set_result(None)

    def _take(self, connection: sqlite3.Connection, most: int, visibility: int) -> list[Delivery]:
        now = time.time()
        if not connection.execute(IS_WAITING, (self._namespace, now)).fetchone():
            return []  # whoever waits for work keeps no writer waiting
        until = max(now + visibility, nextafter(now, inf))  # with no visibility too a message is taken once by a call
        values = {"namespace": self._namespace, "now": now, "until": until, "most": MOST_RECEIVES}
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if connection.execute(BURY, values).rowcount:
                connection.execute(REMOVE_DEAD, values)
                connection.execute(FORGET_DEAD, (now - DEAD_SECONDS,))
                connection.execute(LEAVE, values)
            deliveries: list[Delivery] = []
            while len(deliveries) < most and (delivery := _take_one(connection, values)):
                deliveries.append(delivery)
            return deliveries


def _take_one(connection: sqlite3.Connection, values: dict[str, Any]) -> Delivery | None:
    row = connection.execute(TENANT, values).fetchone()
    if row is None:
        return None
    turn = values | {"tenant": row[0], "receipt": uuid4().hex}
    body, receives = connection.execute(TAKE, turn).fetchone()
    connection.execute(MOVE_ON, turn)
    return Delivery(decode(body) or {}, turn["receipt"], receives)


def connect(db_path: str, *, namespace: str | None = None, patience: float = BUSY_SECONDS) -> WorkQueue:
    """The queue in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    path = Path(db_path).expanduser()
    connection = SqliteConnection(path, SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=patience)
    return SqliteQueue(connection, namespace=namespace or "")


async def _is_done(ended: asyncio.Task[Literal[True]] | None, sent: asyncio.Future[None], seconds: float) -> bool:
    """Whether `ended` is; waits for it, or for news, for so long."""
    signs = (sent,) if ended is None else (sent, ended)
    await asyncio.wait(signs, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return ended is not None and ended.done()
