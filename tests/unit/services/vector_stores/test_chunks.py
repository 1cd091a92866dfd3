"""Chunks: none is too long, together they are all of the text, and how the text arrives decides nothing."""

from itertools import pairwise
import re

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.services.vector_stores.ingest.chunks import Chunking, read_chunking, split
from core.services.vector_stores.ingest.contexts import PROMPT, Contextual
from core.services.vector_stores.ingest.tokens import estimate_tokens

PARTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [". ", "\n\n", " ", "word ", "Grüße ", "日本語。", "x" * 3000, "e\u0301" * 500, "👩‍👩‍👧", "🇩🇪" * 90]
    ),
)
TEXTS = st.lists(PARTS, max_size=200).map("".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(100, 300), st.floats(0, 0.99), st.integers(1, 5000))
def test_chunks_are_bounded_and_cover_the_text_however_it_arrives(text: str, size: int, part: float, cut: int) -> None:
    overlap = int(size * part)
    chunks = list(split([text], size, overlap))
    assert chunks == list(split([text[n : n + cut] for n in range(0, len(text), cut)], size, overlap))
    end = 0
    for chunk in chunks:
        assert chunk.strip()
        assert estimate_tokens(chunk) <= size
        gap = len(text[end:]) - len(text[end:].lstrip())
        place = text.rfind(chunk, 0, end + gap + len(chunk))  # where nothing is between it and the chunk before
        assert place >= 0
        end = max(end, place + len(chunk))
    assert not text[end:].strip()
    if not overlap:
        assert "".join("".join(chunks).split()) == "".join(text.split())


def test_a_chunk_ends_where_a_sentence_does_and_the_next_one_repeats_its_last() -> None:
    text = " ".join(f"This is sentence number {n} of a long text." for n in range(200))
    chunks = list(split([text], 200, 100))
    assert all(chunk.startswith("This") and chunk.endswith("text.") for chunk in chunks)
    for chunk, following in pairwise(chunks):
        shared = next(n for n in range(len(chunk), 0, -1) if following.startswith(chunk[-n:]))
        assert 75 <= estimate_tokens(chunk[-shared:]) <= 100


def test_a_word_without_an_end_is_cut_between_its_letters() -> None:
    accented = "".join(f"{'abcdefgh'[n % 8]}\u0301" for n in range(9000))
    assert not [chunk for chunk in split([accented], 100, 0) if chunk.startswith("\u0301")]


@pytest.mark.parametrize("sign", ["🇩🇪", "👍🏽", "👩‍👩‍👧"], ids=["a flag", "a skin tone", "a family"])
def test_a_sign_of_several_characters_is_not_torn(sign: str) -> None:
    text = "".join(f"{'abcdefgh'[n % 8] * (n % 7 + 5)}{sign}" for n in range(3000))  # a word without an end
    chunks = list(split([text], 100, 0))
    assert "".join(chunks) == text
    assert sum(chunk.count(sign) for chunk in chunks) == text.count(sign)


def test_a_chunk_ends_with_a_paragraph_where_one_ends_near_its_end() -> None:
    paragraphs = [" ".join(f"Sentence {n} of paragraph {number}." for n in range(5)) for number in range(40)]
    text = "\n\n".join(paragraphs)
    assert all(re.search(r"Sentence 4 of paragraph \d+\.$", chunk) for chunk in split([text], 120, 0))


def test_a_line_without_an_end_is_cut_at_a_word() -> None:
    words = " ".join(f"word{n}" for n in range(30_000))
    assert {word for chunk in split([words], 100, 0) for word in chunk.split()} == set(words.split())


@given(st.text(), st.text())
def test_what_is_put_together_has_no_more_tokens_than_its_parts(first: str, second: str) -> None:
    assert estimate_tokens(first + second) <= estimate_tokens(first) + estimate_tokens(second)


@pytest.mark.parametrize(
    ("text", "tokens"),  # as cl100k counts them
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 200),
        ("人工智能正在改变我们的生活方式。从语音助手到自动驾驶汽车，机器学习技术已经渗透到各个领域。", 50),  # noqa: RUF001 - Chinese
        ('{"name": "a", "size": 12, "tags": ["x", "y"]}', 20),
    ],
)
def test_an_estimate_is_near_to_what_a_model_counts(text: str, tokens: int) -> None:
    assert 0.75 * tokens <= estimate_tokens(text) <= 1.35 * tokens


def test_a_contextual_strategy_has_the_references_defaults() -> None:
    chunking = read_chunking({"type": "contextual", "contextual": {"model_id": "m"}})
    assert (chunking.size, chunking.overlap) == (700, 400)
    assert chunking.contextual == Contextual("m")
    small = {"max_chunk_size_tokens": 100, "timeout_seconds": 5, "max_concurrency": 2}
    assert read_chunking({"type": "contextual", "contextual": small}) == Chunking(
        100, 50, Contextual(None, PROMPT, 5, 2)
    )


def test_a_strategy_is_auto_or_static() -> None:
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    assert read_chunking(static) == Chunking(100, 50)
    assert read_chunking(None) == read_chunking({"type": "auto"}) == Chunking(800, 400)


def test_each_field_of_a_contextual_strategy_may_be_as_large_as_it_says() -> None:
    prompt = "{{WHOLE_DOCUMENT}} {{CHUNK_CONTENT}}".ljust(8192)
    fields = {"timeout_seconds": 600, "max_concurrency": 32, "context_prompt": prompt, "model_id": "x" * 512}
    sizes = {"max_chunk_size_tokens": 4096, "chunk_overlap_tokens": 4095}
    expected = Chunking(4096, 4095, Contextual("x" * 512, prompt, 600, 32))
    assert read_chunking({"type": "contextual", "contextual": fields | sizes}) == expected


@pytest.mark.parametrize(
    ("strategy", "param"),
    [
        ({"type": "contextual"}, "chunking_strategy.contextual"),
        *(
            ({"type": "contextual", "contextual": fields}, f"chunking_strategy.contextual.{name}")
            for name, fields in (
                ("max_chunk_size_tokens", {"max_chunk_size_tokens": 99}),
                ("chunk_overlap_tokens", {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 100}),
                ("model_id", {"model_id": ""}),
                ("model_id", {"model_id": 7}),
                ("timeout_seconds", {"timeout_seconds": 0}),
                ("timeout_seconds", {"timeout_seconds": True}),
                ("timeout_seconds", {"timeout_seconds": 601}),
                ("max_concurrency", {"max_concurrency": 33}),
                ("context_prompt", {"context_prompt": "{{CHUNK_CONTENT}} of {{WHOLE_DOCUMENT}}"}),
                ("context_prompt", {"context_prompt": "{{WHOLE_DOCUMENT}}"}),
                ("context_prompt", {"context_prompt": "{{WHOLE_DOCUMENT}} {{CHUNK_CONTENT}}" + "x" * 8192}),
                ("context_prompt", {"context_prompt": ["{{WHOLE_DOCUMENT}}{{CHUNK_CONTENT}}"]}),
            )
        ),
        ({"type": []}, "chunking_strategy.type"),
        ({"type": "static"}, "chunking_strategy.static.max_chunk_size_tokens"),
        (
            {"type": "static", "static": {"max_chunk_size_tokens": True}},
            "chunking_strategy.static.max_chunk_size_tokens",
        ),
        (
            {"type": "static", "static": {"max_chunk_size_tokens": 4097}},
            "chunking_strategy.static.max_chunk_size_tokens",
        ),
        (
            {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}},
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
    ],
)
def test_another_strategy_is_refused_at_its_field(strategy: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_chunking(strategy)
    assert refusal.value.param == param
