"""The vector stores as one caller has them: looked up, made, declared ones too, and removed with all that is in them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
import logging
import time
from typing import TYPE_CHECKING, Final, Literal, cast

from core.apis.vector_io import VectorIndex, VectorIOProvider
from core.errors import ApiError, InvalidRequest, NotFound, ProviderUnavailable, StaleRevision
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.types import JsonObject
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.parts import CallerState
from core.services.vector_stores.records import STORES, StoreRecord
from core.stores.documents.port import Document, DocumentStore, Order

if TYPE_CHECKING:
    from core.services.vector_stores.embedding import EmbeddingModels

TOUCH_SECONDS: Final = 60
"""How far the time of the last use may be behind, so that not every search is a write."""
MOST_SETTLED: Final = 5  # stores that one list removes, or empties, since they were deleted or have expired
KIND: Final = "vector_store"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """A vector store as it was read; of one that the run config declares, `record` is what that says."""

    document: Document
    record: StoreRecord
    declared: bool = False

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def index(self) -> VectorIndex:
        """What its provider keeps of it."""
        record = self.record
        return VectorIndex(self.id, record.provider_resource_id, record.embedding_dimension, record.embedding_model)

    @property
    def expires_at(self) -> int | None:
        """In Unix seconds."""
        return self.record.expires_at

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class StoreCollection(CallerState):
    """`clock` gives Unix seconds; `seen` are the declared stores that this process knows to be there."""

    seen: set[str] = field(default_factory=set[str])
    clock: Callable[[], float] = time.time

    @property
    def store(self) -> DocumentStore:
        """Where the documents are; raises StateUnavailable where the run config names no place."""
        return self.parts.stores.collection("vector_stores")

    @property
    def models(self) -> "EmbeddingModels":
        from core.services.vector_stores.embedding import EmbeddingModels

        return EmbeddingModels(self.parts, self.call)

    @property
    def documents(self) -> GuardedDocuments:
        """The stores that the caller may see, with those that have expired or are being deleted."""
        return GuardedDocuments(self.store, self.guard, STORES, KIND, _show, self.clock)

    async def get(self, store_id: str) -> Store:
        """The store, which may have expired; raises NotFound also for one that the caller may not read."""
        asked_at = self.guard.now()
        await self._materialise(store_id)
        store = await self.settle(self.read(await self.documents.get(store_id)))
        if store is None:
            await self.guard.pause(asked_at)
            raise missing(store_id)
        return store

    async def settle(self, store: Store) -> Store | None:
        """It as it is now: None if it is being deleted; without its index, if it has expired. What is left to do for that is done."""
        if self._is_settled(store):
            return store
        from core.services.vector_stores import removal

        try:
            if store.record.deleting:
                await removal.remove_rest(self, store.document, seconds=removal.IN_PASSING)
                return None
            return await removal.empty(self, store)
        except ApiError as failure:
            log.warning("vector store %s: what is left of it cannot be removed now: %s", store.id, failure)
            return None if store.record.deleting else store

    def _is_settled(self, store: Store) -> bool:
        """Whether nothing is left to be done for it: it is in use, or has expired and its index is gone."""
        record = store.record
        return not record.deleting and (record.emptied or not store.is_expired(self.clock()))

    async def open(self, store_id: str, action: Literal["read", "update"] = "read") -> Store:
        """The store, to search it (`read`) or to change what is in it (`update`); its last use is now.

        Raises:
            NotFound: there is none, or the caller may not read it.
            PermissionDenied: the caller may not update it.
            InvalidRequest: it has expired, or is filled elsewhere and to be changed.
        """
        store = await self.get(store_id)
        self.guard.require(action, self.item(store))
        self.require_current(store)
        if action == "update" and not self.provider(store).capabilities.writable:
            raise InvalidRequest(
                f"Provider `{store.record.provider_id}` keeps what is filled elsewhere: nothing can be put into `{store.id}`, changed or removed "
                "in it here. It can be searched.",
                param="vector_store_id",
            )
        return await self.touch(await self._with_dimension(store))

    def require_current(self, store: Store) -> None:
        """Raise InvalidRequest for one that has expired."""
        if store.is_expired(self.clock()):
            raise InvalidRequest(
                f"The vector store `{store.id}` has expired, and what was in it is gone. Make another one, and add the files to it.",
                param="vector_store_id",
            )

    async def is_there(self, store: Store) -> bool:
        """Whether it is still the one that was read, and not being deleted: ask after writing what a deletion would have to see."""
        document = await self.store.get(STORES, store.id)
        if document is None or document.body["deleting"]:
            return False
        return self.read(document).record.provider_resource_id == store.record.provider_resource_id

    async def touch(self, store: Store) -> Store:
        """Note that it is used now, whoever uses it."""
        now = int(self.clock())
        if now - store.record.last_active < TOUCH_SECONDS:
            return store
        record = replace(StoreRecord.read(store.document.body), last_active=now)
        try:
            document = await self.store.put(store.document, record.body())
        except StaleRevision:  # another has used it too, or changed it
            return store
        return self.read(document)

    def read(self, document: Document) -> Store:
        """The store of a document, with what the run config says of it."""
        record = StoreRecord.read(document.body)
        resource = self.parts.registries[KIND](None).declarations.get(document.id)
        if resource is None:
            return Store(document, record)
        says = resource.attributes
        record = replace(
            record,
            provider_id=resource.provider_id,
            provider_resource_id=resource.provider_resource_id,
            embedding_model=says["embedding_model"] or record.embedding_model,
            embedding_dimension=says["embedding_dimension"] or record.embedding_dimension,
        )
        return Store(document, record, declared=True)

    async def list(
        self, *, order: Order, after: str | None = None, before: str | None = None, limit: int
    ) -> tuple[list[Store], bool]:
        """At most `limit` of those that the caller may read, by (created, id), and whether there are more that way.

        Those before the store `before` are the nearest ones. Raises NotFound where there is no such store.
        """
        for store_id in self.parts.registries[KIND](None).declarations:
            await self._materialise(store_id)
        backwards, place = before is not None, before if before is not None else after
        if backwards:
            order = "asc" if order == "desc" else "desc"
        stores: list[Store] = []
        settled, more = 0, True
        while more and len(stores) <= limit:
            page = await self.documents.page(order=order, after=place, limit=limit + 1 - len(stores))
            for document in page.documents:
                store = self.read(document)
                if not self._is_settled(store) and settled < MOST_SETTLED:
                    settled += 1
                    stores += filter(None, [await self.settle(store)])
                elif not store.record.deleting:
                    stores.append(store)
            more = page.has_more
            place = page.documents[-1].id if page.documents else place
        page_of, has_more = stores[:limit], len(stores) > limit
        return (page_of[::-1] if backwards else page_of), has_more

    def provider(self, store: Store) -> VectorIOProvider:
        """The provider that has it; raises ProviderUnavailable where this stack does not configure it."""
        provider = self.parts.providers("vector_io").get(store.record.provider_id)
        if provider is None:
            raise ProviderUnavailable(
                f"The vector store `{store.id}` is kept by provider `{store.record.provider_id}`, which this stack does not configure."
            )
        return self._for_caller(provider)

    def require_removable(self, provider_id: str, param: str = "file_ids") -> None:
        """Raise InvalidRequest for a provider that keeps what files are cut into until the whole store goes."""
        provider = cast("VectorIOProvider | None", self.parts.providers("vector_io").get(provider_id))
        if provider is not None and not provider.capabilities.removable:
            raise InvalidRequest(
                f"Provider `{provider_id}` cannot take chunks out of a vector store again, so that no files are added to those that it keeps. "
                "Put chunks into them by POST /v1/vector-io/insert, or make a store at another provider.",
                param=param,
            )

    def _for_caller(self, provider: object) -> VectorIOProvider:
        """With what the caller brings for it."""
        data = None if self.call is None else self.call.provider_data
        if data:
            from core.apis.inference import TakesProviderData

            if isinstance(provider, TakesProviderData):
                with ActingFor(self.call):
                    provider = provider.with_provider_data(data)
        return cast("VectorIOProvider", provider)

    async def ask[T](self, coming: Awaitable[T]) -> T:
        """What a provider answers: it acts for the caller, and how long it takes is noted."""
        with (self.call or Call(ANONYMOUS)).observed.upstream, ActingFor(self.call):
            return await coming

    def item(self, store: Store) -> Item:
        """As the access policy sees it."""
        return Item(KIND, store.id, store.document.owner)

    async def _materialise(self, store_id: str) -> None:
        """Make the document of a declared store that has none yet."""
        from core.services.vector_stores.declared import materialise

        if store_id in self.seen or store_id not in self.parts.registries[KIND](None).declarations:
            return
        await materialise(self, self.parts.registries[KIND](None).declarations[store_id])
        self.seen.add(store_id)

    async def _with_dimension(self, store: Store) -> Store:
        """Of a declared store of which nobody has said it, the model is asked."""
        if store.record.embedding_dimension or self.provider(store).capabilities.embeds:
            return store
        model = store.record.embedding_model or (await self.models.default()).name
        dimension = await self.models.dimension(model)
        record = replace(store.record, embedding_model=model, embedding_dimension=dimension)
        try:
            document = await self.store.put(store.document, record.body())
        except StaleRevision:
            document = store.document
        return replace(store, document=document, record=record)


def missing(store_id: str) -> NotFound:
    return NotFound(f"There is no vector store `{store_id}`.", param="vector_store_id")


def _show(document: Document) -> JsonObject:
    return {"id": document.id}
