"""What a model is told of passages: a heading, each passage in a template, an end, and what they are for. Pure.

The texts are those of Llama Stack 0.2.12 for the RAG tool, and of OGX 1.5.0 for `file_search`; the run config's section `vector_stores` may have others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.apis.rag import TEMPLATE
from core.apis.retrieval import Passage, Wording
from core.config.vector_stores import AnnotationPrompt, ContextPrompt, FileSearchText, VectorStoresConfig
from core.errors import InvalidRequest
from core.services.retrieval.templates import fill, measure

NOT_SHOWN: Final = ("token_count", "metadata_token_count")
HEADER: Final = "knowledge_search tool found {num_chunks} chunks:\nBEGIN of knowledge_search tool results.\n"
FOOTER: Final = "END of knowledge_search tool results.\n"
TOO_LARGE: Final = (
    "These passages have more than 4,000,000 characters in this `chunk_template`. Ask for fewer (`max_chunks`, `max_tokens_in_context`), or "
    "have each place in it once."
)
PURPOSE: Final = (
    'The above results were retrieved to help answer the user\'s query: "{query}". '
    "Use them as supporting information only in answering this query.\n"
)
MOST_PRINTED: Final = 4_000_000
"""Characters of all passages in their template, which is a caller's and may have a place a thousand times."""
PLAIN_SOURCE: Final = "[{index}] {metadata_text}\n{chunk_text}\n"


@dataclass(frozen=True, slots=True)
class Templates:
    """`chunk` has `{index}`, `{chunk.content}` and `{metadata}`, `header` `{num_chunks}`, `purpose` `{query}` and `{annotation_instruction}`."""

    header: str
    chunk: str
    footer: str
    purpose: str


def templates_of(wording: Wording, config: VectorStoresConfig, chunk: str | None = None) -> Templates:
    """Those of the run config, or else of the tool's generation; `chunk` is a request's own."""
    context = config.context_prompt_params
    chunk = chunk or (TEMPLATE if context is None else context.chunk_annotation_template)
    if wording == "knowledge_search":
        return Templates(HEADER, chunk, FOOTER, PURPOSE if context is None else context.context_template)
    text = config.file_search_params or FileSearchText()
    return Templates(text.header_template, chunk, text.footer_template, (context or ContextPrompt()).context_template)


def print_passages(passages: Sequence[Passage], query: str, templates: Templates, wording: Wording) -> list[str]:
    """The texts, of which each passage has one; none where there are no passages. Raises InvalidRequest for more than is printed."""
    if not passages:
        return []
    count = {"num_chunks": str(len(passages))}
    values = [
        {
            "index": str(passage.index),
            "chunk.content": passage.text,
            "metadata": repr(_metadata_of(passage, wording)),
        }
        for passage in passages
    ]
    if sum(measure(templates.chunk, of_passage) for of_passage in values) > MOST_PRINTED:
        raise InvalidRequest(TOO_LARGE, param="query_config.chunk_template")
    chunks = [fill(templates.chunk, of_passage) for of_passage in values]
    purpose = fill(templates.purpose, {**count, "query": query, "annotation_instruction": ""})
    return [fill(templates.header, count), *chunks, templates.footer, purpose]


def print_sources(
    passages: Sequence[Passage], documents: Mapping[str, Passage], query: str, config: VectorStoresConfig
) -> list[str]:
    """The same for an answer with citations: each passage with what to cite it as, a name of `documents` (see `.citations`).

    Without annotations in the run config nothing is said of citing.
    """
    text, context = config.file_search_params or FileSearchText(), config.context_prompt_params or ContextPrompt()
    annotation = config.annotation_prompt_params or AnnotationPrompt()
    names = {passage.document_id: name for name, passage in documents.items()}
    chunk = annotation.chunk_annotation_template if annotation.enable_annotations else PLAIN_SOURCE
    count = {"num_chunks": str(len(passages))}
    cites = annotation.enable_annotations and bool(passages)
    instruction = annotation.annotation_instruction_template if cites else ""
    sources = [
        fill(
            chunk,
            {
                "index": str(passage.index),
                "metadata_text": _metadata_text(passage),
                "file_id": names[passage.document_id],
                "chunk_text": passage.text,
            },
        )
        for passage in passages
    ]
    purpose = fill(context.context_template, {**count, "query": query, "annotation_instruction": instruction})
    return [fill(text.header_template, count), *sources, text.footer_template, purpose]


def _metadata_of(passage: Passage, wording: Wording) -> dict[str, object]:
    """As the tool's generation shows it to a model: a Python dict."""
    own = {key: value for key, value in passage.metadata.items() if key not in NOT_SHOWN}
    if wording == "knowledge_search":
        return {**own, "document_id": passage.document_id}
    source = passage.filename or passage.metadata.get("source")
    return {"chunk_id": passage.chunk_id, "document_id": passage.document_id, "source": source, **own}


def _metadata_text(passage: Passage) -> str:
    text = f"document_id: {passage.document_id}, score: {passage.score}"
    return f"{text}, attributes: {dict(passage.attributes)}" if passage.attributes else text
