"""The RAG tool of Llama Stack 0.2: documents into a vector store, and what a model is told of a question.

Source: RAGToolRuntime of Llama Stack 0.2.12.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Protocol, override, runtime_checkable

from pydantic import Field, WithJsonSchema

from core.apis.answers.rag import RagAnswer
from core.apis.native import CONTENT_SCHEMA, Content
from core.apis.vector_io import SearchMode
from core.apis.vector_stores import Metadata, StoreId
from core.errors import InvalidRequest
from core.frame.types import JsonObject, Wire
from core.platform.json_values import to_object

MOST_DOCUMENTS: Final = 500
"""Of one insert."""
MOST_STORES: Final = 20
"""Of one query."""
MOST_CHUNKS: Final = 100
MOST_TOKENS: Final = 1_000_000
MOST_TEMPLATE: Final = 32_768
"""Characters."""
TEMPLATE: Final = "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
REQUIRED: Final = ("{index}", "{chunk.content}")

URL_SCHEMA: Final[JsonObject] = {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]}
DocumentContent = Annotated[Any, WithJsonSchema({"anyOf": [*CONTENT_SCHEMA["anyOf"][:3], URL_SCHEMA]})]
type Template = Annotated[str, Field(min_length=1, max_length=MOST_TEMPLATE)]


class RagDocument(Wire):
    """`content` is interleaved content, or `{uri}` of http, https or data; a `mime_type` counts where neither bytes nor a name say it."""

    document_id: Annotated[str, Field(min_length=1, max_length=390)]
    content: DocumentContent
    mime_type: str | None = None
    metadata: Metadata = Field(default_factory=dict[str, Any])


class InsertDocuments(Wire):
    """Chunks overlap by a quarter of `chunk_size_in_tokens`."""

    documents: Annotated[list[RagDocument], Field(max_length=MOST_DOCUMENTS)]
    vector_db_id: StoreId
    chunk_size_in_tokens: Annotated[int, Field(ge=32, le=4096)] = 512


def count_fetches(request: InsertDocuments) -> int:
    """As how many requests it counts: each document that is to be fetched is one."""
    return max(1, sum("uri" in to_object(document.content) for document in request.documents))


class QueryGenerator(Wire):
    """How content becomes what is searched for: its texts with the `separator` between them, or what `model` makes of `template`."""

    type: Literal["default", "llm"] = "default"
    separator: Annotated[str, Field(max_length=256)] = " "
    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    template: Template | None = None


class RagRanker(Wire):
    """`impact_factor` is of `rrf`, `alpha` of `weighted`."""

    type: Literal["rrf", "weighted"]
    impact_factor: Annotated[float, Field(gt=0, le=10_000)] | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None


class RagQueryConfig(Wire):
    """None is as the run config's section `vector_stores` says, or as the reference has it."""

    query_generator_config: QueryGenerator | None = None
    max_tokens_in_context: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    max_chunks: Annotated[int, Field(ge=1, le=MOST_CHUNKS)] | None = None
    chunk_template: Template | None = None
    mode: SearchMode | None = None
    ranker: RagRanker | None = None

    def check(self, path: str) -> None:
        """Raise InvalidRequest for a template without its places, or a generator without its model."""
        missing = next((name for name in REQUIRED if name not in (self.chunk_template or TEMPLATE)), None)
        if missing is not None:
            raise InvalidRequest(f"{path}.chunk_template must have {missing} in it.", param=f"{path}.chunk_template")
        generator = self.query_generator_config
        if generator is not None and generator.type == "llm" and not (generator.model and generator.template):
            raise InvalidRequest(
                "A query generator of type `llm` has a `model` and a `template`.",
                param=f"{path}.query_generator_config",
            )


class QueryRag(Wire):
    """`vector_db_ids` may be ids of vector stores, which are the same."""

    content: Content
    vector_db_ids: Annotated[list[StoreId], Field(max_length=MOST_STORES)]
    query_config: RagQueryConfig | None = None

    @override
    def check_body(self) -> None:
        if not self.vector_db_ids:
            raise InvalidRequest("Name one vector DB at least.", param="vector_db_ids")
        if self.query_config is not None:
            self.query_config.check("query_config")


@dataclass(frozen=True, slots=True)
class Fetched:
    """`content_type` is what the server said, without parameters."""

    content: bytes = field(repr=False)
    content_type: str = ""


@runtime_checkable
class FetchesDocuments(Protocol):
    """A provider of tools that gets what a caller's URL names, where its config lets it."""

    async def fetch_document(self, url: str, *, param: str) -> Fetched:
        """Raises InvalidRequest, with `param`: it may not be fetched, or was not answered."""
        ...


class RagTool(Protocol):
    """Both for one caller: stores that it may not read are NotFound."""

    async def insert(self, request: InsertDocuments) -> None:
        """Cut, embed and keep the documents; each takes the place of the one with its id in this store.

        Raises:
            InvalidRequest: one has no text, or cannot be fetched; nothing of any of them is kept then.
        """
        ...

    async def query(self, request: QueryRag) -> RagAnswer: ...
