"""Vector stores: OpenAI's API of them, of the files in them and of searches, and its two views of Llama Stack.

Sources: https://platform.openai.com/docs/api-reference/vector-stores, VectorIO of Llama Stack 0.2.12 and OGX 1.5.0.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol, override

from pydantic import Field

from core.apis.answers.jobs import JobView
from core.apis.answers.vector_stores import (
    FileBatch,
    FileContentPage,
    NativeQueryAnswer,
    SearchPage,
    VectorDB,
    VectorDBList,
    VectorStore,
    VectorStoreDeleted,
    VectorStoreFile,
    VectorStoreFileDeleted,
    VectorStoreFileList,
    VectorStoreList,
)
from core.apis.vector_io import NamedStore, SearchMode
from core.errors import InvalidRequest
from core.frame.forms import of_form
from core.frame.types import JsonObject, Query, Wire

MOST_IN_BATCH: Final = 500
MOST_RESULTS: Final = 50
MOST_QUERY: Final = 16_384
"""Characters of one query."""
MOST_CHUNKS: Final = 1000
"""Of one insert."""

type Text = Annotated[str, Field(min_length=1)]
type StoreId = Annotated[str, of_form(r"^[ -~]{1,256}$", "must be 1 to 256 printable characters of ASCII")]
"""Printable ASCII."""
type FileId = Annotated[str, of_form(r"^[!-9;-~]{1,128}$", "must be a file's id, without blanks and colons")]
"""Printable ASCII without blanks and colons, which end a store's id where a file's follows it."""
type Metadata = dict[str, Any]
"""At most 16 keys of at most 64 characters; of a store strings of at most 512, of a file numbers and booleans too."""


class RegisterVectorStore(Wire):
    """An entry of `vector_stores` in a run config; `vector_dbs` is read as one. Its dimension is the embedding model's, unless it says so."""

    vector_store_id: StoreId
    provider_vector_store_id: str | None = None
    provider_id: str | None = None
    embedding_model: Text | None = None
    embedding_dimension: Annotated[int, Field(ge=1, le=4096)] | None = None
    vector_store_name: str | None = None


class StoreExpiry(Wire):
    """A store ends so many days after it was last used: searched, or added to."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class NewVectorStore(Wire):
    """The last four are Llama Stack's, each with its default; `provider_vector_db_id` is `provider_vector_store_id` of 0.2.

    `chunking_strategy` is that of files that come without one: `{type: auto}`, `{type: static, static: {...}}` or
    `{type: contextual, contextual: {...}}`.
    """

    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    file_ids: Annotated[list[FileId], Field(max_length=MOST_IN_BATCH)] | None = None
    expires_after: StoreExpiry | None = None
    chunking_strategy: JsonObject | None = None
    metadata: Metadata | None = None
    embedding_model: Text | None = None
    embedding_dimension: Annotated[int, Field(ge=1, le=4096)] | None = None
    provider_id: Text | None = None
    provider_vector_store_id: Text | None = None
    provider_vector_db_id: Text | None = None

    @override
    def check_body(self) -> None:
        if self.file_ids is None and "files" in (
            self.model_extra or {}
        ):  # as in a batch: without a word none would be in it
            raise InvalidRequest(
                "A new vector store takes `file_ids`, the ids of its files, and no `files`.", param="files"
            )


class ChangedVectorStore(Wire):
    """What is not there stays as it is; null removes it."""

    name: Annotated[str, Field(max_length=256)] | None = None
    expires_after: StoreExpiry | None = None
    metadata: Metadata | None = None


class ListStoresQuery(Query):
    """At most `limit` of those that the caller may see, after `after` or before `before`."""

    after: str | None = None
    before: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


class ListFilesQuery(ListStoresQuery):
    """`filter` is the status of the files."""

    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None


class HybridWeights(Wire):
    """The weights of a hybrid search's two rankings; one is above 0."""

    embedding_weight: Annotated[float, Field(ge=0)]
    text_weight: Annotated[float, Field(ge=0)]


