"""Registry reads remembered for a bounded time, over any store.

What is there is remembered; what is not there is read again each time, so that what one process
registers the next can use at once. What another process removes is seen when the time is over.
"""

from collections.abc import Callable
import time

from core.frame.resources import Resource
from core.platform.ttl_cache import MOST, TtlCache
from core.stores.registry.port import Author, Check, RegistryStore

type _Key = tuple[str, str]  # kind and identifier


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
        """Start empty; beyond `most` resources what was read first is forgotten first."""
        self._store = store
        self._cache: TtlCache[_Key, Resource | None] = TtlCache(seconds, clock=clock, most=most)

    async def get(self, kind: str, identifier: str) -> Resource | None:
        """The resource, at most `seconds` old, or None as of now."""
        return await self._cache.get((kind, identifier), lambda: self._store.get(kind, identifier))

    async def get_now(self, kind: str, identifier: str) -> Resource | None:
        """The resource as a read has it that begins after this call, shared by all who wait for it; it is remembered."""
        key, read = (kind, identifier), lambda: self._store.get(kind, identifier)
        if self._cache.is_reading(key):  # since before this call
            await self._cache.refresh(key, read)
        return await self._cache.refresh(key, read)

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        """Read from the store: a page is never remembered."""
        return await self._store.page(kind, after=after, limit=limit)

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        """Read from the store, as every page."""
        return await self._store.page_at(kind, provider_id, provider_resource_id, after=after, limit=limit)

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        """Store it; this process sees it at once."""
        try:
            return await self._store.create(resource, by=by)
        finally:
            self._forget(resource.kind, resource.identifier)

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        """Put it in the place of `expect`; this process sees it at once."""
        try:
            return await self._store.replace(resource, expect=expect, by=by)
        finally:
            self._forget(resource.kind, resource.identifier)

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        """Remove it, if `check` does not raise for it; this process stops seeing it at once."""
        try:
            return await self._store.delete(kind, identifier, check, by=by)
        finally:
            self._forget(kind, identifier)

    async def close(self) -> None:
        """Forget everything, end the reads under way, and close the store."""
        await self._cache.close()
        await self._store.close()

    def _forget(self, kind: str, identifier: str) -> None:
        self._cache.forget((kind, identifier))


async def get_now(store: RegistryStore, kind: str, identifier: str) -> Resource | None:
    """As `store.get`, whatever a cache of it remembers."""
    return await (store.get_now if isinstance(store, CachedRegistry) else store.get)(kind, identifier)
