"""The RAG tool of 0.2: documents into a store, and what is told of a question."""

import time

from core.apis.answers.rag import RagAnswer
from core.apis.rag import InsertDocuments, QueryRag
from core.frame.callers import Call
from core.services.parts import Parts
from core.services.vector_stores.stores import StoreCollection


class RagToolRouter:
    """Answers `core.apis.rag.RagTool`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def insert(self, request: InsertDocuments) -> None:
        from core.services.retrieval.documents import DocumentInsertion

        await DocumentInsertion(self._stores).insert(request)

    async def query(self, request: QueryRag) -> RagAnswer:
        from core.services.retrieval.router import RetrievalRouter

        context = await RetrievalRouter(self._stores).tell(request)
        return {
            "content": [{"type": "text", "text": text} for text in context.texts] or None,
            "metadata": context.metadata,
        }


def rag_tool_over(parts: Parts, call: Call | None, seen: set[str]) -> RagToolRouter:
    """For one call; `seen` are the declared stores that the process knows to be there."""
    return RagToolRouter(StoreCollection(parts, call, seen, time.time))
