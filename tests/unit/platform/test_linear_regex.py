"""Regular expressions of callers: what RE2 has not is refused with the reason, and no search takes long."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.platform.linear_regex import MOST_CHARACTERS, MOST_STEPS, compile_regex, search_first


def find(pattern: str, text: str) -> str | None:
    return search_first([compile_regex(pattern)], text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"Answer: (\w)", "Answer: B or C", "B"),
        (r"answer", "no", None),
        (r"\d+", "room 101", "101"),
        (r"(?i)ANSWER: (.)", "answer: é", "é"),
        (r"(a)|(b)", "b", None),
        (r"(?P<X>\d)(\d)", "12", "1"),
        ("é+", "caféé", "éé"),
        ("b", "\ud800b", "b"),
        ("", "text", ""),
    ],
)
def test_group_one_of_the_match_is_what_counts(pattern: str, text: str, expected: str | None) -> None:
    assert find(pattern, text) == expected


def test_the_first_expression_that_matches_decides() -> None:
    regexes = [compile_regex(pattern) for pattern in (r"Z(\d)", r"B(\d)", r"A(\d)")]
    assert search_first(regexes, "A1 B2") == "2"
    assert search_first([], "A1") is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"a(?=b)", "it looks around"),
        (r"a(?!b)", "it looks around"),
        (r"(?<=a)b", "it looks around"),
        (r"(?<!a)b", "it looks around"),
        (r"(a)\1", "it refers back to a group"),
        (r"(?P<n>a)(?P=n)", "it refers back to a group"),
        ("(", r"missing \): \("),
        ("[z-a]", "invalid character class range"),
        ("a{2000}", "invalid repetition size"),
        (r"\pL{900}", "pattern too large"),
        (r"(abc){900}", "it is too large when its repetitions are written out"),
    ],
)
def test_what_re2_has_not_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refusal:
        compile_regex(pattern)
    assert re.escape(repr(pattern)) in re.escape(str(refusal.value))
    assert "https://github.com/google/re2/wiki/Syntax" in str(refusal.value)


def test_an_expression_that_is_too_long_is_refused_and_not_shown() -> None:
    assert compile_regex("a" * MOST_CHARACTERS).groups == 0
    with pytest.raises(InvalidRequest, match="of 2001 characters is too long: 2000 at most"):
        compile_regex("a" * (MOST_CHARACTERS + 1))
    with pytest.raises(InvalidRequest) as refusal:
        compile_regex("(" + "a" * 1000)
    assert "..." in str(refusal.value)
    assert "a" * 300 not in str(refusal.value)


def test_what_never_ends_elsewhere_ends_here() -> None:
    assert find(r"(x+x+)+y", "x" * 100_000) is None


def test_more_work_than_seconds_allow_is_refused_before_it_begins() -> None:
    regex = compile_regex(r"(.*){200}z")
    longest = MOST_STEPS // regex.instructions
    assert longest > 50_000
    with pytest.raises(
        InvalidRequest, match=rf"1 regular expressions .* of {longest + 1} characters: {longest} at most"
    ):
        search_first([regex], "x" * (longest + 1))


@given(
    words=st.lists(st.text(st.characters(categories=["L", "Nd", "P", "Zs"]), min_size=1, max_size=5), max_size=4),
    text=st.text(max_size=40),
)
def test_escaped_words_are_found_as_python_finds_them(words: list[str], text: str) -> None:
    pattern = "|".join(re.escape(word) for word in words)
    expected: Any = re.search(pattern, text) if words else re.search("", text)
    assert find(pattern, text) == (None if expected is None else expected[0])
