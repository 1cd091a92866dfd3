"""The mapping `vector_stores`: what holds of every vector store that does not say otherwise.

A list of this name is of stores that the run config declares. Source: VectorStoresConfig of OGX 1.5.0, whose other keys are in
`core.config.sections.UNUSED`.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config.places import to_mapping
from core.config.records import Record, Text, Whole

DECLARED_STORES: Final = "vector_stores"
"""The section of the stores that the run config declares."""


def _off_is_none(value: object) -> object:
    """A model whose id is a variable that is not set is none."""
    return None if to_mapping(value).get("model_id", "") is None else value


class ProvidersModel(Record):
    """A model by its provider and the provider's name for it, or by its id alone.

    `embedding_dimensions` is asked of it where it can shorten vectors.
    """

    provider_id: Text | None = None
    model_id: Text
    embedding_dimensions: Annotated[Whole, Field(ge=1, le=4096)] | None = None

    @property
    def name(self) -> str:
        """As a request names it."""
        return self.model_id if self.provider_id is None else f"{self.provider_id}/{self.model_id}"


type MaybeModel = Annotated[ProvidersModel | None, BeforeValidator(_off_is_none)]


class RewriteQuery(Record):
    """How a search with `rewrite_query` has its query rewritten; `prompt` has `{query}` in it."""

    model: MaybeModel = None
    prompt: Text | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=4096)] = 100
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.3


class FileIngestion(Record):
    """How files are cut into chunks where neither they nor their store say how, in tokens."""

    default_chunk_size_tokens: Annotated[Whole, Field(ge=100, le=4096)] = 800
    default_chunk_overlap_tokens: Annotated[Whole, Field(ge=0, le=2048)] = 400

    @model_validator(mode="after")
    def _half_at_most(self) -> Self:
        if self.default_chunk_overlap_tokens * 2 > self.default_chunk_size_tokens:
            raise ValueError("default_chunk_overlap_tokens must be at most half of default_chunk_size_tokens")
        return self


class ContextualRetrieval(Record):
    """How a model gives chunks their context, where neither a file nor its store say; larger files get none.

    Times are those of one question, to the model of a chunk.
    """

    model: MaybeModel = None
    default_timeout_seconds: Annotated[Whole, Field(ge=10)] = 120
    default_max_concurrency: Annotated[Whole, Field(ge=1)] = 3
    max_document_tokens: Annotated[Whole, Field(ge=1000)] = 100_000


class ChunkRetrieval(Record):
    """How a search is made that does not say how; a rerank model gets `chunk_multiplier` times as many chunks as are asked for.

    A tool shows a model at most `max_tokens_in_context` of what was found; None is as its generation has it.
    """

    default_search_mode: Literal["vector", "keyword", "hybrid"] = "vector"
    default_reranker_strategy: Literal["rrf", "weighted", "normalized"] = "rrf"
    rrf_impact_factor: Annotated[float, Field(gt=0, le=10_000)] = 60.0
    weighted_search_alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    chunk_multiplier: Annotated[Whole, Field(ge=1)] = 5
    max_tokens_in_context: Annotated[Whole, Field(ge=1)] | None = None


def require_places(*places: str) -> AfterValidator:
    """A check that a template has these places for what is put into it."""

    def check(template: str) -> str:
        missing = next((place for place in places if place not in template), None)
        if missing is not None:
            raise ValueError(f"must have {missing} in it")
        return template

    return AfterValidator(check)


class FileSearchText(Record):
    """What is before and after the passages that `file_search` shows a model."""

    header_template: Annotated[Text, require_places("{num_chunks}", "file_search")] = (
        "file_search tool found {num_chunks} chunks:\nBEGIN of file_search tool results.\n"
    )
    footer_template: str = "END of file_search tool results.\n"


class ContextPrompt(Record):
    """How a passage is shown to a model, and what it is told that all of them are for."""

    chunk_annotation_template: Annotated[Text, require_places("{index}", "{chunk.content}")] = (
        "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
    )
    context_template: Annotated[Text, require_places("{query}")] = (
        'The above results were retrieved to help answer the user\'s query: "{query}". '
        "Use them as supporting information only in answering this query. {annotation_instruction}\n"
    )


class AnnotationPrompt(Record):
    """How a passage is shown to a model that is to cite it, and how it is told to."""

    enable_annotations: bool = True
    annotation_instruction_template: Text = (
        "Cite sources immediately at the end of sentences before punctuation, using `<|file-id|>` format like "
        "'This is a fact <|file-Cn3MSNn72ENTiiq11Qda4A|>.'. Do not add extra punctuation. Use only the file IDs provided, "
        "do not invent new ones."
    )
    chunk_annotation_template: Annotated[Text, require_places("{index}", "{chunk_text}", "{file_id}")] = (
        "[{index}] {metadata_text} cite as <|{file_id}|>\n{chunk_text}\n"
    )


class VectorStoresConfig(Record):
    """`default_provider_id` is whose a new store is, `default_embedding_model` what its texts become vectors by.

    `default_reranker_model` is what ranks where a search asks for a model and names none.
    """

    default_provider_id: Text | None = None
    default_embedding_model: MaybeModel = None
    default_reranker_model: MaybeModel = None
    rewrite_query_params: RewriteQuery | None = None
    file_ingestion_params: FileIngestion | None = None
    chunk_retrieval_params: ChunkRetrieval | None = None
    contextual_retrieval_params: ContextualRetrieval | None = None
    file_search_params: FileSearchText | None = None
    context_prompt_params: ContextPrompt | None = None
    annotation_prompt_params: AnnotationPrompt | None = None
