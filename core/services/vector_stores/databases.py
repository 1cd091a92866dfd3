"""Vector stores as Llama Stack 0.2 registers and shows them: vector DBs, with the ids that callers give them."""

from contextlib import suppress
from typing import Final

from core.apis.answers.vector_stores import VectorDB, VectorDBList
from core.apis.vector_stores import NewVectorDB
from core.errors import Conflict, InvalidRequest, NotFound
from core.routing.guard import conflict_over
from core.services.vector_stores.creation import OWN_PLACE, Wishes, make
from core.services.vector_stores.records import StoreRecord
from core.services.vector_stores.stores import Store, StoreCollection

MOST: Final = 1000  # of one list


class VectorDBsRouter:
    """Answers `core.apis.vector_stores.VectorDBs`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def register(self, request: NewVectorDB) -> VectorDB:
        if request.provider_vector_db_id not in {None, request.vector_db_id}:
            raise InvalidRequest(OWN_PLACE, param="provider_vector_db_id")
        store = await self._find_same(request) or await self._make(request)
        if self._stores.call is not None:
            self._stores.call.add_tokens(0)
        return show_database(store)

    async def index(self) -> VectorDBList:
        stores, _ = await self._stores.list(order="asc", limit=MOST)
        return {"data": [show_database(store) for store in stores]}

    async def get(self, vector_db_id: str) -> VectorDB:
        return show_database(await self._stores.get(vector_db_id))

    async def unregister(self, vector_db_id: str) -> None:
        from core.services.vector_stores.removal import delete

        await delete(self._stores, vector_db_id)

    async def _make(self, request: NewVectorDB) -> Store:
        """A new one; where another request was first, that is it, if it is what this one asks for."""
        record = StoreRecord("", "", "", 0, name=request.vector_db_name or request.vector_db_id)
        wishes = Wishes(request.provider_id, request.embedding_model, request.embedding_dimension)
        try:
            return await make(self._stores, request.vector_db_id, record, wishes)
        except Conflict:  # over another's, or one that is being removed, nothing more is said
            store = await self._find_same(request)
        if store is None:
            raise conflict_over(request.vector_db_id)
        return store

    async def _find_same(self, request: NewVectorDB) -> Store | None:
        """The one with this id that the caller sees, where it is what is asked for; raises Conflict where it is something else."""
        with suppress(NotFound):
            store = await self._stores.get(request.vector_db_id)
            record = store.record
            wishes = (request.provider_id, request.embedding_model, request.embedding_dimension)
            facts = (record.provider_id, record.embedding_model, record.embedding_dimension)
            if any(wish not in (None, fact) for wish, fact in zip(wishes, facts, strict=True)):
                raise Conflict(f"`{request.vector_db_id}` is there already, with another model or provider.")
            return store
        return None


def show_database(store: Store) -> VectorDB:
    """The shape on the wire."""
    record, owner = store.record, store.document.owner
    answer: VectorDB = {
        "identifier": store.id,
        "provider_resource_id": record.provider_resource_id,
        "provider_id": record.provider_id,
        "type": "vector_db",
        "embedding_model": record.embedding_model,
        "embedding_dimension": record.embedding_dimension,
        "vector_db_name": record.name,
    }
    return answer if owner is None else {**answer, "owner": owner["principal"]}
