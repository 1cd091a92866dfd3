"""The port of registered configurations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.apis.configurations import Configuration
    from core.stores.audit.entry import Change


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version that there ever was, and the one in force; 0 is none."""

    latest: int = 0
    active: int = 0


class ConfigurationStore(Protocol):
    """Registered configurations, shared by every process that names the same table or file.

    Versions are 1, 2, 3, ... and never used twice. Reads are strongly consistent. Whoever writes says after which head, so
    that nothing is written over what another has written since.
    Every method raises ProviderUnavailable when the store cannot be reached.
    """

    async def head(self) -> Head:
        """The head as of now, in one read."""
        ...

    async def get(self, version: int) -> "Configuration | None": ...

    async def page(self, *, before: int | None, limit: int) -> "list[Configuration]":
        """At most `limit` configurations, newest first, with versions below `before` (None for the first page)."""
        ...

    async def append(self, configuration: "Configuration", *, after: Head, change: "Change") -> bool:
        """Store it and put it in force, in one atomic step; False, and nothing changed, if the head is not `after`.

        The `change` goes into the audit trail in that step.

        False too if its version is not the next one, `after.latest + 1`.

        Raises:
            InvalidRequest: it is too large, or not JSON.
        """
        ...

    async def rewrite(self, configuration: "Configuration") -> bool:
        """Put it in the place of the version that it is, in force or not; False if there is none. What it configures must stay the same.

        Raises:
            InvalidRequest: it is too large, or not JSON.
        """
        ...

    async def remove(self, version: int, *, after: Head, change: "Change") -> bool:
        """Remove it, in one atomic step, in which the `change` goes into the audit trail; False, and nothing changed, if the head is not `after`.

        If it was in force, none is from then on: the run config's file alone counts. `latest` stays.

        Raises:
            NotFound: the head is `after`, and there is no such version.
        """
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
