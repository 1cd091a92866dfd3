"""Registry reads remembered for a bounded time, over any store.

What is there is remembered; what is not there is read again each time, so that what one process
registers the next can use at once. What another process removes is seen when the time is over.
"""

import asyncio
from collections.abc import Callable, Coroutine
import time
from typing import Any, Final

from core.frame.resources import Resource
from core.stores.registry.port import Check, RegistryStore

MOST: Final = 10_000  # resources remembered, by either name

type _Key = tuple[str, ...]  # kind and identifier, or kind, provider id and its own id
type _Found = Resource | None
type _Ask = Callable[[], Coroutine[Any, Any, _Found]]


class CachedRegistry:
    """`seconds` is counted from before the read, so no answer is older; of equal reads at a time one is made."""

    def __init__(
        self,
        store: RegistryStore,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        """Start empty; beyond `most`, what was read first is forgotten first."""
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._kept: dict[_Key, tuple[float, Resource]] = {}
        self._flights: dict[_Key, asyncio.Task[_Found]] = {}

    async def get(self, kind: str, identifier: str) -> Resource | None:
        """The resource, at most `seconds` old, or None as of now."""
        key = (kind, identifier)
        return self._remembered(key) or await self._read(key, lambda: self._store.get(kind, identifier))

    async def find(self, kind: str, provider_id: str, provider_resource_id: str) -> Resource | None:
        """The first resource that stands for this name, at most `seconds` old, or None as of now."""
        key = (kind, provider_id, provider_resource_id)
        return self._remembered(key) or await self._read(
            key, lambda: self._store.find(kind, provider_id, provider_resource_id)
        )

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        """Read from the store: a page is never remembered."""
        return await self._store.page(kind, after=after, limit=limit)

    async def create(self, resource: Resource) -> Resource:
        """Store it; this process sees it at once."""
        try:
            return await self._store.create(resource)
        finally:
            self._forget(resource.kind, resource.identifier)
            self._kept.pop((resource.kind, resource.provider_id, resource.provider_resource_id), None)

    async def replace(self, resource: Resource) -> bool:
        """Put it in the place of what is there; this process sees it at once."""
        try:
            return await self._store.replace(resource)
        finally:
            self._forget(resource.kind, resource.identifier)

    async def delete(self, kind: str, identifier: str, check: Check | None = None) -> bool:
        """Remove it, if `check` does not raise for it; this process stops seeing it at once."""
        try:
            return await self._store.delete(kind, identifier, check)
        finally:
            self._forget(kind, identifier)

    async def close(self) -> None:
        """Forget everything and close the store."""
        self._kept.clear()
        self._flights.clear()
        await self._store.close()

    def _remembered(self, key: _Key) -> Resource | None:
        until, resource = self._kept.get(key, (0.0, None))
        return resource if self._clock() < until else None

    def _forget(self, kind: str, identifier: str) -> None:
        """Drop it under every name, and disown reads under way, which may have seen the state before."""
        self._flights.clear()
        stale = [key for key, (_, row) in self._kept.items() if (row.kind, row.identifier) == (kind, identifier)]
        for key in stale:
            del self._kept[key]

    async def _read(self, key: _Key, ask: _Ask) -> _Found:
        under_way = self._flights.get(key)
        if under_way is not None:
            found = await asyncio.shield(under_way)
            if found is not None:
                return found
        # It began before this call, so it may have missed what was stored since; a later one cannot have.
        flight = self._flights.get(key)
        if flight is None or flight is under_way:
            flight = self._depart(key, ask)
        return await asyncio.shield(flight)

    def _depart(self, key: _Key, ask: _Ask) -> asyncio.Task[_Found]:
        until = self._clock() + self._seconds
        flight = asyncio.create_task(ask())
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._land(key, done, until))
        return flight

    def _land(self, key: _Key, flight: asyncio.Task[_Found], until: float) -> None:
        failed = flight.cancelled() or flight.exception() is not None
        if self._flights.get(key) is not flight:
            return
        del self._flights[key]
        found = None if failed else flight.result()
        if found is not None:
            self._kept.pop(key, None)
            self._kept[key] = (until, found)
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
