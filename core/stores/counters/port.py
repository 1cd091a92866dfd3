"""The port of counters, which quotas are counted with."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Counts:
    """What a counter has: calls, and tokens (reserved and used)."""

    requests: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A counter takes more only while its counts are below these; None does not bound."""

    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """`counts` are those after it was admitted, or as they stand if it was not: then nothing changed."""

    admitted: bool
    counts: Counts


class CounterStore(Protocol):
    """Counters by key, shared by every process that names the same table or file.

    A key is 1 to 1024 bytes of UTF-8; `expires` is in Unix seconds, after which a counter may vanish.
    Every method raises QuotaUnavailable when the store cannot be reached, or not in `patience` seconds.
    """

    async def take(self, key: str, *, tokens: int, below: Limit, expires: int, requests: int = 1) -> Admission:
        """Count `requests` and `tokens`, in one atomic conditional write: while both counts are below `below`.

        However often it has to be sent, it counts once.
        """
        ...

    async def adjust(self, key: str, *, tokens: int, requests: int = 0) -> None:
        """Add both, which may be negative, once; a counter that is not there (any more) stays away."""
        ...

    async def read(self, key: str) -> Counts:
        """The counts as of now; zeros where there is no counter."""
        ...

    async def erase(self, prefix: str, *, dry: bool = False) -> int:
        """Remove every counter whose key begins with this, unless it is `dry`; how many. The whole store may be read for it."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
