"""What an engine is asked and what of its answer is kept: whatever it sends, and whatever is searched for."""

from dataclasses import replace
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.platform.json_reader import read_object
from core.providers.web_search.config import config_of
from core.providers.web_search.results import (
    MOST_TEXTS,
    MOST_URL,
    UNSEEN,
    OddAnswer,
    clean_text,
    read_pods,
    read_results,
    sources_of,
)
from core.providers.web_search.rows import ROWS, TERMS, Row
from core.providers.web_search.searches import Search, read_search, to_parameters
from core.providers.web_search.tools import MOST_DOMAINS
from core.resolution.provider_types import SEARCH_ENGINES

LISTS = [row for row in ROWS.values() if row.parts]
BRAVE = ROWS["remote::brave-search"]
KEYS = sorted(
    {step for row in LISTS for part in row.parts.values() for step in (*part.path, *part.fields)} | {"mixed", "main"}
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("https://example.com/a")
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=8,
)
RESULT = st.dictionaries(st.sampled_from([*KEYS, "type", "url"]), JSON, max_size=6)


def texts_in(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for item in pair for text in texts_in(item)]
        case list():
            return [text for item in value for text in texts_in(item)]
        case _:
            return []


@st.composite
def answers(draw: st.DrawFn) -> tuple[Row, dict[str, Any]]:
    """Of one of the engines, all its lists there, with strange results; and sometimes a strange order."""
    row = draw(st.sampled_from(LISTS))
    answer: dict[str, Any] = {}
    for part in row.parts.values():
        path, place = part.path, answer
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = draw(st.lists(RESULT | JSON, max_size=2))
    if row.mixed:
        entry = st.fixed_dictionaries(
            {"type": st.sampled_from([*row.parts, "other"]), "index": st.integers(-2, 5), "all": st.booleans()}
        )
        answer["mixed"] = {"main": draw(st.lists(entry | JSON, max_size=6))}
    return row, answer


@settings(max_examples=50)
@given(drawn=answers(), limit=st.integers(1, 20))
def test_results_are_bounded_clean_and_of_the_rows_fields(drawn: tuple[Row, dict[str, Any]], limit: int) -> None:
    row, answer = drawn
    results = read_results(row, answer, limit)
    assert len(results) <= limit
    names = {names.split("|")[0] for part in row.parts.values() for names in part.fields}
    for result in results:
        assert set(result) <= names
        assert re.fullmatch(r"https?://\S+", result.get("url", "https://example.com"))
    said = texts_in(results)
    assert not any(UNSEEN.search(text) for text in said)
    read_object(json.dumps({"results": results}, allow_nan=False).encode())
    assert all(source["url"] in said for source in sources_of(results))


@given(answer=JSON)
def test_whatever_comes_is_results_or_an_odd_answer(answer: Any) -> None:
    for row in LISTS:
        try:
            assert isinstance(read_results(row, answer, 3), list)
        except OddAnswer:
            continue
    for wrapped in (answer, {"queryresult": {"success": True, "pods": answer}}):
        try:
            json.dumps(read_pods(wrapped), allow_nan=False)
        except OddAnswer:
            continue


def test_long_texts_are_cut_and_long_urls_left_out() -> None:
    long = {"title": "t" * 50_000, "description": ["d" * 50_000] * 50, "url": "https://example.com/" + "u" * MOST_URL}
    answer = {"web": {"results": [long] * 100}}
    results = read_results(BRAVE, answer, 20)
    assert len(results) == 20
    assert sum(map(len, texts_in([list(result.values()) for result in results]))) <= MOST_TEXTS
    assert "url" not in results[0]
    kept = [
        {"title": "t" * 50_000, "url": url}
        for url in ("https://example.com/whole", "javascript:alert(1)", "https://a\u202e.com")
    ]
    assert sources_of(read_results(BRAVE, {"web": {"results": kept}}, 3)) == [{"url": "https://example.com/whole"}]
    pods = {
        "queryresult": {"success": True, "pods": [{"title": "a", "subpods": [{"plaintext": "b" * 10**6}] * 9}] * 99}
    }
    assert len(json.dumps(read_pods(pods))) < 30_000


