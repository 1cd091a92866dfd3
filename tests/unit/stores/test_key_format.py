"""What an API key looks like, and what is kept of it."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.resources import Resource
from core.stores.registry.key_format import issue, parse, read
from tests.parts.secrets import plant

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def issued(**more: int) -> tuple[str, Resource]:
    token, resource = issue("demo", ["admin"], expires=more.get("expires"), now=1000)
    return plant(token), resource


def test_keys_differ_in_every_part() -> None:
    rows = [issued() for _ in range(200)]
    assert len({resource.identifier for _, resource in rows}) == 200
    assert len({token.split("_", 2)[2] for token, _ in rows}) == 200
    assert len({resource.attributes["salt"] for _, resource in rows}) == 200


def test_a_token_has_256_random_bits_after_the_id_that_the_registry_knows() -> None:
    token, resource = issued()
    assert parse(token) == (resource.identifier, token.removeprefix(f"llambda_{resource.identifier}_"))
    assert len(token) == len("llambda_") + 12 + 1 + 43
    assert (resource.kind, resource.provider_id, resource.provider_resource_id) == (
        "api_key",
        "llambda",
        resource.identifier,
    )


def test_what_is_kept_is_no_secret_and_is_shown_in_no_repr() -> None:
    token, resource = issued(expires=2000)
    assert set(resource.attributes) == {"name", "roles", "salt", "hash", "expires", "last_used"}
    assert token.split("_", 2)[2] not in repr(resource)
    key = read(resource)
    assert key is not None
    assert resource.attributes["hash"] not in repr(key)
    assert resource.attributes["salt"] not in repr(key)


def test_the_same_secret_under_another_salt_has_another_hash() -> None:
    token, resource = issued()
    (_, secret) = parse(token) or ("", "")
    key = read(resource)
    assert key is not None
    assert key.matches(secret)
    assert not key.model_copy(update={"salt": "0" * 32}).matches(secret)


@given(place=st.integers(0, 42), other=st.sampled_from(CHARACTERS), cut=st.integers(1, 42))
def test_no_other_secret_matches(place: int, other: str, cut: int) -> None:
    token, resource = issued()
    (_, secret) = parse(token) or ("", "")
    key = read(resource)
    assert key is not None
    changed = secret[:place] + other + secret[place + 1 :]
    assert key.matches(changed) == (changed == secret)
    assert not key.matches(secret[:cut])
    assert not key.matches(secret + other)


@given(st.text() | st.from_regex(r"llambda_[a-z2-7]{10,14}_[A-Za-z0-9_.\-]*"))
def test_what_is_parsed_is_the_whole_text(text: str) -> None:
    found = parse(text)
    if found is not None:
        assert f"llambda_{found[0]}_{found[1]}" == text
        assert len(found[0]) == 12
        assert text.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "llambda",
        "llambda_abcdefgh2345",
        "llambda_abcdefgh2345_",
        "llambda_abcdefgh234_secret",
        "llambda_abcdefgh23456_secret",
        "llambda_abcdefgh2341_secret",
        "llambda_ABCDEFGH2345_secret",
        "LLAMBDA_abcdefgh2345_secret",
        " llambda_abcdefgh2345_secret",
        "llambda_abcdefgh2345_secret\n",
        "llambda_abcdefgh2345_sécret",
        "llambda_abcdefgh2345_sec.ret",
        "lllambda_abcdefgh2345_secret",
    ],
)
def test_what_begins_or_ends_otherwise_is_no_key(text: str) -> None:
    assert parse(text) is None
