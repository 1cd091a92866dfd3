"""Where a store of a contract suite is, in this process and in others (it must pickle)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import pytest


class Closable(Protocol):
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Place[S: Closable]:
    """`place` is a file, or a table at `endpoint`."""

    place: str
    endpoint: str | None = None

    def connect(self, *arguments: Any, **how: Any) -> S:
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self, *arguments: Any, **how: Any) -> AsyncGenerator[S]:
        store = self.connect(*arguments, **how)
        try:
            yield store
        finally:
            await store.close()

    @classmethod
    def fresh(cls, request: pytest.FixtureRequest, kind: str, folder: Path, table: str, **how: Any) -> Self:
        """A new one: SQLite's, or DynamoDB's in what the fixture `table` makes."""
        if kind == "sqlite":
            return cls(str(folder / "store.db"), **how)
        return cls(request.getfixturevalue(table), request.getfixturevalue("dynamodb_endpoint"), **how)
