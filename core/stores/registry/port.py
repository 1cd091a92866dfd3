"""The port of registered resources."""

from collections.abc import Callable
from typing import Protocol

from core.frame.callers import Principal
from core.frame.resources import Resource

type Check = Callable[[Resource], None]
"""Raises whatever forbids to remove this resource."""
type Author = Principal | None
"""Whose doing a change is: a caller's, or, where it is None, the operator's at the command line."""


class RegistryStore(Protocol):
    """Registered resources, shared by every process that names the same table or file.

    Reads are strongly consistent: what one process has written, the next read of any other sees.
    What changes goes into the audit trail with the same write (see `core.stores.audit.entry`), as the doing of `by`. When a key
    was used is no change.
    Every method raises ProviderUnavailable when the store cannot be used.
    """

    async def get(self, kind: str, identifier: str) -> Resource | None: ...

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        """Of the resources that stand for this name within the provider at most `limit` after `after`, as `page` has them."""
        ...

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        """At most `limit` resources after the identifier `after` ("" for the first), in UTF-8 byte order of identifiers."""
        ...

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        """Store it if the identifier is free, in one atomic step; the same content again returns what is there.

        Raises:
            Conflict: the identifier is taken with other content.
            InvalidRequest: a name is too long for a key, or the attributes are too large or not JSON.
        """
        ...

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        """Put it in the place of `expect`, which the caller has read, if that is what is still stored, in one atomic step.

        Both have the same names. Whoever reads, changes and writes back never writes over what another has written since.

        Raises:
            InvalidRequest: as `create`.
        """
        ...

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        """Remove it, if `check` does not raise for what is removed; False if it was not there.

        What another writes in between is checked again: nothing goes that `check` has not seen.
        """
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
