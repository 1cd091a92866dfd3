"""No secret survives redaction, and nothing else changes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.redact import MASK, names_secret, redact, redact_text

CANARY = "s3cr3t-canary"


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apikey",
        "apiKey",
        "api-key",
        "OPENAI_API_KEY",
        "api_token",
        "token",
        "aws_session_token",
        "aws_secret_access_key",
        "aws_access_key_id",
        "accessKeyId",
        "password",
        "db_password",
        "client_secret",
        "credentials",
        "Authorization",
        "proxy-authorization",
        "private_key",
        "passphrase",
    ],
)
@pytest.mark.parametrize("value", [CANARY, [CANARY], {"inner": CANARY}, 12345678, True])
def test_what_stands_under_a_secret_name_is_masked(key: str, value: Any) -> None:
    assert redact({"config": [{key: value}]}) == {"config": [{key: MASK}]}


def test_empty_values_are_shown_as_empty() -> None:
    document: dict[str, Any] = {"api_key": "", "token": None, "secret": {}, "password": []}
    assert redact(document) == document


def test_token_counts_are_no_secrets_but_lists_of_tokens_are() -> None:
    assert redact({"max_tokens": 4096, "prompt_tokens": 0, "maxTokens": 1}) == {
        "max_tokens": 4096,
        "prompt_tokens": 0,
        "maxTokens": 1,
    }
    assert redact({"allowed_tokens": [CANARY]}) == {"allowed_tokens": MASK}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:pw@host:8443/v1?x=1", f"https://{MASK}@host:8443/v1?x=1"),
        ("https://ada:p@w@host/", f"https://{MASK}@host/"),
        ("https://key@host", f"https://{MASK}@host"),
        ("postgresql+asyncpg://u:p@h/db", f"postgresql+asyncpg://{MASK}@h/db"),
        ("see http://a:b@c/ and http://d:e@f/", f"see http://{MASK}@c/ and http://{MASK}@f/"),
        ("https://host/?api_key=abc&page=2", f"https://host/?api_key={MASK}&page=2"),
        ("https://host/?page=2&X-Amz-Security-Token=abc#top", f"https://host/?page=2&X-Amz-Security-Token={MASK}#top"),
        ("https://host/users/@ada", "https://host/users/@ada"),
        ("ada@example.com", "ada@example.com"),
    ],
)
def test_credentials_in_urls_are_masked(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact([url]) == [shown]


def test_the_copy_shares_nothing_with_the_original() -> None:
    original: dict[str, Any] = {"a": [{"b": 1}], "c": (1, {"token": "x"})}
    copy = redact(original)
    copy["a"][0]["b"] = 2
    assert original == {"a": [{"b": 1}], "c": (1, {"token": "x"})}
    assert copy["c"] == (1, {"token": MASK})


names = st.sampled_from(["api_key", "x_token", "clientSecret", "PASSWORD", "Authorization", "credential-1"])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
keys = st.text(st.characters(categories=["Ll", "Nd"]), max_size=4)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | names, inner, max_size=3), max_leaves=6
)
secrets = st.recursive(
    st.just(CANARY),
    lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(keys, inner, min_size=1, max_size=2),
    max_leaves=3,
)


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """A tree with a canary somewhere under a secret name, or as the userinfo of a URL."""
    tree: Any = {draw(names): draw(secrets)} if draw(st.booleans()) else f"https://u:{CANARY}@h/"
    for _ in range(draw(st.integers(0, 3))):
        beside = draw(trees)
        tree = draw(st.sampled_from([[beside, tree], {"beside": beside, draw(keys): tree}]))
    return tree


@given(planted())
def test_no_secret_survives_wherever_it_is(tree: Any) -> None:
    assert CANARY in repr(tree)
    assert CANARY not in repr(redact(tree))


@given(planted() | trees)
def test_redacting_twice_is_redacting_once(tree: Any) -> None:
    assert redact(redact(tree)) == redact(tree)


@given(st.recursive(st.none() | st.integers() | keys, lambda inner: st.lists(inner) | st.dictionaries(keys, inner)))
def test_what_is_no_secret_is_left_alone(tree: Any) -> None:
    if not any(names_secret(word) for word in repr(tree).split("'")):
        assert redact(tree) == tree


@pytest.mark.parametrize("unit", ["?", "&", "?a", "=", "?token", "&token=", "token", "://", "://a@", "@", "%", "?a=b?"])
@pytest.mark.parametrize("end", ["", "=", " @"])
def test_no_text_takes_long(unit: str, end: str) -> None:
    """So many repeats would take minutes if the time grew with the square of them."""
    redact_text(f"https://x{unit * 50_000}{end}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"?a?token={CANARY}", f"?a?token={MASK}"),
        (f"http://h?a=b?token={CANARY}", f"http://h?a=b?token={MASK}"),
        (f"http://h?token=a&secret={CANARY}&x=1", f"http://h?token={MASK}&secret={MASK}&x=1"),
        (f"http://h?api%5Fkey={CANARY}", f"http://h?api%5Fkey={MASK}"),
        (f"http://h?API-KEY={CANARY}?token={CANARY} b", f"http://h?API-KEY={MASK} b"),
        (f"http://h?my.token[]={CANARY}#x", f"http://h?my.token[]={MASK}#x"),
        ("http://h?token=&x=1", "http://h?token=&x=1"),
    ],
)
def test_parameters_that_name_a_secret_are_masked_wherever_they_begin(text: str, shown: str) -> None:
    assert redact_text(text) == shown
