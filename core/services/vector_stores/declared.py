"""Vector stores that the run config declares: each gets a document, nobody's, when it is first looked up or listed."""

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from core.errors import ApiError, Conflict
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.services.vector_stores.records import STORES, StoreRecord
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.apis.vector_io import VectorIOProvider
    from core.services.vector_stores.stores import StoreCollection


async def materialise(stores: "StoreCollection", resource: Resource) -> None:
    """Make the document of a declared store, unless it is there."""
    if await stores.store.get(STORES, resource.identifier) is not None:
        return
    now, says = int(stores.clock()), resource.attributes
    model, dimension = await _vectors_of(stores, resource.provider_id, says)
    record = StoreRecord(
        provider_id=resource.provider_id,
        provider_resource_id=resource.provider_resource_id,
        embedding_model=model,
        embedding_dimension=dimension,
        name=says["vector_store_name"] or resource.identifier,
        last_active=now,
    )
    try:
        await stores.store.create(Document(STORES, resource.identifier, record.body(), created=now))
    except Conflict:  # another process was first
        return


async def _vectors_of(stores: "StoreCollection", provider_id: str, says: JsonObject) -> tuple[str, int]:
    """The model and the dimension as far as they are known without asking it: "" and 0 wait for the first use."""
    from core.services.vector_stores.embedding import EmbeddingModel, EmbeddingModels

    provider = cast("VectorIOProvider | None", stores.parts.providers("vector_io").get(provider_id))
    if provider is not None and provider.capabilities.embeds:
        return "", 0
    models, name = EmbeddingModels(stores.parts, None), says["embedding_model"]
    model, dimension = EmbeddingModel(name or ""), None
    with suppress(ApiError):
        model = await models.default() if name is None else model
        dimension = model.dimension or await models.known_dimension(model.name)
    return model.name, says["embedding_dimension"] or dimension or 0
