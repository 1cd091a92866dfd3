"""Vector stores, their files and what is found in them, as a client gets them; times are Unix seconds."""

from typing import Any, Literal, NotRequired, TypedDict

type Status = Literal["in_progress", "completed", "cancelled", "failed"]


class FileCounts(TypedDict):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class ExpiresAfter(TypedDict):
    anchor: Literal["last_active_at"]
    days: int


class VectorStore(TypedDict):
    """`metadata` has what the caller gave, and `provider_id`, `provider_vector_store_id`, `embedding_model`, `embedding_dimension`."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str | None
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfter | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]


class VectorStoreList(TypedDict):
    """A page; its ids are null where it is empty."""

    object: Literal["list"]
    data: list[VectorStore]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VectorStoreDeleted(TypedDict):
    id: str
    object: Literal["vector_store.deleted"]
    deleted: Literal[True]


class TextContent(TypedDict):
    """With `include_embeddings` and `include_metadata` of a file's content, the others."""

    type: Literal["text"]
    text: str
    embedding: NotRequired[list[float] | None]
    chunk_metadata: NotRequired[dict[str, Any] | None]
    metadata: NotRequired[dict[str, Any] | None]


class SearchResult(TypedDict):
    """A chunk; `score` is from 0 to 1, the best first."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | float | bool]
    content: list[TextContent]


class SearchPage(TypedDict):
    """`search_query` are the queries as they were searched for."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None


class LastError(TypedDict):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class VectorStoreFile(TypedDict):
    """A file in a store; `id` is the file's."""

    id: str
    object: Literal["vector_store.file"]
    created_at: int
    vector_store_id: str
    status: Status
    last_error: LastError | None
    usage_bytes: int
    attributes: dict[str, str | float | bool]
    chunking_strategy: dict[str, Any]


class VectorStoreFileList(TypedDict):
    """A page; its ids are null where it is empty."""

    object: Literal["list"]
    data: list[VectorStoreFile]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VectorStoreFileDeleted(TypedDict):
    id: str
    object: Literal["vector_store.file.deleted"]
    deleted: Literal[True]


class FileContentPage(TypedDict):
    """The chunks of a file in their order. `file_id`, `filename`, `attributes` and `content` are as Llama Stack 0.2 has them."""

    object: Literal["vector_store.file_content.page"]
    data: list[TextContent]
    has_more: bool
    next_page: str | None
    file_id: str
    filename: str
    attributes: dict[str, str | float | bool]
    content: list[TextContent]


class FileBatch(TypedDict):
    """Files that were added together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: Status
    file_counts: FileCounts


class NativeChunk(TypedDict):
    """A chunk of `/v1/vector-io`; `embedding` is empty unless `params.include_embeddings` is true. The client of OGX wants all fields."""

    content: Any
    metadata: dict[str, Any]
    chunk_id: str
    embedding: list[float]
    embedding_model: str
    embedding_dimension: int
    chunk_metadata: dict[str, Any]


class NativeQueryAnswer(TypedDict):
    """`scores` are those of `chunks`, from 0 to 1."""

    chunks: list[NativeChunk]
    scores: list[float]


class VectorDB(TypedDict):
    """A vector store, as Llama Stack 0.2 calls it."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["vector_db"]
    embedding_model: str
    embedding_dimension: int
    vector_db_name: str | None
    owner: NotRequired[str]


class VectorDBList(TypedDict):
    data: list[VectorDB]
