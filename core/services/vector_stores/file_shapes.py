"""Files of vector stores, and their chunks, as OpenAI's API shows them."""

from typing import TYPE_CHECKING, Final

from core.apis.answers.vector_stores import TextContent, VectorStoreFile
from core.apis.vector_io import Chunk
from core.services.vector_stores.ingest.tokens import estimate_tokens
from core.services.vector_stores.records import FileRecord, file_id_of
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.apis.vector_stores import ContentQuery
    from core.frame.callers import Call

POLL_HEADER: Final = "openai-poll-after-ms"
SOONEST_MS: Final = 250
LATEST_MS: Final = 5000


def show_file(document: Document) -> VectorStoreFile:
    """The shape on the wire."""
    record = FileRecord.read(document.body)
    error = record.last_error
    return {
        "id": file_id_of(document),
        "object": "vector_store.file",
        "created_at": document.created,
        "vector_store_id": document.parent,
        "status": record.status,
        "last_error": None if error is None else {"code": error["code"], "message": error["message"]},
        "usage_bytes": record.usage_bytes,
        "attributes": dict(record.attributes),
        "chunking_strategy": dict(record.chunking or {}),
    }


def show_chunk(chunk: Chunk, created: int, query: "ContentQuery") -> TextContent:
    """A chunk with what `query` wants of it, and null for what it does not; `created` is when its file was added."""
    embedding = list(chunk.vector) if query.include_embeddings else None
    content: TextContent = {
        "type": "text",
        "text": chunk.text,
        "embedding": embedding,
        "metadata": None,
        "chunk_metadata": None,
    }
    if query.include_metadata:
        content["metadata"] = {**chunk.attributes, "file_id": chunk.source, "filename": chunk.filename}
        content["chunk_metadata"] = {
            "chunk_id": chunk.key,
            "document_id": chunk.source,
            "source": chunk.filename,
            "created_timestamp": created,
            "content_token_count": estimate_tokens(chunk.text),
        }
    return content


def ask_again(call: "Call | None", created: float, now: float) -> None:
    """Tell a client that polls when to look again: the later, the longer it takes already."""
    if call is not None:
        pause = min(LATEST_MS, max(SOONEST_MS, round((now - created) * SOONEST_MS)))
        call.answer_headers[POLL_HEADER] = str(pause)
