"""Chunks as the reference's providers keep them, their scores, and filters that packages do not have."""

import json
import math
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.vector_filters import parse_filter
from core.apis.vector_io import Chunk, VectorIndex
from core.resolution.external.reference.chunks import from_record, id_of, to_record, to_scored
from core.resolution.external.reference.filtering import holds
from core.resolution.external.reference.records import record
from tests.parts import filters

INDEX = VectorIndex("vs_1", "vs_1", 2, "m")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = st.text(st.characters(min_codepoint=0, max_codepoint=127), min_size=1, max_size=20)


@given(keys, texts, filters.attributes, texts, texts)
def test_a_chunk_comes_back_as_it_was(
    key: str, text: str, attributes: dict[str, Any], metadata: str, name: str
) -> None:
    chunk = Chunk(key, text, (0.5, 1.0), attributes, metadata, name, name)
    row = to_record(INDEX, chunk)
    for copy in (row, record("Chunk", **json.loads(row.model_dump_json())), row.model_dump()):
        assert from_record(copy) == chunk


@given(keys, keys)
def test_an_id_is_of_its_key_alone_and_is_no_language(key: str, other: str) -> None:
    assert (id_of(key) == id_of(other)) == (key == other)
    assert set(id_of(key)) <= set("0123456789abcdef-")


def test_of_an_attribute_only_what_any_engine_can_spell_stands_beside() -> None:
    attributes: dict[str, Any] = {"year": 5, "$where": "1", "a.b": 2, "document_id": "mine", "llambda": "no"}
    row: Any = to_record(INDEX, Chunk("k", "t", (1, 0), attributes))
    assert row.metadata.keys() == {"year", "document_id", "file_id", "filename", "llambda"}
    assert row.metadata["document_id"] == row.document_id == row.chunk_id == id_of("k")
    assert from_record(row).attributes == attributes


@pytest.mark.parametrize(
    ("row", "key", "source"),
    [
        ({"content": "t", "chunk_id": "c", "metadata": {"document_id": "d", "n": 1, "deep": {}}}, "c", "d"),
        ({"content": "t", "chunk_metadata": {"chunk_id": "c", "document_id": "e"}, "metadata": {"n": 1}}, "c", "e"),
        ({"content": "t", "chunk_id": "c", "metadata": {"n": 1, "llambda": "{"}}, "c", "c"),
        ({"content": "t", "chunk_id": "c", "metadata": {"n": 1, "llambda": '{"key": "other"}'}}, "c", "c"),
        ({"content": [{"type": "text", "text": "t"}], "metadata": {"document_id": "d", "n": 1}}, id_of("d:t"), "d"),
    ],
)
def test_a_chunk_that_somebody_else_put_there_is_shown_as_far_as_it_goes(
    row: dict[str, Any], key: str, source: str
) -> None:
    chunk = from_record(row)
    assert (chunk.key, chunk.text, chunk.source, chunk.attributes["n"]) == (key, "t", source, 1)
    assert "deep" not in chunk.attributes


def scores(values: list[float], query: Any = None, vectors: Any = ()) -> list[float]:
    rows = [{"content": "t", "chunk_id": str(place), "embedding": vector} for place, vector in enumerate(vectors)]
    rows = rows or [{"content": "t", "chunk_id": str(place)} for place, _ in enumerate(values)]
    return [scored.score for scored in to_scored(SimpleNamespace(chunks=rows, scores=values), query)]


def test_scores_near_a_vector_are_cosines_where_there_are_vectors() -> None:
    assert scores([math.inf, 3, -5], (1.0, 0), [[2.0, 0], [1.0, 1.0], [-1.0, 0]]) == pytest.approx(
        [1, math.sqrt(0.5), 0]
    )
    assert scores([math.inf, 4, 1, -1], (1.0, 0)) == [1, 0.8, 0.5, 0]


def test_scores_of_words_keep_the_packages_order_whatever_their_sign() -> None:
    assert scores([-3, -1, -1e-6]) == pytest.approx([0.75, 0.5, 1e-6], abs=1e-7)
    assert scores([3, 1]) == [0.75, 0.5]


@given(st.lists(st.floats(), max_size=10))
def test_scores_are_from_0_to_1_and_never_rise(values: list[float]) -> None:
    for query in (None, (1.0, 0.0)):
        results = scores(values, query)
        assert all(0 <= score <= 1 for score in results)
        assert results == sorted(results, reverse=True)


@given(filters.filters, filters.attributes)
def test_a_filter_means_here_what_it_means_everywhere(tree: Any, attributes: dict[str, Any]) -> None:
    parsed = parse_filter(tree)
    assert holds(parsed, attributes) == filters.holds(parsed, attributes)
