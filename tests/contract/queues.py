"""What the contract suite of WorkQueue runs over, in this process and in others (it must pickle)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, override

import pytest

from core.errors import StateUnavailable
from core.platform.sqlite_connection import SqliteConnection
from core.stores.queue.port import WorkQueue
from core.stores.queue.sqlite import OWNER, SCHEMA, SqliteQueue
from core.stores.queue.sqs import SqsQueue
from tests.contract.places import Place

PATIENCE = 60.0  # seconds: a slow machine is no failure
KINDS = ("sqlite", "sqs")


@dataclass(frozen=True, slots=True)
class Queue(Place[WorkQueue]):
    """`place` is a file, or a queue's URL at `endpoint`; `dead_letters` the URL of that queue."""

    dead_letters: str = ""

    @override
    def connect(self, namespace: str = "") -> WorkQueue:
        if self.endpoint is None:
            connection = SqliteConnection(
                Path(self.place), SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=PATIENCE
            )
            return SqliteQueue(connection, namespace=namespace)
        return SqsQueue(
            self.place, region=None, endpoint_url=self.endpoint, namespace=namespace, answer_seconds=PATIENCE
        )

    @classmethod
    def make(cls, request: pytest.FixtureRequest, kind: str, folder: Path) -> Self:
        """A new one: SQLite's, or SQS's at moto."""
        if kind == "sqlite":
            return cls(str(folder / "queue.db"))
        queue = request.getfixturevalue("sqs_queue")
        return cls(queue.url, request.getfixturevalue("moto_endpoint"), queue.dead_letters)