class RankingOptions(Wire):
    """`alpha` is the share of the vector's ranking with `weighted`; `impact_factor` is that of `rrf`.

    `model` is a rerank model, which ranks what was found; `weights` are of `vector`, `keyword` and `neural`, the model's.
    """

    ranker: str | None = None
    score_threshold: float | None = None
    hybrid_search: HybridWeights | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    impact_factor: Annotated[float, Field(gt=0, le=10_000)] | None = None
    weights: dict[str, float] | None = None
    model: str | None = None


class SearchRequest(Wire):
    """`filters` is read by `core.apis.vector_filters`; `search_mode` is Llama Stack's."""

    query: str | list[str]
    filters: Any = None
    max_num_results: Annotated[int, Field(ge=1, le=MOST_RESULTS)] | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None
    search_mode: SearchMode | None = None

    @override
    def check_body(self) -> None:
        if self.filters is None and "filter" in (self.model_extra or {}):  # without a word all would be searched
            raise InvalidRequest("What a search is held to is named `filters`, not `filter`.", param="filter")


class NewStoreFile(Wire):
    """A file to add to a store."""

    file_id: FileId
    attributes: Metadata | None = None
    chunking_strategy: JsonObject | None = None


class ChangedStoreFile(Wire):
    """The attributes take the place of those before."""

    attributes: Metadata


class NewFileBatch(Wire):
    """Either `file_ids`, with what is common to them, or `files`, each with its own."""

    file_ids: Annotated[list[FileId], Field(min_length=1, max_length=MOST_IN_BATCH)] | None = None
    files: Annotated[list[NewStoreFile], Field(min_length=1, max_length=MOST_IN_BATCH)] | None = None
    attributes: Metadata | None = None
    chunking_strategy: JsonObject | None = None


class ContentQuery(Query):
    """What comes with a file's chunks beside their text; `page` is the `next_page` of an answer before."""

    include_embeddings: bool = False
    include_metadata: bool = False
    page: str | None = None


class NativeChunkInput(Wire):
    """`content` is interleaved; without an `embedding` the store's model makes it. Without a `chunk_id` it is made of the content."""

    content: Any
    metadata: Metadata = Field(default_factory=dict[str, Any])
    chunk_id: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    stored_chunk_id: str | None = None
    embedding: list[float] | None = Field(default=None, repr=False)
    chunk_metadata: Metadata | None = None


class InsertChunks(Wire):
    """Into `vector_store_id`, which 0.2 calls `vector_db_id`. `ttl_seconds` has no effect: chunks stay as long as their store."""

    vector_store_id: StoreId | None = None
    vector_db_id: StoreId | None = None
    chunks: Annotated[list[NativeChunkInput], Field(max_length=MOST_CHUNKS)]
    ttl_seconds: int | None = None


class QueryChunks(Wire):
    """In `vector_store_id`, which 0.2 calls `vector_db_id`.

    `params` are `max_chunks`, `score_threshold`, `mode`, `ranker`, `filters` and `include_embeddings`.
    """

    vector_store_id: StoreId | None = None
    vector_db_id: StoreId | None = None
    query: Any
    params: JsonObject | None = None


class CopyTarget(Wire):
    """Where a vector store is copied to: one that is there, or a new one. What a new one does not say is as in the store that is copied."""

    vector_store_id: StoreId | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    provider_id: Text | None = None
    embedding_model: Text | None = None
    embedding_dimension: Annotated[int, Field(ge=1, le=4096)] | None = None


class CopyVectorStore(Wire):
    """Our own."""

    to: CopyTarget = Field(default_factory=CopyTarget)


class NewVectorDB(Wire):
    """A vector store, as 0.2 registers it: with the id that the caller gives it."""

    vector_db_id: StoreId
    embedding_model: Text
    embedding_dimension: Annotated[int, Field(ge=1, le=4096)] | None = None
    provider_id: Text | None = None
    provider_vector_db_id: Text | None = None
    vector_db_name: str | None = None


