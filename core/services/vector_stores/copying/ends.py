"""The two stores of a copy, as whoever copies has them."""

from dataclasses import dataclass
import time
from typing import Self

from core.errors import NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.parts import Parts
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.stores import Store, StoreCollection


@dataclass(frozen=True, slots=True)
class Ends:
    """From `source` to `target`."""

    source: StoreFiles
    target: StoreFiles

    @classmethod
    async def open(cls, parts: Parts, request: JsonObject, call: Call) -> Self:
        """Those of a job's request, the very ones of when it was made.

        Raises:
            NotFound: one is gone, or the caller may not read it.
            PermissionDenied: the caller may not change the target.
            InvalidRequest: one has expired.
        """
        stores = StoreCollection(parts, call, clock=time.time)
        source = await stores.open(request["from"])
        target = await stores.open(request["store"], "update")
        for store, name in ((source, request["from_index"]), (target, request["index"])):
            if store.record.provider_resource_id != name:
                raise NotFound(f"`{store.id}` is another vector store by now than when the copy began.")
        return cls(StoreFiles(stores, source), StoreFiles(stores, target))

    @property
    def stores(self) -> StoreCollection:
        return self.source.stores


def request_of(source: Store, target: Store) -> JsonObject:
    """For the job; what the target is at its provider is kept, so that nothing stays there if the store goes."""
    return {
        "from": source.id,
        "from_index": source.record.provider_resource_id,
        "store": target.id,
        "index": target.record.provider_resource_id,
        "provider_id": target.record.provider_id,
    }
