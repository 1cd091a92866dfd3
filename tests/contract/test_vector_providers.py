"""What every VectorIOProvider promises."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import cache
import math
from pathlib import Path
import random
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings
import pytest

from core.apis.vector_filters import Comparison, parse_filter
from core.apis.vector_io import Chunk, VectorIOProvider, VectorListing, VectorQuery
from core.errors import Conflict, InvalidRequest
from tests.contract.vector_providers import CONNECT, INDEX, WITHOUT_WORDS, chunk, random_vector
from tests.parts.filters import attributes, filters, holds
from tests.parts.shared import SharedParts

X, Y = (1.0, 0, 0, 0), (0, 1.0, 0, 0)
NASTY = ["it's", '"quoted" AND', "$and", "a\x00b", "日本語", "'; DROP TABLE vector_chunks; --", "%_*"]
UNTAMED = [
    '"',
    "'",
    "NEAR(a b)",
    "text:a",
    "a AND",
    "-a",
    "a*",
    "^a",
    "{a} : b",
    "(",
    "\x00",
    "!?…",
    "",
    "x" * 10**6,
    "\ud800",
]

REFUSED: tuple[tuple[Chunk, str], ...] = (
    (chunk(""), "key of a chunk has 1 to 512 characters"),
    (chunk("x" * 513), "key of a chunk has 1 to 512 characters"),
    (chunk("ä"), "all of ASCII"),
    (chunk("\ud800"), "all of ASCII"),
    (chunk("bad", "\ud800"), "`bad` has half of a surrogate pair"),
    (replace(chunk("bad"), filename="\udfff.txt"), "`bad` has half of a surrogate pair"),
    (chunk("bad", a="\udfff"), "attributes of `bad`.*surrogate"),
    (chunk("bad", a=math.nan), "attributes of `bad`.*not finite"),
    (chunk("bad", a=10**400), "attributes of `bad`.*not finite"),
    (chunk("bad", a="x" * 20_000), "attributes of `bad` have 200.. bytes as JSON, of at most .*: make them fewer"),
    (chunk("bad", "", (1, 0, 0)), "has 3 dimensions, and those of this store have 4"),
    (chunk("bad", "", ()), "has 0 dimensions"),
)


@pytest.fixture(params=CONNECT)
async def provider(
    request: pytest.FixtureRequest, tmp_path: Path, parts: SharedParts
) -> AsyncGenerator[VectorIOProvider]:
    async with CONNECT[request.param](tmp_path, parts) as provider:
        yield provider


@pytest.fixture(params=sorted(CONNECT.keys() - WITHOUT_WORDS))
async def ranking(
    request: pytest.FixtureRequest, tmp_path: Path, parts: SharedParts
) -> AsyncGenerator[VectorIOProvider]:
    """A provider that ranks by words too."""
    async with CONNECT[request.param](tmp_path, parts) as provider:
        yield provider


async def keys(provider: VectorIOProvider, **query: Any) -> list[str]:
    """One that has no ranking by words must say so, and is then asked by vector alone."""
    ask = VectorQuery(**({"limit": 100} | query))
    if ask.text is not None and not provider.capabilities.keyword:
        with pytest.raises(InvalidRequest, match="by vector alone, not by words"):
            await provider.search(INDEX, ask)
        ask = replace(ask, text=None, vector=ask.vector or X)
    return [scored.chunk.key for scored in await provider.search(INDEX, ask)]


async def test_a_chunk_comes_back_as_it_was_put(provider: VectorIOProvider) -> None:
    one = chunk("f#0", 'ä "日本"\n', (3, 4, 0, 0), **dict.fromkeys(NASTY, "it's"), n=5, r=1.5, b=True)
    await provider.put(INDEX, [one, chunk("f#1")])
    assert await provider.fetch(INDEX, ["f#0", "none"]) == [replace(one, vector=())]
    [whole] = await provider.fetch(INDEX, ["f#0"], with_vectors=True)
    assert whole.vector == pytest.approx(one.vector)
    [best] = await provider.search(INDEX, VectorQuery(one.vector, limit=1))
    assert best.chunk == replace(one, vector=())
    [best] = await provider.search(INDEX, VectorQuery(one.vector, limit=1, with_vectors=True))
    assert best.chunk.vector == pytest.approx(one.vector)


async def test_fetched_chunks_have_the_order_of_their_keys(provider: VectorIOProvider) -> None:
    await provider.put(INDEX, [chunk(f"f#{number}") for number in range(4)])
    assert [one.key for one in await provider.fetch(INDEX, ["f#3", "f#0", "f#2"])] == ["f#3", "f#0", "f#2"]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_the_keys_of_an_index_are_listed_each_once(provider: VectorIOProvider, limit: int) -> None:
    if not provider.capabilities.listing:
        pytest.skip("this provider does not tell what it keeps")
    assert await listed(provider, limit=limit) == []
    several = ["=", "=b", "=a", "f#0", "\x7f", "\x00", ">"]
    await provider.put(INDEX, [chunk(key) for key in several])
    await provider.put(replace(INDEX, name="vs_2"), [chunk("=other")])
    assert sorted(await listed(provider, limit=limit)) == sorted(several)
    assert sorted(await listed(provider, prefix="=", limit=limit)) == ["=", "=a", "=b"]
    assert await listed(provider, prefix="\x7f", limit=limit) == ["\x7f"]
    await provider.delete(INDEX, ["=", "=b"])
    assert await listed(provider, prefix="=", limit=limit) == ["=a"]


async def listed(provider: VectorIOProvider, *, prefix: str = "", limit: int) -> list[str]:
    there, after, more = list[str](), "", True
    while more:
        page = await cast("VectorListing", provider).keys(INDEX, prefix=prefix, after=after, limit=limit)
        assert len(page.keys) <= limit
        there += page.keys
        after, more = page.next, bool(page.next)
    return there


async def test_scores_are_of_the_cosine_from_0_to_1(provider: VectorIOProvider) -> None:
    vectors = {"same": (2, 0, 0, 0), "near": (1, 1, 0, 0), "far": Y, "opposite": (-1, 0, 0, 0)}
    await provider.put(INDEX, [chunk(key, "", vector) for key, vector in vectors.items()])
    results = await provider.search(INDEX, VectorQuery(X))
    assert [one.chunk.key for one in results][:2] == ["same", "near"]
    assert [one.score for one in results] == pytest.approx([1, math.sqrt(0.5), 0, 0], abs=1e-6)
    assert all(0 <= one.score <= 1 for one in results)


async def test_equal_vectors_are_all_found(provider: VectorIOProvider) -> None:
    await provider.put(INDEX, [chunk("a"), chunk("b"), chunk("c", "", (1, 1e-30, -0.0, 0))])
    assert sorted(await keys(provider, vector=X)) == ["a", "b", "c"]


async def test_what_is_put_again_is_in_the_place_of_the_first(provider: VectorIOProvider) -> None:
    await provider.put(INDEX, [chunk("a", "old words", X, v=1), chunk("b", "old", Y)])
    await provider.search(INDEX, VectorQuery(X))
    for _ in range(2):
        await provider.put(INDEX, [chunk("a", "wrong"), chunk("a", "new words", Y, v=2)])
    results = await provider.search(INDEX, VectorQuery(Y))
    assert sorted(one.chunk.key for one in results) == ["a", "b"]
    assert await keys(provider, vector=X, filter=Comparison("eq", "v", 1)) == []


async def test_words_of_what_was_replaced_are_not_found(ranking: VectorIOProvider) -> None:
    await ranking.put(INDEX, [chunk("a", "old words", X), chunk("b", "old", Y)])
    await ranking.search(INDEX, VectorQuery(X, "old"))
    for _ in range(2):
        await ranking.put(INDEX, [chunk("a", "wrong"), chunk("a", "new words", Y)])
    assert await keys(ranking, text="old") == ["b"]
    assert await keys(ranking, text="new") == ["a"]


async def test_attributes_are_replaced_as_a_whole(provider: VectorIOProvider) -> None:
    versions: list[dict[str, Any]] = [{"a": 1, "b": "x"}, {"b": True, "c": 2.5}, {}]
    for values in versions:
        await provider.put(INDEX, [chunk("f#0", "", X, **values)])
        [one] = await provider.fetch(INDEX, ["f#0"])
        assert one.attributes == values
        for before in versions:
            for key, value in before.items():
                expected = ["f#0"] if values.get(key) == value else []
                assert await keys(provider, vector=X, filter=Comparison("eq", key, value)) == expected


async def test_what_is_deleted_is_not_found_and_may_be_deleted_again(provider: VectorIOProvider) -> None:
    await provider.put(INDEX, [chunk(f"f#{number}", "word", v=number) for number in range(5)])
    await provider.search(INDEX, VectorQuery(X))
    for _ in range(2):
        await provider.delete(INDEX, ["f#1", "f#4", "none"])
    assert sorted(await keys(provider, vector=X)) == sorted(await keys(provider, text="word")) == ["f#0", "f#2", "f#3"]
    assert await provider.fetch(INDEX, ["f#1"]) == []
    assert await keys(provider, vector=X, filter=Comparison("in", "v", (1, 4))) == []


async def test_an_index_that_is_not_there_has_nothing(provider: VectorIOProvider) -> None:
    assert await keys(provider, vector=X) == await keys(provider, text="a") == []
    assert await provider.fetch(INDEX, ["a"]) == []
    await provider.delete(INDEX, ["a"])
    await provider.drop(INDEX)
    await provider.create(INDEX)
    assert (
        await keys(provider, vector=X, filter=Comparison("ne", "a", 1))
        == await keys(provider, vector=X, text="a")
        == []
    )


async def test_a_dropped_index_is_empty_when_it_is_made_again(provider: VectorIOProvider) -> None:
    await provider.put(INDEX, [chunk("a", "word")])
    other = replace(INDEX, name="vs_2")
    await provider.put(other, [chunk("b", "word")])
    await provider.search(INDEX, VectorQuery(X))
    for _ in range(2):
        await provider.drop(INDEX)
    await provider.create(replace(INDEX, dimension=2))
    assert await provider.search(replace(INDEX, dimension=2), VectorQuery((1, 0))) == []
    assert [one.chunk.key for one in await provider.search(other, VectorQuery(X))] == ["b"]


async def test_a_vector_of_another_dimension_is_refused(provider: VectorIOProvider) -> None:
    await provider.create(INDEX)
    await provider.create(INDEX)
    with pytest.raises(Conflict, match="4 dimensions"):
        await provider.create(replace(INDEX, dimension=3))
    with pytest.raises(InvalidRequest, match="3 dimensions"):
        await provider.put(INDEX, [chunk("good"), chunk("a", "", (1, 0, 0))])
    with pytest.raises(InvalidRequest, match="dimensions"):
        await provider.search(INDEX, VectorQuery((1, 0)))
    for dimension in (0, 5000):
        with pytest.raises(InvalidRequest, match="4096"):
            await provider.create(replace(INDEX, name="vs_3", dimension=dimension))
    assert await keys(provider, vector=X) == []
    for dimension in (1, 4096):
        await provider.create(replace(INDEX, name=f"wide_{dimension}", dimension=dimension))


async def test_a_key_is_any_ascii(provider: VectorIOProvider) -> None:
    several = [*map(chr, range(128)), "x" * 512, "a/../b?c#1", "'; DROP TABLE vector_chunks"]
    await provider.put(INDEX, [chunk(key) for key in several])
    assert [one.key for one in await provider.fetch(INDEX, several)] == several
    await provider.delete(INDEX, several[5:])
    assert sorted(await keys(provider, vector=X)) == several[:5]


async def test_a_text_is_any_unicode(provider: VectorIOProvider) -> None:
    for text in ("a\x00b", "\ufeff\uffff", "\U0001f600", "\u202e", "\r\n", "e\u0301" * 1000):
        one = Chunk("a", text, X, {"t": text[:100]}, text, text, text)
        await provider.put(INDEX, [one])
        assert await provider.fetch(INDEX, ["a"]) == [replace(one, vector=())]
        assert await keys(provider, text=text, filter=Comparison("eq", "t", text[:100])) in ([], ["a"])


async def test_what_cannot_be_kept_is_refused_and_nothing_with_it_is_kept(provider: VectorIOProvider) -> None:
    for bad, message in REFUSED:
        with pytest.raises(InvalidRequest, match=message):
            await provider.put(INDEX, [chunk("good"), bad])
        assert await keys(provider, vector=X) == [], message


async def test_a_search_has_at_most_as_many_results_as_the_provider_says(provider: VectorIOProvider) -> None:
    most = provider.capabilities.most_results
    await provider.put(INDEX, [chunk("a")])
    assert await keys(provider, vector=X, limit=most) == ["a"]
    assert await keys(provider, vector=X, limit=0) == await keys(provider, text="a", limit=-1) == []
    with pytest.raises(InvalidRequest, match=f"at most {most} results"):
        await keys(provider, vector=X, limit=most + 1)


@pytest.mark.parametrize("number", [math.nan, math.inf])
async def test_a_vector_without_an_end_is_refused(provider: VectorIOProvider, number: float) -> None:
    with pytest.raises(InvalidRequest, match="finite"):
        await provider.put(INDEX, [chunk("a", "", (number, 0, 0, 0))])
    with pytest.raises(InvalidRequest, match="finite"):
        await provider.search(INDEX, VectorQuery((number, 0, 0, 0)))


async def test_a_search_has_a_vector_or_a_text(provider: VectorIOProvider) -> None:
    with pytest.raises(InvalidRequest, match="a vector, a text or both"):
        await provider.search(INDEX, VectorQuery())


async def test_words_are_found_in_any_script(ranking: VectorIOProvider) -> None:
    texts = {"en": "The quick brown fox", "de": "Größe und Überfluss", "ja": "日本語の検索", "ko": "검색은 빠르다"}
    await ranking.put(INDEX, [chunk(key, text) for key, text in texts.items()])
    for text, key in {"FOX!": "en", "überfluss": "de", "検索": "ja", "검색": "ko", "本語": "ja"}.items():
        [best] = await ranking.search(INDEX, VectorQuery(text=text))
        assert best.chunk.key == key
        assert 0 < best.score < 1
    assert await keys(ranking, text="fo") == []


async def test_no_text_of_a_caller_is_a_language(ranking: VectorIOProvider) -> None:
    await ranking.put(INDEX, [chunk("a", "a b near"), chunk("b", "nothing")])
    for text in UNTAMED:
        assert "b" not in await keys(ranking, text=text), text[:9]


async def test_both_rankings_are_fused(ranking: VectorIOProvider) -> None:
    both = [chunk("vector", "other", X), chunk("text", "rare", Y), chunk("both", "rare rare", (1, 0.1, 0, 0))]
    await ranking.put(INDEX, [*both, *(chunk(f"f#{number}", "other", (-1, 0, 0, 0)) for number in range(9))])
    results = await ranking.search(INDEX, VectorQuery(X, "rare", limit=3))
    assert results[0].chunk.key == "both"
    assert {one.chunk.key for one in results} == {"vector", "text", "both"}
    assert all(0 < one.score <= 1 for one in results)


async def test_a_filter_is_applied_before_the_search(provider: VectorIOProvider) -> None:
    near = [chunk(f"f#{number}", "word", X, v=1) for number in range(200)]
    await provider.put(INDEX, [*near, chunk("far", "word", (-1, 0, 0, 0), v="1")])
    only = Comparison("eq", "v", "1")
    for query in ({"vector": X}, {"text": "word"}, {"vector": X, "text": "word"}):
        assert await keys(provider, **query, limit=1, filter=only) == ["far"]


@cache
def draw_attributes() -> list[dict[str, Any]]:
    """The same each time."""
    drawn: list[dict[str, Any]] = []

    @settings(max_examples=60, database=None, derandomize=True, phases=[Phase.generate])
    @given(attributes)
    def collect(values: dict[str, Any]) -> None:
        drawn.append(values)

    collect()
    return drawn


@cache
def draw_filters(examples: int) -> list[Any]:
    """The same each time."""
    drawn: list[Any] = []

    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(filters)
    def collect(tree: Any) -> None:
        drawn.append(tree)

    collect()
    return drawn


async def _check_filters(provider: VectorIOProvider, examples: int) -> None:
    source = random.Random(7)  # noqa: S311 - test data
    rows = [
        Chunk(f"f#{number}", "word", random_vector(4, source), values)
        for number, values in enumerate(draw_attributes())
    ]
    await provider.put(INDEX, rows)
    for tree in draw_filters(examples):
        parsed = parse_filter(tree)
        expected = sorted(row.key for row in rows if holds(parsed, row.attributes))
        assert sorted(await keys(provider, vector=X, filter=parsed)) == expected, tree


async def test_filters_hold_for_what_they_mean(provider: VectorIOProvider) -> None:
    await _check_filters(provider, 150)


@pytest.mark.exact
async def test_10_000_filters_hold_for_what_they_mean(provider: VectorIOProvider) -> None:
    await _check_filters(provider, 10_000)


@pytest.mark.parametrize("count", [1200, pytest.param(5000, marks=pytest.mark.exact)])
async def test_the_nearest_are_found_exactly(provider: VectorIOProvider, count: int) -> None:
    source, index = random.Random(3), replace(INDEX, dimension=16)  # noqa: S311
    rows = [Chunk(f"f#{number}", "", random_vector(16, source), {"v": number % 20}) for number in range(count)]
    await provider.put(index, rows)
    query = random_vector(16, source)
    for limit, modulo in ((1, None), (10, None), (100, None), (10, 3)):
        only = None if modulo is None else Comparison("eq", "v", modulo)
        possible = [row for row in rows if modulo is None or row.attributes["v"] == modulo]
        expected = sorted(possible, key=lambda row: -math.sumprod(row.vector, query) / math.hypot(*row.vector))
        results = await provider.search(index, VectorQuery(query, filter=only, limit=limit))
        assert [one.chunk.key for one in results] == [row.key for row in expected[:limit]]
    for row in rows[:50]:
        [best] = await provider.search(index, VectorQuery(row.vector, limit=1))
        assert best.chunk.key == row.key
        assert best.score == pytest.approx(1)
        assert best.score <= 1


async def test_writers_and_readers_at_once_see_whole_batches(provider: VectorIOProvider) -> None:
    async def write(name: str) -> None:
        for batch in range(5):
            await provider.put(INDEX, [chunk(f"{name}{batch}#{number}", "word") for number in range(5)])

    async def read() -> None:
        for _ in range(20):
            assert len(await keys(provider, vector=X)) % 5 == 0

    await asyncio.gather(write("a"), write("b"), read(), read())
    assert len(await keys(provider, vector=X)) == len(await keys(provider, text="word")) == 50


@pytest.mark.exact
async def test_64_writers_of_the_same_keys_end_with_one_of_each(provider: VectorIOProvider) -> None:
    async def write(number: int) -> None:
        order = random.Random(number)  # noqa: S311
        for _ in range(3):
            several = [f"f#{key}" for key in order.sample(range(30), 12)]
            if number % 4 == 0:
                await provider.delete(INDEX, several)
            else:
                await provider.put(INDEX, [chunk(key, "word", X, by=number) for key in several])

    await asyncio.gather(*map(write, range(64)))
    await provider.put(INDEX, [chunk(f"f#{key}", "word") for key in range(30)])
    assert len(await keys(provider, vector=X)) == len(await keys(provider, text="word")) == 30
    assert await keys(provider, vector=X, filter=Comparison("gte", "by", 0)) == []


async def test_an_index_is_dropped_while_it_is_searched(provider: VectorIOProvider) -> None:
    async def search() -> None:
        for _ in range(20):
            assert len(await keys(provider, vector=X, text="word")) in {0, 20}

    async def drop() -> None:
        for _ in range(5):
            await provider.put(INDEX, [chunk(f"f#{number}", "word") for number in range(20)])
            await provider.drop(INDEX)

    await asyncio.gather(search(), drop(), search())


async def test_a_provider_that_is_there_is_healthy(provider: VectorIOProvider) -> None:
    assert await provider.health() == {"status": "OK"}