def test_what_lies_deep_in_a_result_is_left_out() -> None:
    place = {"type": "place", "title": "Cafe", "contact": {"by": {"phone": {"home": {"number": "1"}}, "mail": ["a@b"]}}}
    (result,) = read_results(BRAVE, {"locations": {"results": [place]}}, 3)
    assert result["contact"] == {"by": {"mail": ["a@b"]}}


def test_as_many_domains_as_there_may_be() -> None:
    names = [f"a{number}.example" for number in range(MOST_DOMAINS)]
    assert read_search({"query": "q", "allowed_domains": names}, {}).domains == tuple(names)


def test_an_order_that_repeats_itself_ends() -> None:
    answer = {"web": {"results": [{}] * 50_000}, "mixed": {"main": [{"type": "web", "all": True}] * 50_000}}
    assert read_results(BRAVE, answer, 3) == []


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("a\x00b\x1b[31mc\r\n\td\x9f", "ab[31mc\n\td"),
        ("\u202eevil\u2066", "evil"),
        ("hid\U000e0041\U000e0042den", "hidden"),
        ("half \ud83d", "half "),
        (
            "family \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}, naïve, 日本",
            "family \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}, naïve, 日本",
        ),
    ],
)
def test_what_nobody_sees_is_taken_out(said: str, left: str) -> None:
    assert clean_text(said) == left


WORD = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)


@given(
    query=st.text(min_size=1, max_size=40),
    domains=st.lists(st.text(max_size=20) | st.builds("{}.{}".format, WORD, WORD), max_size=4),
)
def test_a_domain_adds_no_words_to_a_search(query: str, domains: list[str]) -> None:
    try:
        search = read_search({"query": query, "allowed_domains": domains}, {})
    except InvalidRequest:
        return
    for row in LISTS:
        told = to_parameters(row, replace(search, count=3), {})
        if row.domains == TERMS and search.domains:
            assert told[row.query].startswith(f"{search.query} (site:")
            assert len(re.split(r" OR |\s|[()]", told[row.query].removeprefix(search.query))) == len(search.domains) + 3
        else:
            assert told[row.query] == search.query
        json.dumps(told).encode()


@given(query=st.text(max_size=20))
def test_a_query_is_sent_as_it_is_whatever_it_says(query: str) -> None:
    search = Search(f"{query}{{key}}")
    for row in ROWS.values():
        assert to_parameters(row, search, {})[row.query] == f"{query}{{key}}"


def test_the_table_of_provider_types_has_every_row() -> None:
    assert {f"remote::{name}" for name in SEARCH_ENGINES} == set(ROWS)


CONFIGS: dict[str, dict[str, Any]] = {
    "remote::brave-search": {"api_key": "", "max_results": 3},
    "remote::tavily-search": {"api_key": None, "max_results": 3, "timeout": 30.0, "connect_timeout": 10.0},
    "remote::bing-search": {"api_key": "", "top_k": 3},
    "remote::exa-search": {"api_key": "", "max_results": 500},
    "remote::serply-search": {"api_key": "", "max_results": 50},
    "remote::nimble-search": {"api_key": "", "max_results": 3, "search_depth": "deep"},
    "remote::wolfram-alpha": {"api_key": ""},
}


@pytest.mark.parametrize("provider_type", ROWS)
def test_configs_of_the_reference_are_valid_as_they_are(provider_type: str) -> None:
    settings = config_of(provider_type).model_validate(CONFIGS[provider_type])
    assert (settings.timeout, settings.connect_timeout, settings.url) == (30, 10, ROWS[provider_type].url)
    assert settings.credentials().key == ""
    assert settings.results == CONFIGS[provider_type].get(ROWS[provider_type].size, 3)
