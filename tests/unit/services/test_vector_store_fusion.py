"""Fused rankings: scores from 0 to 1, every chunk once, and what is first in both is first."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.vector_io import Chunk, ScoredChunk
from core.services.vector_stores.fusion import Fusion, fuse


def ranking(scores: dict[str, float]) -> list[ScoredChunk]:
    scored = [ScoredChunk(Chunk(key, key), score) for key, score in scores.items()]
    return sorted(scored, key=lambda one: (-one.score, one.chunk.key))


def shown(fused: Sequence[ScoredChunk]) -> list[tuple[str, float]]:
    return [(scored.chunk.key, round(scored.score, 4)) for scored in fused]


RANKINGS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1)).map(ranking)
WEIGHTS = st.floats(0.001, 10)
FUSIONS = st.builds(Fusion, st.sampled_from(["rrf", "weighted", "normalized"]), st.floats(0, 1000), WEIGHTS, WEIGHTS)


def test_reciprocal_ranks_are_divided_by_what_the_first_of_both_would_have() -> None:
    fused = fuse(ranking({"a": 0.9, "b": 0.5}), ranking({"b": 0.8, "c": 0.1}), Fusion())
    assert shown(fused) == [("b", round((61 / 62 + 1) / 2, 4)), ("a", 0.5), ("c", round(61 / 62 / 2, 4))]


def test_weights_count_for_the_scores_or_the_ranks() -> None:
    vector, keyword = ranking({"a": 0.8, "b": 0.4}), ranking({"b": 1.0})
    assert shown(fuse(vector, keyword, Fusion("weighted", vector=0.75, keyword=0.25))) == [("a", 0.6), ("b", 0.55)]
    assert shown(fuse(vector, keyword, Fusion(vector=0, keyword=1))) == [("b", 1.0)]


def test_scores_may_be_divided_by_the_best_of_their_ranking() -> None:
    vector, keyword = ranking({"a": 0.8, "b": 0.4}), ranking({"b": 0.5})
    assert shown(fuse(vector, keyword, Fusion("normalized"))) == [("b", 0.75), ("a", 0.5)]
    assert shown(fuse(ranking({"a": 0.0}), ranking({"b": 0.5}), Fusion("normalized"))) == [("b", 0.5), ("a", 0.0)]
    assert fuse([], [], Fusion("normalized")) == []


@pytest.mark.parametrize(
    ("how", "is_plain"),
    [
        (Fusion(), True),
        (Fusion(vector=0.5, keyword=0.5), True),
        (Fusion(impact=1), False),
        (Fusion(vector=2), False),
        (Fusion("weighted"), False),
    ],
)
def test_a_provider_fuses_by_plain_reciprocal_ranks(how: Fusion, is_plain: bool) -> None:  # noqa: FBT001
    assert how.is_plain == is_plain


@given(RANKINGS, RANKINGS, FUSIONS)
def test_every_chunk_is_there_once_with_a_score_from_0_to_1_the_best_first(
    vector: list[ScoredChunk], keyword: list[ScoredChunk], how: Fusion
) -> None:
    fused = fuse(vector, keyword, how)
    keys = [scored.chunk.key for scored in fused]
    assert sorted(keys) == sorted({scored.chunk.key for scored in (*vector, *keyword)})
    scores = [scored.score for scored in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    if vector and keyword and vector[0].chunk.key == keyword[0].chunk.key:
        assert fused[0].score >= max(scores)
