"""The names of API keys, of revoked ones too: usage is counted by their ids."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from core.stores.registry.key_format import ID, KIND
from core.stores.registry.port import RegistryStore

FEW: Final = 20  # that are got one by one
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class KeyNames:
    """Without a `registry` nothing is known but ids."""

    registry: RegistryStore | None

    async def by_id(self, ids: Collection[str]) -> dict[str, str]:
        """Of these keys, as far as they are there."""
        if self.registry is None or not ids:
            return {}
        if len(ids) > FEW:
            return {key_id: name async for key_id, name in self._all(self.registry) if key_id in ids}
        rows = await asyncio.gather(*(self.registry.get(KIND, key_id) for key_id in ids if ID.fullmatch(key_id)))
        return {row.identifier: str(row.attributes.get("name", "")) for row in rows if row is not None}

    async def find_ids(self, names: Collection[str]) -> set[str]:
        """Of the keys with these names or ids; what has the form of an id is one."""
        ids = {name for name in names if self.registry is None or ID.fullmatch(name)}
        others = {*names} - ids
        if self.registry is not None and others:
            async with aclosing(self._all(self.registry)) as keys:
                ids |= {key_id async for key_id, name in keys if name in others}
        return ids

    async def _all(self, registry: RegistryStore) -> AsyncGenerator[tuple[str, str]]:
        after, more = "", True
        while more:
            rows = await registry.page(KIND, after=after, limit=PAGE)
            for row in rows:
                yield row.identifier, str(row.attributes.get("name", ""))
            more, after = len(rows) == PAGE, rows[-1].identifier if rows else after
