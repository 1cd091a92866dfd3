"""What several stores found is one ranking, and what is shown of it has its budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.apis.vector_io import Chunk, ScoredChunk
from core.services.retrieval.budget import fit
from core.services.retrieval.merging import Found, merge
from core.services.vector_stores.ingest.tokens import cut_to_tokens, estimate_tokens

ROWS = st.lists(
    st.tuples(st.sampled_from("st"), st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    unique_by=lambda row: row[:2],
    max_size=20,
).map(lambda rows: [to_row(*row) for row in rows])


def to_row(store: str, place: int, score: float) -> Found:
    """Chunk `place` of two documents, some of whose texts are the same."""
    source = f"d{place % 2}"
    return store, ScoredChunk(Chunk(f"{source}#{place}", f"text {place % 6}", source=source), score)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 5))
def test_the_order_in_which_stores_answer_decides_nothing(rows: list[Found], limit: int) -> None:
    merged = merge(rows)
    assert merge(reversed(rows)) == merge(sorted(rows, key=repr)) == merged
    assert merge(rows, limit) == merged[:limit]
    texts = [(scored.chunk.source, scored.chunk.text) for _, scored in merged]
    assert len(set(texts)) == len(texts) == len({(row.chunk.source, row.chunk.text) for _, row in rows})
    scores = [scored.score for _, scored in merged]
    assert scores == sorted(scores, reverse=True)
    for _, scored in merged:
        same = [
            row.score
            for _, row in rows
            if (row.chunk.source, row.chunk.text) == (scored.chunk.source, scored.chunk.text)
        ]
        assert scored.score == max(same)


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=60), st.sampled_from(["word " * 30, "日本語。" * 9, "\U0001d51e\U0001d51f" * 20, "\n\n  x"])
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 80))
def test_a_budget_is_kept_and_the_first_is_in_it_cut_where_it_must_be(texts: list[str], most: int) -> None:
    fitting = fit(texts, most)
    assert sum(map(estimate_tokens, fitting)) <= most
    assert len(fitting) >= min(len(texts), 1)
    if fitting[1:]:
        assert fitting == texts[: len(fitting)]
    elif texts:
        assert texts[0].startswith(fitting[0])
    if len(fitting) < len(texts) and fitting == texts[: len(fitting)]:
        assert sum(map(estimate_tokens, texts[: len(fitting) + 1])) > most
    assert fit(texts, None) == texts
    assert fit(["a word", "more"], 3) == ["a word", "more"]


@settings(max_examples=60, deadline=None)
@given(st.text(), st.integers(0, 50))
def test_a_text_is_cut_at_the_last_token_that_fits(text: str, most: int) -> None:
    cut = cut_to_tokens(text, most)
    assert text.startswith(cut)
    assert estimate_tokens(cut) <= most
    assert cut == text or estimate_tokens(text) > most
