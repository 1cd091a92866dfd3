"""A ranking is whole, in order and of the documents that were sent, or it is none."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.rerank import check_ranking
from core.errors import UpstreamFailed
from core.services.vector_stores.reranking import scores_of

SCORES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
ROW = st.fixed_dictionaries({"index": JSON | st.integers(-1, 4), "relevance_score": JSON | st.floats(0, 1)}) | JSON


@given(SCORES, st.randoms(use_true_random=False), st.none() | st.integers(1, 40))
def test_results_come_out_the_best_first_however_they_came(scores: list[float], random: Any, top_n: int | None) -> None:
    rows: list[dict[str, Any]] = [
        {"index": at, "relevance_score": score, "document": "x"} for at, score in enumerate(scores)
    ]
    random.shuffle(rows)
    results = check_ranking({"results": rows}, len(scores), top_n)["results"]
    order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[: top_n or len(scores)]
    assert results == [{"index": at, "relevance_score": scores[at]} for at in order]


@given(st.lists(ROW, max_size=5) | JSON)
def test_whatever_came_is_a_whole_ranking_or_the_upstreams_failure(rows: Any) -> None:
    try:
        results = check_ranking({"results": rows}, 3, None)["results"]
    except UpstreamFailed:
        return
    assert sorted(row["index"] for row in results) == [0, 1, 2]
    assert all(-1e12 <= row["relevance_score"] <= 1e12 for row in results)


@given(SCORES)
def test_scores_are_from_0_to_1_and_keep_their_order(scores: list[float]) -> None:
    mapped = scores_of(scores)
    assert all(0 <= score <= 1 for score in mapped)
    ordered = [score for _, score in sorted(zip(scores, mapped, strict=True))]
    assert ordered == sorted(ordered)


def test_scores_that_are_none_from_0_to_1_are_logits_all_of_them() -> None:
    assert scores_of([0, 0.5, 1]) == [0, 0.5, 1]
    assert scores_of([0, 1.5]) == pytest.approx([0.5, 0.8176], abs=1e-4)
    assert scores_of([0, -0.5, -800.0]) == pytest.approx([0.5, 0.3775, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        ({"usage": {"total_tokens": 7, "prompt_tokens": 5}}, 7),
        ({"usage": {"prompt_tokens": 5}}, 5),
        ({"meta": {"tokens": {"input_tokens": 9, "output_tokens": 0}}}, 9),
        ({"meta": {"billed_units": {"search_units": 1}}}, None),
        ({"usage": {"total_tokens": -1}}, None),
        ({"usage": {"total_tokens": True}}, None),
        ({"usage": {"total_tokens": 10**400}}, None),
        ({"usage": [], "meta": 7}, None),
    ],
)
def test_tokens_are_read_where_each_vendor_says_them(reply: dict[str, Any], tokens: int | None) -> None:
    answer = check_ranking({"results": [{"index": 0, "relevance_score": 1}], **reply}, 1, None)
    usage = None if tokens is None else {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer.get("usage") == usage
    assert ("meta" in answer) == isinstance(reply.get("meta"), dict)
