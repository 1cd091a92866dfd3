"""What a model is told is what the reference tells it, or what the run config says; a template reaches into nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.retrieval import Context, Passage
from core.config.vector_stores import VectorStoresConfig
from core.services.retrieval.citations import name_documents
from core.services.retrieval.templates import fill
from core.services.retrieval.wording import print_passages, print_sources, templates_of

DOCUMENT = Passage(
    1, "Quotas {index} are exact.", 0.75, "s", "d1", "", {"year": 2026}, {"year": 2026, "n": None}, "d1#0"
)
FILE = Passage(
    2, "Files expire.", 0.5, "s", "file-1", "notes.md", {}, {"file_id": "file-1", "filename": "notes.md"}, "file-1#0"
)
PLAIN = VectorStoresConfig()
PURPOSE = 'The above results were retrieved to help answer the user\'s query: "why?". Use them as supporting information only in answering this query.'
CITE = (
    "Cite sources immediately at the end of sentences before punctuation, using `<|file-id|>` format like 'This is a fact "
    "<|file-Cn3MSNn72ENTiiq11Qda4A|>.'. Do not add extra punctuation. Use only the file IDs provided, do not invent new ones."
)


def test_the_words_of_the_rag_tool() -> None:
    templates = templates_of("knowledge_search", PLAIN)
    assert print_passages([DOCUMENT, FILE], "why?", templates, "knowledge_search") == [
        "knowledge_search tool found 2 chunks:\nBEGIN of knowledge_search tool results.\n",
        "Result 1\nContent: Quotas {index} are exact.\nMetadata: {'year': 2026, 'n': None, 'document_id': 'd1'}\n",
        "Result 2\nContent: Files expire.\nMetadata: {'file_id': 'file-1', 'filename': 'notes.md', 'document_id': 'file-1'}\n",
        "END of knowledge_search tool results.\n",
        f"{PURPOSE}\n",
    ]
    assert print_passages([], "why?", templates, "knowledge_search") == []


def test_the_words_of_ogx() -> None:
    own = {"chunk_id": "file-1#0", "document_id": "file-1", "source": "notes.md"}
    shown = own | {"file_id": "file-1", "filename": "notes.md"}
    assert print_passages([FILE], "why?", templates_of("file_search", PLAIN), "file_search") == [
        "file_search tool found 1 chunks:\nBEGIN of file_search tool results.\n",
        f"Result 2\nContent: Files expire.\nMetadata: {shown}\n",
        "END of file_search tool results.\n",
        f"{PURPOSE} \n",
    ]
    passages = [DOCUMENT, FILE]
    assert print_sources(passages, name_documents(passages), "why?", PLAIN) == [
        "file_search tool found 2 chunks:\nBEGIN of file_search tool results.\n",
        "[1] document_id: d1, score: 0.75, attributes: {'year': 2026} cite as <|d1|>\nQuotas {index} are exact.\n",
        "[2] document_id: file-1, score: 0.5 cite as <|file-1|>\nFiles expire.\n",
        "END of file_search tool results.\n",
        f"{PURPOSE} {CITE}\n",
    ]


def test_the_words_of_a_run_config() -> None:
    config = VectorStoresConfig.model_validate(
        {
            "file_search_params": {"header_template": "file_search: {num_chunks}\n", "footer_template": "END\n"},
            "context_prompt_params": {
                "chunk_annotation_template": "{index}. {chunk.content}\n",
                "context_template": "For {query}, {num_chunks}.",
            },
            "annotation_prompt_params": {"enable_annotations": False},
        }
    )
    templates = templates_of("knowledge_search", config)
    assert print_passages([FILE], "q", templates, "knowledge_search")[1:] == [
        "2. Files expire.\n",
        "END of knowledge_search tool results.\n",
        "For q, 1.",
    ]
    own = templates_of("file_search", config, "{index}={chunk.content}")
    assert print_passages([FILE], "q", own, "file_search") == [
        "file_search: 1\n",
        "2=Files expire.",
        "END\n",
        "For q, 1.",
    ]
    assert print_sources([FILE], name_documents([FILE]), "q", config)[1] == (
        "[2] document_id: file-1, score: 0.5\nFiles expire.\n"
    )


def test_programs_are_told_which_passages_these_are() -> None:
    assert Context().metadata == {}
    assert Context(["t"], [FILE]).metadata == {
        "document_ids": ["file-1"],
        "chunks": ["Files expire."],
        "scores": [0.5],
        "vector_db_ids": ["s"],
        "vector_store_ids": ["s"],
    }


@settings(max_examples=30, deadline=None)
@given(st.text(), st.text())
def test_a_template_has_places_and_nothing_else_in_it(before: str, value: str) -> None:
    plain = before.replace("{", "(").replace("}", ")")
    assert fill(plain + "{chunk.content}{{}}", {"chunk.content": value}) == f"{plain}{value}{{}}"


@pytest.mark.parametrize("name", ["{chunk.__class__}", "{0}", "{metadata[a]}", "{index!r}", "{index:>99999999}"])
def test_a_name_that_reaches_into_an_object_is_text(name: str) -> None:
    values: dict[str, Any] = {"index": "1", "chunk.content": "c", "metadata": "{}"}
    assert fill(name, values) == name
