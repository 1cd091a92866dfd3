"""What packages that provide vector stores are built over: a store with its index, and the small functions beside it.

A package's own part is an `EmbeddingIndex`: `add_chunks`, `delete_chunks`, `query_vector` and `query_keyword`, of 0.2 or later.
"""

from hashlib import sha256
import re
import sys
from typing import Any, Final
from uuid import UUID

from core.frame.types import JsonObject
from core.resolution.external.reference.calls import own_method, parameters
from core.resolution.external.reference.helpers import interleaved_content_as_str
from core.resolution.external.reference.records import Record, record

CHUNKS: Final = 3  # where a query does not say
NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_]")


class EmbeddingIndex:
    """Its methods are the package's."""


class VectorStoreWithIndex:
    """A registered store, the index of its chunks, and who makes vectors of texts."""

    def __init__(
        self,
        vector_store: Any = None,  # noqa: ANN401 - a record of it
        index: Any = None,  # noqa: ANN401 - a package's own
        inference_api: Any = None,  # noqa: ANN401 - with the reference's methods
        *_: object,
        vector_db: Any = None,  # noqa: ANN401 - a record of it, as 0.2 has it
        **__: object,
    ) -> None:
        self.vector_store = self.vector_db = vector_store if vector_db is None else vector_db
        self.index = index
        self.inference_api = inference_api

    async def insert_chunks(self, request: Any) -> None:  # noqa: ANN401 - chunks, or a request for them
        chunks = getattr(request, "chunks", request)
        for chunk in chunks:
            if not chunk.embedding:
                [chunk.embedding] = await self._embed([interleaved_content_as_str(chunk.content)])
            if len(chunk.embedding) != self.vector_store.embedding_dimension:
                raise ValueError(f"An embedding has {len(chunk.embedding)} dimensions, not those of the store")
        if "embeddings" in parameters(self.index.add_chunks):
            await self.index.add_chunks(chunks, to_array([chunk.embedding for chunk in chunks]))
        else:
            await self.index.add_chunks(chunks)

    async def query_chunks(self, request: Any, params: JsonObject | None = None) -> Any:  # noqa: ANN401 - a query, or a request of one
        text = interleaved_content_as_str(getattr(request, "query", request))
        wishes: JsonObject = params or getattr(request, "params", None) or {}
        how = (wishes.get("max_chunks", CHUNKS), wishes.get("score_threshold", 0.0))
        match wishes.get("mode"):
            case "keyword":
                return await self._query("query_keyword", text, *how)
            case None | "vector":
                [vector] = await self._embed([text])
                return await self._query("query_vector", to_array(vector), *how)
            case mode:
                raise NotImplementedError(f"searches by {mode}")

    async def _query(self, name: str, *values: Any) -> Any:  # noqa: ANN401 - of the index, which knows its own answer
        method = own_method(self.index, name)
        if method is None:
            raise NotImplementedError(f"{name} of {type(self.index).__name__}")
        return await method(*values)

    async def _embed(self, texts: list[str]) -> list[list[float]]:
        model = self.vector_store.embedding_model
        answer = await self.inference_api.openai_embeddings(model=model, input=texts)
        return [row.embedding for row in answer.data]


class OpenAIVectorStoreMixin:
    """OpenAI's stores are this stack's own here, and nothing of them is the package's."""

    def __init__(
        self,
        inference_api: Any = None,  # noqa: ANN401 - with the reference's methods
        files_api: Any = None,  # noqa: ANN401 - keeps Files
        kvstore: Any = None,  # noqa: ANN401 - a KVStore
        **_: object,
    ) -> None:
        self.inference_api = inference_api
        self.files_api = files_api
        self.kvstore = kvstore
        self.openai_vector_stores: JsonObject = {}

    async def initialize_openai_vector_stores(self) -> None:
        """Nothing: there are none."""

    async def shutdown(self) -> None:
        """Nothing: it has no tasks."""


def load_embedded_chunk_with_backward_compat(chunk_data: JsonObject) -> Record:
    """The chunk, as JSON was made of it."""
    row: Record = record("Chunk", **chunk_data)
    return row


def generate_chunk_id(document_id: str, chunk_text: str, chunk_window: str | None = None) -> str:
    """The same of the same."""
    return str(UUID(bytes=sha256(f"{document_id}:{chunk_text}:{chunk_window or ''}".encode()).digest()[:16]))


def sanitize_collection_name(name: str, weaviate_format: bool = False) -> str:  # noqa: FBT001, FBT002 - the reference's signature
    """With letters, digits and underscores alone; Weaviate's begin with a capital."""
    plain = NOT_PLAIN.sub("_", name)
    return f"{plain[:1].upper()}{plain[1:]}" if weaviate_format else plain


def to_array(numbers: list[Any]) -> Any:  # noqa: ANN401 - an array of numpy's, or the list
    """What packages expect that compute with vectors: those have imported numpy. Others get the list."""
    numpy: Any = sys.modules.get("numpy")
    return numbers if numpy is None else numpy.array(numbers, dtype=numpy.float32)
