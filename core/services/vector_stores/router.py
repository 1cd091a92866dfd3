"""Vector stores of OpenAI's API: made, listed, changed, searched and deleted."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from core.apis.answers.vector_stores import SearchPage, VectorStore, VectorStoreDeleted, VectorStoreList
from core.apis.vector_io import NamedStore
from core.apis.vector_stores import ChangedVectorStore, ListStoresQuery, NewVectorStore, SearchRequest
from core.errors import Conflict, InvalidRequest, StaleRevision
from core.services.vector_stores.records import StoreRecord
from core.services.vector_stores.shapes import show_store
from core.services.vector_stores.stores import Store, StoreCollection

TRIES: Final = 10  # of a change to a store that others use at the same time


class VectorStoresRouter:
    """Answers `core.apis.vector_stores.VectorStores`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def list_names(self, *, limit: int) -> Sequence[NamedStore]:
        stores, _ = await self._stores.list(order="desc", limit=limit)
        return [_show_name(store) for store in stores if not store.is_expired(self._stores.clock())]

    async def find_name(self, vector_store_id: str) -> NamedStore:
        return _show_name(await self._stores.get(vector_store_id))

    async def create(self, request: NewVectorStore) -> VectorStore:
        from core.services.vector_stores.creation import create  # late, as all that few environments do

        store = await create(self._stores, request)
        if request.file_ids:
            from core.services.vector_stores.files import attach_all

            await attach_all(self._stores, store, request.file_ids, request.chunking_strategy)
        if self._stores.call is not None:
            self._stores.call.add_tokens(0)  # what was reserved for embeddings is given back where there were none
        return await show_store(self._stores, store)

    async def index(self, *, query: ListStoresQuery) -> VectorStoreList:
        if query.after is not None and query.before is not None:
            raise InvalidRequest("A page is `after` a store or `before` one, not both.", param="before")
        stores, has_more = await self._stores.list(
            order=query.order, after=query.after, before=query.before, limit=query.limit
        )
        data = await asyncio.gather(*(show_store(self._stores, store) for store in stores))
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}

    async def get(self, vector_store_id: str) -> VectorStore:
        return await show_store(self._stores, await self._stores.get(vector_store_id))

    async def update(self, request: ChangedVectorStore, vector_store_id: str) -> VectorStore:
        for attempt in count(1):
            store = await self._stores.get(vector_store_id)
            self._stores.guard.require("update", self._stores.item(store))
            self._stores.require_current(store)
            record = replace(_change(store, request), last_active=int(self._stores.clock()))
            try:
                document = await self._stores.documents.put(store.document, record.body())
                return await show_store(self._stores, self._stores.read(document))
            except StaleRevision:
                if attempt == TRIES:
                    raise Conflict(
                        f"The vector store `{vector_store_id}` is being changed by others. Try again."
                    ) from None
        raise AssertionError

    async def delete(self, vector_store_id: str) -> VectorStoreDeleted:
        from core.services.vector_stores.removal import delete

        await delete(self._stores, vector_store_id)
        return {"id": vector_store_id, "object": "vector_store.deleted", "deleted": True}

    async def search(self, request: SearchRequest, vector_store_id: str) -> SearchPage:
        from core.services.vector_stores.search import search

        store = await self._stores.open(vector_store_id)
        return await search(self._stores, store, request)


def _show_name(store: Store) -> NamedStore:
    return NamedStore(store.id, store.record.name or "", store.record.description or "", declared=store.declared)


def _change(store: Store, request: ChangedVectorStore) -> StoreRecord:
    """The record with what the request has; raises InvalidRequest for what no store can have."""
    record = StoreRecord.read(store.document.body)
    fields = request.model_fields_set
    if "name" in fields:
        record = replace(record, name=request.name)
    if "expires_after" in fields:
        if store.declared and request.expires_after is not None:
            raise InvalidRequest(
                f"`{store.id}` is declared in the run config, and stays as long as it is there.", param="expires_after"
            )
        record = replace(record, expires_days=None if request.expires_after is None else request.expires_after.days)
    if "metadata" in fields:
        from core.services.vector_stores.metadata import check_metadata

        record = replace(record, metadata=dict(check_metadata(request.metadata or {})))
    return record
