"""A new vector store: what is asked for, checked, with what the run config says where nothing is asked for."""

from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from uuid import uuid4

from core.apis.vector_io import VectorIOProvider
from core.apis.vector_stores import NewVectorStore
from core.config.vector_stores import VectorStoresConfig
from core.errors import ApiError, InvalidRequest, StaleRevision
from core.frame.callers import principal_of
from core.frame.types import JsonObject
from core.routing.guard import Item
from core.services.vector_stores.keeping import addition, refusal, removal, tally_id
from core.services.vector_stores.metadata import check_metadata
from core.services.vector_stores.records import STORES, StoreRecord
from core.services.vector_stores.stores import KIND, Store, StoreCollection, missing
from core.stores.documents.port import TallyExceeded

MOST_DIGITS: Final = 9
OWN_PLACE: Final = "Only the run config may say what a vector store is called at its provider. Leave it out: the store gets a name of its own."


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request says of where a store is to be, and of its vectors; None is nothing."""

    provider_id: str | None = None
    embedding_model: str | None = None
    embedding_dimension: int | None = None


async def create(stores: StoreCollection, request: NewVectorStore) -> Store:
    """A store as OpenAI's API makes it, with an id of its own, and without the files of the request."""
    metadata: Mapping[str, Any] = request.metadata or {}
    if request.provider_vector_store_id or request.provider_vector_db_id:
        param = "provider_vector_store_id" if request.provider_vector_store_id else "provider_vector_db_id"
        raise InvalidRequest(OWN_PLACE, param=param)
    store_id = f"vs_{uuid4()}"
    record = StoreRecord(
        provider_id="",
        provider_resource_id=store_id,
        embedding_model="",
        embedding_dimension=0,
        name=request.name,
        description=request.description,
        chunking=check_chunking(request.chunking_strategy, stores.parts.vector_stores),
        metadata=dict(check_metadata(metadata)),
        expires_days=None if request.expires_after is None else request.expires_after.days,
    )
    wishes = _wishes(request, metadata)
    if request.file_ids:
        stores.require_removable(choose_provider(stores, wishes.provider_id))
    return await make(stores, store_id, record, wishes)


async def make(stores: StoreCollection, store_id: str, record: StoreRecord, wishes: Wishes) -> Store:
    """The store of `record`, kept as the caller's, with its index at its provider.

    Where `record` does not say what it is called there, that is made up: so nobody gets at another's by a name, and what is still
    written for a store that was deleted never comes into one that has its id again.

    Raises:
        PermissionDenied: the caller may not create it.
        InvalidRequest: there is no such provider or model, or the model has another dimension.
        LimitReached: the caller has as many as it may.
        Conflict: the id is taken.
        NotFound: it was deleted before its index was there.
    """
    require_create(stores, store_id)
    provider_id = choose_provider(stores, wishes.provider_id)
    require_writable(stores, provider_id)
    model, dimension = await choose_model(stores, wishes)
    record = replace(record, provider_id=provider_id, embedding_model=model, embedding_dimension=dimension)
    return await keep(stores, store_id, record)


def require_create(stores: StoreCollection, store_id: str) -> None:
    """Raise PermissionDenied where the caller may not create it."""
    stores.guard.require("create", Item(KIND, store_id, stores.guard.owner))


async def keep(stores: StoreCollection, store_id: str, record: StoreRecord) -> Store:
    """The store of `record`, whose provider, model and dimension were chosen; raises what `make` raises of its place, its id and limits."""
    principal = principal_of(stores.call)
    limits = stores.parts.keep_limits(principal)
    record = replace(
        record,
        provider_resource_id=record.provider_resource_id or f"vs_{uuid4()}",
        last_active=int(stores.clock()),
        counted=tally_id(principal, limits),
    )
    try:
        document = await stores.documents.create(store_id, record.body(), tally=addition(record.counted, limits))
    except TallyExceeded as exceeded:
        raise refusal(exceeded) from None
    store = Store(document, record)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(take_back, stores, store)
        await stores.ask(stores.provider(store).create(store.index))
        if not await stores.is_there(store):  # who deleted it may have looked for the index before
            raise missing(store_id)
        undo.pop_all()
    return store


async def take_back(stores: StoreCollection, store: Store) -> None:
    """Of a store that was not made, nothing stays: an index whose answer was lost may be there."""
    with suppress(ApiError):
        await stores.ask(stores.provider(store).drop(store.index))
    with suppress(
        ApiError, StaleRevision
    ):  # else it is being changed, and stays as one without an index, which a write makes
        document = await stores.store.get(STORES, store.id)
        if document is not None and not document.body["deleting"]:  # that took it off the tally
            await stores.store.delete(
                document, expect=document.revision, tally=removal(StoreRecord.read(document.body))
            )


def check_chunking(strategy: JsonObject | None, config: VectorStoresConfig) -> JsonObject | None:
    """Itself; raises InvalidRequest for one that files could not be cut by."""
    if strategy is not None:
        from core.services.vector_stores.attributes import chunking_in_force

        chunking_in_force(strategy, None, config)
    return strategy


def _wishes(request: NewVectorStore, metadata: Mapping[str, Any]) -> Wishes:
    """The fields of the request, or else what its metadata says under the same names, as the reference takes it."""
    return Wishes(
        request.provider_id or _text(metadata, "provider_id"),
        request.embedding_model or _text(metadata, "embedding_model"),
        request.embedding_dimension or _number(metadata, "embedding_dimension"),
    )


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value: object = metadata.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise InvalidRequest(f"`{name}` must be a string.", param=f"metadata.{name}")


def _number(metadata: Mapping[str, Any], name: str) -> int | None:
    """Itself, or a string of it, as answers have it."""
    text = str(metadata.get(name) or "")
    if not text:
        return None
    if text.isdecimal() and len(text) <= MOST_DIGITS:
        return int(text)
    raise InvalidRequest(f"`{name}` must be a whole number.", param=f"metadata.{name}")


def choose_provider(stores: StoreCollection, wish: str | None) -> str:
    """The id of the provider that is asked for, or of the default; raises as `make` does."""
    name = wish or stores.parts.vector_stores.default_provider_id
    return stores.parts.registries[KIND](stores.call).provider_of({} if name is None else {"provider_id": name})


def require_writable(stores: StoreCollection, provider_id: str) -> None:
    """Raise InvalidRequest for a provider that has only what is filled elsewhere."""
    provider = cast("VectorIOProvider | None", stores.parts.providers("vector_io").get(provider_id))
    if provider is not None and not provider.capabilities.writable:
        raise InvalidRequest(
            f"Provider `{provider_id}` has only stores that are filled elsewhere, none that a request makes: declare one at `vector_stores` of "
            "the run config, or name another `provider_id`.",
            param="provider_id",
        )


async def choose_model(stores: StoreCollection, wishes: Wishes) -> tuple[str, int]:
    """The model's name and the dimension of the store's vectors; raises as `make` does."""
    models = stores.models
    if wishes.embedding_model is None:
        default = await models.default()
        name, own = default.name, default.dimension or await models.dimension(default.name)
    else:
        name, own = wishes.embedding_model, await models.dimension(wishes.embedding_model)
    if wishes.embedding_dimension not in {None, own}:
        raise InvalidRequest(
            f"The embedding model `{name}` gives vectors of {own} dimensions, and the vector store is to have those of "
            f"{wishes.embedding_dimension}. Leave `embedding_dimension` out, or name another model.",
            param="embedding_dimension",
        )
    return name, own