class VectorStores(Protocol):
    """The stores that a caller may use; of others, and of what has gone, nothing is said."""

    async def list_names(self, *, limit: int) -> Sequence[NamedStore]:
        """The newest `limit` that can be searched."""
        ...

    async def find_name(self, vector_store_id: str) -> NamedStore:
        """Raises NotFound."""
        ...

    async def create(self, request: NewVectorStore) -> VectorStore: ...

    async def index(self, *, query: ListStoresQuery) -> VectorStoreList: ...

    async def get(self, vector_store_id: str) -> VectorStore: ...

    async def update(self, request: ChangedVectorStore, vector_store_id: str) -> VectorStore: ...

    async def delete(self, vector_store_id: str) -> VectorStoreDeleted:
        """Remove it with its chunks; its files stay."""
        ...

    async def search(self, request: SearchRequest, vector_store_id: str) -> SearchPage:
        """What is nearest to the query among the chunks for which the filters hold.

        Raises:
            NotFound: there is no such store, or the caller may not read it.
            InvalidRequest: the filter is none, the provider has no such mode, the store has expired.
        """
        ...


class StoreFiles(Protocol):
    """The files in a store, and batches of them."""

    async def add(self, request: NewStoreFile, vector_store_id: str) -> VectorStoreFile:
        """Add a file, and cut, embed and keep its text as far as there is time; what is left is done in a job."""
        ...

    async def index(self, vector_store_id: str, *, query: ListFilesQuery) -> VectorStoreFileList: ...

    async def get(self, vector_store_id: str, file_id: str) -> VectorStoreFile: ...

    async def update(self, request: ChangedStoreFile, vector_store_id: str, file_id: str) -> VectorStoreFile: ...

    async def remove(self, vector_store_id: str, file_id: str) -> VectorStoreFileDeleted:
        """Take the file out of the store; the file itself stays."""
        ...

    async def content(self, vector_store_id: str, file_id: str, *, query: ContentQuery) -> FileContentPage: ...

    async def create_batch(self, request: NewFileBatch, vector_store_id: str) -> FileBatch:
        """Add files that a job takes in, one after the other."""
        ...

    async def get_batch(self, vector_store_id: str, batch_id: str) -> FileBatch: ...

    async def batch_files(
        self, vector_store_id: str, batch_id: str, *, query: ListFilesQuery
    ) -> VectorStoreFileList: ...

    async def cancel_batch(self, vector_store_id: str, batch_id: str) -> FileBatch: ...


class StoreCopies(Protocol):
    """Vector stores that move: to another provider, or to another embedding model."""

    async def copy(self, request: CopyVectorStore, vector_store_id: str) -> JobView:
        """A job that copies what is in the store now to another one, or the job that is at it already.

        Where model and dimension are the same, vectors are copied; else its texts are embedded again, as the caller.

        Raises:
            NotFound: there is no such store, or the caller may not read it.
            PermissionDenied: the caller may not make the other, or may not change it.
            InvalidRequest: a provider cannot keep it, or does not tell what it keeps.
            Conflict: the other store has something else in it.
        """
        ...


class NativeVectorIO(Protocol):
    """Chunks by themselves, as Llama Stack's vector-io has them, in the same stores."""

    async def insert(self, request: InsertChunks) -> None: ...

    async def query(self, request: QueryChunks) -> NativeQueryAnswer: ...


class VectorDBs(Protocol):
    """The same stores as Llama Stack 0.2 registers and shows them."""

    async def register(self, request: NewVectorDB) -> VectorDB: ...

    async def index(self) -> VectorDBList: ...

    async def get(self, vector_db_id: str) -> VectorDB: ...

    async def unregister(self, vector_db_id: str) -> None: ...
