"""What was registered of one kind: the rows of the store, by their identifiers and by the places that serve them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import Final

from core.frame.resources import Kind, Resource
from core.platform.ttl_cache import TtlCache
from core.stores.registry.port import Author, Check, RegistryStore

PAGE: Final = 100  # rows of one place that are read at a time

type Place = tuple[str, str]
"""A provider's id, and the provider's own name of what it serves."""


def place_of(resource: Resource) -> Place:
    return resource.provider_id, resource.provider_resource_id


@dataclass(frozen=True, slots=True)
class Rows:
    """What is registered for one place; `own` are those whose attributes are not all the kind's defaults."""

    rows: Sequence[Resource]
    own: Sequence[Resource]


class StoredResources:
    """Rows of `kind`; what is registered `at` a place is remembered for `remember` seconds."""

    def __init__(
        self, kind: Kind, store: RegistryStore, *, remember: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kind = kind.name
        self._defaults = kind.fields
        self._store = store
        self._at: TtlCache[Place, Rows] = TtlCache(remember, clock=clock)

    async def get(self, identifier: str) -> Resource | None:
        return await self._store.get(self._kind, identifier)

    async def at(self, place: Place) -> Rows:
        """What `read_at` would read, from memory where that was read lately."""
        return await self._at.get(place, lambda: self._sort_at(place))

    async def _sort_at(self, place: Place) -> Rows:
        rows = await self.read_at(place)
        return Rows(rows, [row for row in rows if row.attributes != self._defaults])

    async def read_at(self, place: Place) -> list[Resource]:
        """Everything that was registered for this place, whoever did so, in the order of identifiers."""
        rows, more = list[Resource](), True
        while more:
            after = rows[-1].identifier if rows else ""
            page = await self._store.page_at(self._kind, *place, after=after, limit=PAGE)
            rows += page
            more = len(page) == PAGE
        return rows

    async def close(self) -> None:
        """End the reads that are under way for the memory; the store stays open."""
        await self._at.close()

    async def page(self, after: str, least: int, counts: Callable[[Resource], bool]) -> list[Resource]:
        """At least so many rows that count, after the identifier `after`, or all that there are."""
        rows, more = list[Resource](), True
        while more and len(rows) < least:
            page = await self._store.page(self._kind, after=after, limit=least)
            rows += [row for row in page if counts(row)]
            more, after = len(page) == least, page[-1].identifier if page else after
        return rows

    async def create(self, resource: Resource, by: Author) -> Resource:
        """As RegistryStore's; this process sees it at once."""
        try:
            return await self._store.create(resource, by=by)
        finally:
            self._at.forget(place_of(resource))

    async def delete(self, identifier: str, check: Check | None, by: Author) -> bool:
        """As RegistryStore's; this process stops seeing it at once."""
        try:
            return await self._store.delete(self._kind, identifier, check, by=by)
        finally:
            self._at.forget_where(lambda at: any(row.identifier == identifier for row in at.rows))
