"""The seam between what is asked of PostgreSQL and how it is reached: by a connection, or over the RDS Data API.

A statement has its values by name, as `:name`; casts are `CAST(... AS ...)`, so that a colon is nothing else in it. Values are
texts and whole numbers, which both ways have; lists and objects go as JSON.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

type Value = str | int | None
type Row = Sequence[Any]
type Run = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]

NOTHING: Final[Mapping[str, Value]] = {}


class SqlRefused(Exception):
    """The database refused a statement, and nothing of it is done. `state` is the SQLSTATE, `text` what it says, for the log."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(f"{state}: {text}")
        self.state = state
        self.text = text


class ConnectionLost(Exception):
    """There is no answer to a statement. `done`: it may have been carried out all the same."""

    def __init__(self, text: str, *, done: bool) -> None:
        super().__init__(text)
        self.text = text
        self.done = done


@dataclass(frozen=True, slots=True)
class Room:
    """In bytes: what the rows of an answer may have together (None: any), what a row may have, and what the values of a statement may have."""

    answer: int | None
    row: int
    values: int


class Database(Protocol):
    """Raises SqlRefused and ConnectionLost, and for what is no matter of a statement one of `core.errors`."""

    @property
    def room(self) -> Room: ...

    @property
    def is_prepared(self) -> bool:
        """Whether its sessions look at indexes as the config says, and until there are enough, without being told by a statement."""
        ...

    async def run(self, statement: str, values: Mapping[str, Value]) -> list[Row]:
        """The rows of one statement, which is a transaction of its own."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Run]:
        """Statements that are carried out together, or not at all."""
        ...

    def warm(self) -> None:
        """Import what the first call would wait for."""
        ...

    async def close(self) -> None: ...
