"""Keys in the registry: each change is one conditional write over what was read."""

from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Final

from core.errors import Conflict, NotFound
from core.frame.resources import Resource
from core.stores.registry.kept_key import KeptKey
from core.stores.registry.key_format import KIND, USE, last_use
from core.stores.registry.port import Author, RegistryStore

TRIES: Final = 10  # of a change that others have got ahead of
PAGE: Final = 100
KEPT_SECONDS: Final = 400 * 24 * 3600
"""For which the name of a revoked key is kept."""
BUSY: Final = "Others change this key at the same time. Look at it, and try again."

type Look = Callable[[KeptKey], None]
"""Raises what forbids a change of this key."""


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """`clock` gives Unix seconds; changes are the doing of `author`."""

    registry: RegistryStore
    clock: Callable[[], float] = time.time
    author: Author = None

    @property
    def now(self) -> int:
        return int(self.clock())

    async def find(self, key_id: str) -> KeptKey | None:
        """None for one that is not there, or not usable."""
        return KeptKey.read(await self.registry.get(KIND, key_id))

    async def last_used(self, entry: KeptKey) -> int | None:
        """In Unix seconds, to the hour."""
        return max(last_use(await self.registry.get(USE, entry.id)), entry.key.last_used or 0) or None

    async def page(self, *, after: str, limit: int) -> list[Resource]:
        """At most `limit` keys after the id `after`, by their ids, usable or not; those whose time as a name is over go."""
        rows = await self.registry.page(KIND, after=after, limit=limit)
        for row in rows:
            entry = KeptKey.read(row)
            if entry is not None and entry.key.revoked is not None and entry.key.revoked + KEPT_SECONDS < self.now:
                await self.registry.delete(KIND, row.identifier, by=self.author)
        return rows

    async def change(self, key_id: str, make: Callable[[KeptKey], KeptKey]) -> KeptKey:
        """Write what `make` makes of the key, as often as others are ahead of it; the key as it is is not written, and in no audit trail.

        Raises:
            NotFound: there is no such key.
            Conflict: others are ahead each time.
        """
        for _ in range(TRIES):
            entry = await self._get(key_id)
            changed = make(entry)
            if changed is entry or await self.registry.replace(changed.resource, expect=entry.resource, by=self.author):
                return changed
        raise Conflict(BUSY)

    async def rotate(self, key_id: str, look: Look, *, overlap: int, force: bool) -> tuple[str, KeptKey]:
        """The whole key with its new secret; of two rotations at once one is a Conflict."""
        entry = await self._get(key_id)
        look(entry)
        token, rotated = entry.rotate(overlap=overlap, force=force, now=self.now)
        if not await self.registry.replace(rotated.resource, expect=entry.resource, by=self.author):
            raise Conflict(BUSY)
        return token, rotated

    async def revoke(self, key_id: str, look: Look, *, by: str | None) -> KeptKey:
        """The key without its secrets; one that is revoked already stays as it is."""
        entry = await self._get(key_id)
        last_used = await self.last_used(entry)

        def end(entry: KeptKey) -> KeptKey:
            look(entry)
            return entry if entry.key.revoked is not None else entry.revoke(by=by, last_used=last_used, now=self.now)

        revoked = await self.change(key_id, end)
        await self.registry.delete(USE, key_id)
        return revoked

    async def _get(self, key_id: str) -> KeptKey:
        entry = await self.find(key_id)
        if entry is None:
            raise missing()
        return entry


def missing() -> NotFound:
    """Without what was asked for: it may be a whole key."""
    return NotFound("There is no key of this id: ids are 12 characters, as GET /v1/keys lists them.", param="key_id")
