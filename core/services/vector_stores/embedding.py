"""Embedding models: which one a new store gets, how many dimensions its vectors have, and texts as vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final, cast

from core.apis.inference import EmbeddingsRequest, Inference
from core.apis.vector_io import Vector
from core.errors import InvalidRequest, NotFound, UpstreamFailed
from core.frame.callers import Call
from core.frame.resources import Resource
from core.platform.json_values import is_list, to_object
from core.routing.guard import PAGE_SIZE, GuardedRegistry
from core.services.parts import Parts, surface_for
from core.services.vector_stores.records import StoreRecord

AT_ONCE: Final = 96
"""Texts of one request; Bedrock's Cohere takes no more."""
DIMENSION: Final = "embedding_dimension"
PARAM: Final = "embedding_model"
NO_MODEL: Final = (
    "This stack has no embedding model that you may use. Declare one under `models` of the run config, with `model_type: embedding`, "
    "or name one as `embedding_model`."
)


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model by its name; `dimension` is what its vectors are shortened to, None for as many as they have."""

    name: str
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingModels:
    """Those that the caller may use; their tokens are charged to it."""

    parts: Parts
    call: Call | None

    async def default(self) -> EmbeddingModel:
        """That of the run config's `vector_stores`, or the first there is; raises InvalidRequest for none."""
        default = self.parts.vector_stores.default_embedding_model
        if default is not None:
            return EmbeddingModel(default.name, default.embedding_dimensions)
        models, after, more = self._models, "", True
        while more and models is not None:
            page = await models.page(after=after, limit=PAGE_SIZE)
            for resource in page.resources:
                if resource.attributes["model_type"] == "embedding":
                    return EmbeddingModel(resource.identifier)
            more = page.has_more and bool(page.resources)
            after = page.resources[-1].identifier if page.resources else after
        raise InvalidRequest(NO_MODEL, param=PARAM)

    async def dimension(self, name: str) -> int:
        """How many dimensions the model's vectors have: as its metadata says, or else its answer to a word.

        Raises:
            InvalidRequest: there is no such model, or the caller may not use it.
        """
        dimension = await self.known_dimension(name)
        if dimension is not None:
            return dimension
        [vector] = await self._ask(name, ["dimension"], {})
        return len(vector)

    async def known_dimension(self, name: str) -> int | None:
        """What the model's metadata says; raises as `dimension` does."""
        return _dimension_of(await self._resource(name))

    async def embed(self, store_id: str, record: StoreRecord, texts: Sequence[str]) -> list[Vector]:
        """The texts as vectors of the store's model, in their order.

        Raises:
            InvalidRequest: the model is gone, or has other dimensions than the store by now.
        """
        resource = await self._resource(record.embedding_model, store_id)
        options: dict[str, Any] = {}
        if _dimension_of(resource) not in {None, record.embedding_dimension}:
            options["dimensions"] = record.embedding_dimension  # a model that can shorten its vectors does
        vectors: list[Vector] = []
        for batch in batched(texts, AT_ONCE, strict=False):
            vectors += await self._ask(record.embedding_model, list(batch), options)
        for vector in vectors:
            if len(vector) != record.embedding_dimension:
                raise InvalidRequest(
                    f"The embedding model `{record.embedding_model}` gives vectors of {len(vector)} dimensions, and the vector store "
                    f"`{store_id}` was made for {record.embedding_dimension}. Make another store for this model.",
                    param=PARAM,
                )
        return vectors

    @property
    def _models(self) -> GuardedRegistry | None:
        registry = self.parts.registries.get("model")
        return None if registry is None else registry(self.call)

    async def _resource(self, name: str, store_id: str = "") -> Resource:
        try:
            resource = None if self._models is None else await self._models.get(name)
        except NotFound:
            resource = None
        if resource is None:
            whose = f" of the vector store `{store_id}`" if store_id else ""
            raise InvalidRequest(
                f"The embedding model `{name}`{whose} is not there, or you may not use it. GET /v1/models lists what there is: "
                + ("register it again, or make another store." if store_id else "name one of those."),
                param=PARAM,
            )
        if resource.attributes["model_type"] != "embedding":
            raise InvalidRequest(f"Model `{name}` is not an embedding model. Name one that is.", param=PARAM)
        return resource

    async def _ask(self, name: str, texts: list[str], options: dict[str, Any]) -> list[Vector]:
        inference = cast("Inference", surface_for(self.parts, "inference", self.call))
        request = EmbeddingsRequest.model_validate({"model": name, "input": texts, **options})
        rows: object = (await inference.embeddings(request)).get("data")
        vectors = [to_object(row).get("embedding") for row in rows] if is_list(rows) else []
        if len(vectors) != len(texts) or not all(is_list(vector) and vector for vector in vectors):
            raise UpstreamFailed(f"The embedding model `{name}` did not answer with a vector for each text.")
        return cast("list[Vector]", vectors)


def _dimension_of(model: Resource) -> int | None:
    """What its metadata says."""
    value = to_object(model.attributes.get("metadata")).get(DIMENSION)
    return value if isinstance(value, int) and value > 0 else None
