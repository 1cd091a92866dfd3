"""A token is taken apart in one way only, or not at all; nothing is raised whatever it holds."""

from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.auth.signed import take_apart
from core.auth.verifier import MOST_TOKEN_BYTES
from tests.parts.issuer import segment

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=4)
TEXT = st.text("ABCabc019-_=.+/ {}\n\u00e9")


@given(OBJECTS, OBJECTS, st.binary())
def test_what_was_put_together_is_taken_apart(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> None:
    header["alg"] = "RS256"
    content = f"{segment(header)}.{segment(claims)}"
    found = take_apart(f"{content}.{segment(signature)}")
    assert found is not None
    assert (found.header, found.claims, found.content, found.signature) == (header, claims, content.encode(), signature)


@given(st.lists(TEXT | st.binary().map(segment) | OBJECTS.map(segment), max_size=5).map(".".join))
def test_no_text_makes_it_raise_and_what_it_takes_is_spelt_in_the_one_way(token: str) -> None:
    found = take_apart(token)
    if found is not None:
        first, second, third = token.encode().split(b".")
        assert urlsafe_b64encode(found.signature).rstrip(b"=") == third
        assert found.content == first + b"." + second


def test_a_token_is_never_shown() -> None:
    found = take_apart(f"{segment({'alg': 'RS256'})}.{segment({'sub': 'hidden'})}.AAAA")
    assert "hidden" not in repr(found)


def test_the_size_is_judged_first() -> None:
    start = f"{segment({'alg': 'RS256'})}.{segment({})}."
    fitting = "A" * ((MOST_TOKEN_BYTES - len(start)) // 4 * 4)
    assert take_apart(start + fitting) is not None
    assert take_apart(start + fitting + "AAAA") is None
