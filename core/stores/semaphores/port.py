"""The port of semaphores: how many hold a key at a time, each for no longer than its lease."""

from typing import Protocol


class SemaphoreStore(Protocol):
    """Semaphores by key, shared by every process that names the same table or file.

    A key is 1 to 1024 bytes of UTF-8, a holder a name of at most 64 ASCII letters and digits that nobody else has; times
    are in Unix seconds. Every method raises QuotaUnavailable when the store cannot be reached, or not in its patience.
    """

    async def acquire(self, key: str, holder: str, *, most: int, now: int, until: int) -> bool:
        """Hold the key until `until`, unless `most` others do, whose leases have not ended by `now`; True where it is held.

        Asked again by who holds it already, it is True and changes nothing.
        """
        ...

    async def release(self, key: str, holder: str) -> None:
        """End the holder's lease; where it has none (any more), nothing happens."""
        ...

    async def erase(self, key: str, *, dry: bool = False) -> int:
        """Remove every lease of the key, unless it is `dry`; how many there were, with those that have ended."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
