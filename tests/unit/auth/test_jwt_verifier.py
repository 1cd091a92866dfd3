"""A token is parsed in one way only, or it is refused; nothing else is raised whatever it holds."""

from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.auth.jwt_verifier import UnverifiedToken, parse
from core.auth.verifier import MOST_TOKEN_BYTES
from core.errors import Unauthenticated
from tests.parts.issuer import segment

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=4)
JUDGED = {"typ", "crit", "b64", "kid"}  # members of a header that not every value will do for
TEXT = st.text("ABCabc019-_=.+/ {}\n\u00e9")


def parse_or_none(token: str) -> UnverifiedToken | None:
    try:
        return parse(token)
    except Unauthenticated:
        return None


@given(st.dictionaries(WORDS.filter(lambda name: name not in JUDGED), JSON, max_size=4), OBJECTS, st.binary())
def test_what_was_put_together_is_parsed(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> None:
    header["alg"] = "RS256"
    content = f"{segment(header)}.{segment(claims)}"
    token = parse(f"{content}.{segment(signature)}")
    assert (token.header, token.claims, token.content, token.signature) == (header, claims, content.encode(), signature)


@given(st.lists(TEXT | st.binary().map(segment) | OBJECTS.map(segment), max_size=5).map(".".join))
def test_no_text_makes_it_fail_and_what_it_takes_is_spelt_in_the_one_way(text: str) -> None:
    token = parse_or_none(text)
    if token is not None:
        first, second, third = text.encode().split(b".")
        assert urlsafe_b64encode(token.signature).rstrip(b"=") == third
        assert token.content == first + b"." + second


@pytest.mark.parametrize("segments", [(0,), (1,), (2,), (0, 1, 2)])
def test_padding_makes_another_token_and_is_refused(segments: tuple[int, ...]) -> None:
    parts = [segment({"alg": "RS256"}), segment({"sub": "ada"}), segment(b"\x00\xff")]
    parse(".".join(parts))
    padded = [part + "=" * (-len(part) % 4) if index in segments else part for index, part in enumerate(parts)]
    assert padded != parts
    assert parse_or_none(".".join(padded)) is None


def test_a_token_is_never_shown() -> None:
    token = parse(f"{segment({'alg': 'RS256'})}.{segment({'sub': 'hidden'})}.AAAA")
    assert "hidden" not in repr(token)


def test_the_size_is_judged_first() -> None:
    start = f"{segment({'alg': 'RS256'})}.{segment({})}."
    fitting = "A" * ((MOST_TOKEN_BYTES - len(start)) // 4 * 4)
    assert parse_or_none(start + fitting) is not None
    assert parse_or_none(start + fitting + "AAAA") is None
