"""Retrieval: what vector stores know of a question, as a model is told of it. One implementation for the RAG tool, `knowledge_search` and `file_search`.

Sources: RAGToolRuntime of Llama Stack 0.2.12 and OGX 1.5.0, https://platform.openai.com/docs/guides/tools-file-search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from core.frame.types import JsonObject

if TYPE_CHECKING:  # who reads the wire of the RAG tool imports it: a response has passages, and none of that
    from core.apis.answers.rag import RagMetadata
    from core.apis.rag import QueryRag

type Wording = Literal["knowledge_search", "file_search"]
"""Whose words are around the passages: those of 0.2's RAG tool, or OGX's, by the names that the tool has there."""


@dataclass(frozen=True, slots=True)
class RetrievalQuery:
    """What to look for in which stores; None is the default of the run config's section `vector_stores`, or else of the stack.

    `filters` and `ranking_options` are as OpenAI's search has them, `mode` is vector, keyword or hybrid. `most_tokens` bounds the texts together, by the estimate that chunks
    are measured by.
    """

    texts: Sequence[str]
    store_ids: Sequence[str]
    limit: int | None = None
    most_tokens: int | None = None
    filters: JsonObject | None = None
    ranking_options: JsonObject | None = None
    mode: str | None = None
    rewrite: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that was found: `document_id` is its file's id, or its document's; `index` counts from 1 in the order of the answer.

    `attributes` are what filters are about; `metadata` is all that was given with a document, or of a file its attributes, id and name.
    """

    index: int
    text: str
    score: float
    store_id: str
    document_id: str = ""
    filename: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    chunk_id: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is told, as texts that follow each other, and the passages in them; both empty where nothing was found."""

    texts: Sequence[str] = ()
    passages: Sequence[Passage] = ()

    @property
    def metadata(self) -> "RagMetadata":
        """Which passages these are, for programs."""
        if not self.passages:
            return {}
        store_ids = [passage.store_id for passage in self.passages]
        return {
            "document_ids": [passage.document_id for passage in self.passages],
            "chunks": [passage.text for passage in self.passages],
            "scores": [passage.score for passage in self.passages],
            "vector_db_ids": store_ids,
            "vector_store_ids": store_ids,
        }


class Retrieval(Protocol):
    """The surface `retrieval`, for one caller: stores that it may not read are NotFound."""

    async def retrieve(self, query: RetrievalQuery) -> Sequence[Passage]:
        """The best of all stores, the best first, each chunk once, within the budget of tokens: the first always is in it, cut where it must be.

        Raises what a search of a vector store does.
        """
        ...

    async def check(self, query: RetrievalQuery) -> None:
        """Raise what `retrieve` raises whatever its texts are: a store that is not there, filters that are none. Nothing is searched."""
        ...

    async def tell(self, query: "QueryRag", wording: Wording = "knowledge_search") -> Context:
        """What the RAG tool answers to a query, in the words of `wording`.

        Raises what a search of a vector store does, and InvalidRequest where its query generator's model is not there.
        """
        ...
