"""The port of the audit trail, to read it: entries are written by the stores of what is changed, and by nobody again."""

from typing import Final, Protocol

from core.frame.types import JsonObject

LATEST: Final = 10**13 - 1  # milliseconds, in the 13 digits that an id begins with


class AuditStore(Protocol):
    """Reads are strongly consistent. Every method raises ProviderUnavailable when the store cannot be used."""

    async def page(self, *, since: int, before: str, limit: int) -> list[JsonObject]:
        """At most `limit` entries that are not older than `since`, in Unix milliseconds, and whose ids are less than `before`, newest first.

        Fewer than `limit` are all that there are.
        """
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...


def id_at(milliseconds: int) -> str:
    """What is less than the id of every entry from then on, and greater than that of every one before."""
    return f"{max(0, min(milliseconds, LATEST)):013}"
