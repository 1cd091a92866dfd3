"""Claims name attributes as they were mapped, each name once and in order; times hold within the leeway and no further."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.auth.claims import (
    DEFAULT_MAPPING,
    LEEWAY,
    attributes,
    check_audience,
    check_issuer,
    check_times,
    mapping_warnings,
    principal,
)
from core.auth.verifier import make_principal
from core.errors import Unauthenticated
from core.frame.callers import CATEGORIES

NOW = 1_800_000_000.0
TIMES = st.floats(NOW - 2 * LEEWAY, NOW + 2 * LEEWAY) | st.floats(allow_nan=True) | st.integers()
NAMES = st.sampled_from(["admin", "mallory admin", " admin", "own:v:ada"]) | st.text(min_size=1)
WORDS = st.text(min_size=1).filter(lambda text: not any(letter.isspace() for letter in text))


def valid(claims: dict[str, Any], **how: Any) -> bool:
    try:
        check_times(claims, NOW, **how)
    except Unauthenticated:
        return False
    return True


@given(TIMES)
def test_a_token_lives_until_its_expiry_and_the_leeway(exp: float) -> None:
    assert valid({"exp": exp}) == (exp > NOW - LEEWAY)


@given(st.sampled_from(["nbf", "iat"]), TIMES)
def test_a_token_starts_at_its_times_less_the_leeway(name: str, value: float) -> None:
    assert valid({"exp": NOW, name: value}) == (value <= NOW + LEEWAY)
    assert valid({"exp": NOW, name: NOW + LEEWAY})


@given(
    st.sampled_from(["exp", "nbf", "iat"]), st.booleans() | st.text() | st.lists(st.integers()) | st.just({"exp": NOW})
)
def test_a_time_that_is_no_number_is_never_valid(name: str, value: Any) -> None:
    assert not valid({"exp": NOW + 1, name: value})
    assert not valid({"exp": NOW + 1, name: value}, expires=False)


def test_only_where_it_must_expire_a_token_needs_an_expiry() -> None:
    assert (valid({}), valid({"exp": None}), valid({}, expires=False)) == (False, False, True)
    assert not valid({"exp": NOW - LEEWAY}, expires=False)


@given(st.lists(WORDS), st.sampled_from(["scope", "scp"]))
def test_words_of_a_scope_and_of_a_list_are_the_same_names(words: list[str], claim: str) -> None:
    once = list(dict.fromkeys(words))
    for value in (" ".join(words), "\n ".join(["", *words, ""]), words):
        assert attributes({claim: value}, {claim: "teams"})["teams"] == once


@given(st.text(), st.sampled_from(["username", "roles", "realm.scope", "groups"]))
def test_any_other_text_is_one_name_as_it_stands(text: str, claim: str) -> None:
    expected = [text] if text.strip() else []
    assert attributes({claim: text}, {claim: "roles"})["roles"] == expected


def test_names_of_a_list_keep_their_blanks_and_what_is_no_text_is_left_out() -> None:
    claims: dict[str, Any] = {"groups": ["my team", 1, None, ["x"], {"y": 1}, "", " ", "b"], "team": 5, "project": True}
    assert attributes(claims, DEFAULT_MAPPING) == {
        "roles": [],
        "teams": ["my team", "b"],
        "projects": [],
        "namespaces": [],
    }


def test_several_claims_make_one_attribute_in_the_order_of_the_mapping() -> None:
    claims = {"realm_access": {"roles": ["u", "a"]}, "roles": ["a", "b"]}
    assert attributes(claims, DEFAULT_MAPPING)["roles"] == ["a", "b", "u"]


@given(st.dictionaries(st.sampled_from(["sub", "username", "preferred_username", "email", "name", "client_id"]), NAMES))
def test_nobody_chooses_an_attribute_by_a_name(claims: dict[str, str]) -> None:
    caller = principal({"sub": "ada", **claims}, DEFAULT_MAPPING, "v", private=True)
    assert caller.attributes == {"namespaces": (f"own:{caller.identity}",)}


def test_a_name_of_ones_own_is_nobody_elses() -> None:
    ada = make_principal("ada", {}, "v w")
    for taken in ("own:v%20w:ada", ada.attributes["namespaces"][0]):
        eve = make_principal("eve", {"namespaces": ["x", taken], "roles": [taken]}, "z")
        assert eve.attributes == {"namespaces": ("x",)}


@pytest.mark.parametrize(
    ("names", "category"),
    [
        ({"teams": ["a"]}, "namespaces"),
        ({"namespaces": ["a"]}, "projects"),
        ({"namespaces": ["a"], "projects": ["b"], "teams": ["c"]}, "roles"),
    ],
)
def test_a_private_callers_resources_are_its_own_whatever_it_shares(names: dict[str, list[str]], category: str) -> None:
    caller = make_principal("ada", names, "v", private=True)
    assert caller.attributes[category] == ("own:v:ada",)
    assert category not in make_principal("ada", names, "v").attributes


@pytest.mark.parametrize(
    "claim",
    [
        "sub", "username", "preferred_username", "email", "upn", "name", "user", "clientId", "cognito:username",
        "https://acme\\.example/nickname", "identity.login", "custom:role", "given-name", "user_name",
    ],
)  # fmt: skip
def test_a_claim_that_users_choose_is_warned_of(claim: str) -> None:
    (warning,) = mapping_warnings({claim: "roles", "roles": "roles"})
    assert f"`{claim}` becomes roles" in warning


def test_role_claims_are_not_warned_of() -> None:
    assert not mapping_warnings(
        {**DEFAULT_MAPPING, "user_roles": "roles", "scope": "roles", "org.tenant_id": "namespaces"}
    )


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("realm_access.roles", ["path"]),
        ("a.b.c", ["deep"]),
        ("literal.dot", ["literal"]),
        (r"clients.my\.app.roles", ["app"]),
        (r"https://x\.example/y", ["url"]),
        ("https://x.example/y", ["url"]),
        ("a.b", []),
        ("a.b.c.d", []),
        ("a.", []),
        (".a", []),
        (".", []),
        ("realm_access.missing", []),
        ("sub.roles", []),
        ("missing", []),
        ("missing.roles", []),
        ("list.0", []),
    ],
)
def test_a_claim_is_looked_up_by_its_name_and_then_as_a_path(name: str, names: list[str]) -> None:
    claims: dict[str, Any] = {
        "sub": "ada",
        "realm_access": {"roles": ["path"]},
        "a": {"b": {"c": "deep"}},
        "literal.dot": "literal",
        "literal": {"dot": "path"},
        "clients": {"my.app": {"roles": "app"}},
        "https://x.example/y": "url",
        "list": ["zero"],
    }
    assert attributes(claims, {name: "roles"})["roles"] == names


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*DEFAULT_MAPPING, "client_id", "scope", "azp", "x"]), JSON))
def test_any_claims_make_a_principal_with_an_attribute_to_share_by_or_are_refused(claims: dict[str, Any]) -> None:
    try:
        found = principal(claims, DEFAULT_MAPPING, "p")
    except Unauthenticated:
        subjects = [claims.get(name) for name in ("sub", "client_id", "azp")]
        assert not any(isinstance(value, str) and value for value in subjects)
        return
    assert any(found.attributes.get(name) for name in CATEGORIES)
    for names in found.attributes.values():
        assert names
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("claims", "id_"),
    [
        ({"sub": "s", "client_id": "c"}, "s"),
        ({"client_id": "c", "azp": "z"}, "c"),
        ({"azp": "z", "cid": "i"}, "z"),
        ({"cid": "i"}, "i"),
        ({"sub": "", "cid": "i"}, "i"),
        ({"sub": 5, "cid": "i"}, "i"),
    ],
)
def test_a_principal_is_the_subject_or_else_the_client(claims: dict[str, Any], id_: str) -> None:
    assert principal(claims, {}, "p").id == id_


def test_a_mapped_scope_is_an_attribute_and_stays_a_scope() -> None:
    found = principal({"sub": "a", "scope": "r w", "scp": ["w", "x"]}, {"scope": "roles"}, "p")
    assert found.attributes == {"roles": ("r", "w"), "scopes": ("r", "w", "x")}


def test_scopes_alone_share_nothing_so_that_their_bearer_has_a_namespace() -> None:
    assert make_principal("a", {"scopes": ["r"]}, "p").attributes == {"scopes": ("r",), "namespaces": ("own:p:a",)}
    assert make_principal("a", {"scopes": ["r"], "teams": ["t"]}, "p").attributes == {"scopes": ("r",), "teams": ("t",)}


@pytest.mark.parametrize(
    ("aud", "good"),
    [
        ("a", True),
        (["a"], True),
        (["b", "a"], True),
        ("b", False),
        ([], False),
        (None, False),
        (["A"], False),
        (["ab"], False),
        ("", False),
    ],
)
def test_an_audience_is_the_text_or_one_of_the_list(aud: Any, *, good: bool) -> None:
    if good:
        check_audience({"aud": aud}, "a")
    else:
        with pytest.raises(Unauthenticated):
            check_audience({"aud": aud}, "a")


def test_an_issuer_is_checked_where_it_is_configured() -> None:
    check_issuer({}, None)
    check_issuer({"iss": "i"}, "i")
    with pytest.raises(Unauthenticated):
        check_issuer({}, "i")
