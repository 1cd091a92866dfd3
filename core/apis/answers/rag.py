"""What the RAG tool answers."""

from typing import Literal, TypedDict


class TextItem(TypedDict):
    type: Literal["text"]
    text: str


class RagMetadata(TypedDict, total=False):
    """Of the passages that are shown, the best first; empty where there are none. `vector_db_ids` and `vector_store_ids` are the same."""

    document_ids: list[str]
    chunks: list[str]
    scores: list[float]
    vector_db_ids: list[str]
    vector_store_ids: list[str]


class RagAnswer(TypedDict):
    """`content` is null where nothing was found."""

    content: list[TextItem] | None
    metadata: RagMetadata
