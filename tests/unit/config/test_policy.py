"""An access policy that cannot be meant is refused with what is right; one that can is kept as it was written."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.config.policy import AccessRule, Condition, parse_condition, resource_matcher
from tests.unit.config.documents import loaded, problems

POLICY = "server.auth.access_policy"
READ = {"actions": "read"}
WRITTEN = [
    {"permit": {"actions": ["read", "delete"], "principal": "ada", "resource": "model::*"}, "when": "user is owner"},
    {"forbid": READ, "unless": ["user  with admin in roles", "resource is unowned"], "description": "why"},
]


def policy(*rules: Any) -> dict[str, Any]:
    return {"auth": {"endpoint": "https://a", "access_policy": list(rules)}}


def test_a_policy_is_kept_and_shown_as_it_was_written() -> None:
    config = loaded(server=policy(*WRITTEN)).config
    assert config is not None
    assert config.server.auth is not None
    rules = config.server.auth.access_policy
    assert rules is not None
    assert [rule.model_dump(mode="json", exclude_none=True) for rule in rules] == WRITTEN
    shown = config.model_dump(mode="json")["server"]["auth"]["access_policy"]
    assert tuple(AccessRule.model_validate(rule) for rule in shown) == rules


def test_a_rule_cannot_be_changed() -> None:
    rule = AccessRule.model_validate(WRITTEN[0])
    with pytest.raises(ValidationError, match="frozen"):
        rule.when = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rule", "path", "words"),
    [
        ({}, "", "needs exactly one of `permit` and `forbid`"),
        ({"permit": READ, "forbid": READ}, "", "needs exactly one of `permit` and `forbid`"),
        ({"permit": READ, "when": "user is owner", "unless": "user is owner"}, "", "both `when` and `unless`"),
        ({"permit": {}}, ".permit.actions", "is required"),
        ({"permit": {"action": "read"}}, ".permit.action", "did you mean `actions`?"),
        ({"permit": {"actions": []}}, ".permit.actions", "names no action; use create, read, update or delete"),
        ({"permit": {"actions": "raed"}}, ".permit.actions", "unknown action `raed`; use create, read, update or del"),
        ({"permit": {"actions": ["read", "deleet"]}}, ".permit.actions", "did you mean `delete`?"),
        ({"permit": {"actions": 5}}, ".permit.actions", "must be"),
        ({"permit": {**READ, "principal": ""}}, ".permit.principal", "at least 1"),
        ({"permit": {**READ, "resource": "small"}}, ".permit.resource", "write `type::id`, as `model::small`"),
        ({"permit": {**READ, "resource": "*"}}, ".permit.resource", "write `type::id`"),
        ({"permit": {**READ, "resource": "model::"}}, ".permit.resource", "write `type::id`"),
        ({"permit": {**READ, "resource": "::small"}}, ".permit.resource", "write `type::id`"),
        ({"permit": {**READ, "resource": "mod*::small"}}, ".permit.resource", "write `type::id`"),
        ({"permit": {**READ, "resource": "regex:"}}, ".permit.resource", "write `type::id`"),
        ({"permit": {**READ, "resource": "regex:("}}, ".permit.resource", "is not a regular expression: missing )"),
        ({"permit": {**READ, "resource": "regex:a{9999999999}"}}, ".permit.resource", "is not a regular expression"),
        ({"permit": READ, "when": "user owns it"}, ".when", "`user owns it` is not a condition; write `user with NAME"),
        ({"permit": READ, "unless": ["user is owner", "x"]}, ".unless", "`x` is not a condition"),
        ({"permit": READ, "when": []}, ".when", "has no condition"),
        ({"permit": READ, "unless": []}, ".unless", "has no condition"),
        ({"permit": READ, "when": 5}, ".when", "must be text or a list"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_once_with_what_is_right(rule: Any, path: str, words: str) -> None:
    found = problems(server=policy({"permit": READ}, rule))
    place = f"{POLICY}[1]{path}"
    assert words in found.pop(place)
    assert set(found) <= {f"{place}s"}, "a misspelt key is missing under its right name, too"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("user with admin in roles", Condition("user with", "roles", "admin")),
        ("user with admin not in roles", Condition("user with", "roles", "admin", negated=True)),
        ("user with llambda/use in scopes", Condition("user with", "scopes", "llambda/use")),
        ("user with llambda/use not in scopes", Condition("user with", "scopes", "llambda/use", negated=True)),
        ("user with the  red team in teams", Condition("user with", "teams", "the red team")),
        ("user with in in projects", Condition("user with", "projects", "in")),
        ("user with not in roles", Condition("user with", "roles", "not")),
        ("user with not not in roles", Condition("user with", "roles", "not", negated=True)),
        ("user with a in roles in roles", Condition("user with", "roles", "a in roles")),
        ("user is owner", Condition("user is owner")),
        (" user  is not\towner ", Condition("user is owner", negated=True)),
        ("user in owners teams", Condition("user in owners", "teams")),
        ("user not in owners namespaces", Condition("user in owners", "namespaces", negated=True)),
        ("resource is unowned", Condition("resource is unowned")),
    ],
)
def test_every_form_of_a_condition_is_read(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    "text",
    [
        "",
        "owner",
        "user is admin",
        "user with in roles",
        "user with admin in role",
        "user with admin in",
        "user in owners role",
        "user in owners scopes",
        "user not in owners scopes",
        "user in owners",
        "User is owner",
        "resource is not unowned",
    ],
)
def test_any_other_condition_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="write `user with NAME in ATTRIBUTE`"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("model::small", "model::small", True),
        ("model::small", "model::smaller", False),
        ("model::s.all", "model::small", False),
        ("model::small", "Model::small", False),
        ("*::small", "shield::small", True),
        ("*::small", "model::other::small", False),
        ("model::*", "model::a/b:c", True),
        ("model::*", "model_two::a", False),
        ("*::*", "anything::at::all", True),
        ("model::*-it*b", "model::gemma-it-4b", True),
        ("model::*", "model::two\nlines", True),
        ("regex:model::(a|b)", "model::b", True),
        ("regex:model::(a|b)", "model::bc", False),
        ("regex:model::.*", "model::two\nlines", True),
        ("regex:.*small", "model::small", True),
    ],
)
def test_a_resource_of_a_rule_means(text: str, name: str, matches: bool) -> None:  # noqa: FBT001 - a case of the table
    assert resource_matcher(text)(name) is matches


def stands_for(pattern: str, text: str) -> bool:
    """The definition of `*`: nothing, or one character and the rest again."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return stands_for(pattern[1:], text) or bool(text and stands_for(pattern, text[1:]))
    return bool(text) and pattern[0] == text[0] and stands_for(pattern[1:], text[1:])


@given(st.text("ab*.\n:[", min_size=1, max_size=8), st.text("ab*.\n:[", max_size=8))
def test_wildcards_match_what_their_definition_does(pattern: str, text: str) -> None:
    assert resource_matcher(f"model::{pattern}")(f"model::{text}") is stands_for(pattern, text)


def test_an_id_cannot_make_a_wildcard_slow() -> None:
    """It would take longer than anybody waits, if it tried every place for every piece."""
    assert not resource_matcher(f"model::{'*a' * 30}*b")(f"model::{'a' * 2_000}")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(.*)*b", "(a|a)*b", ".*.*.*.*x", "(a?){40}b"])
def test_no_pattern_of_a_policy_takes_long_whatever_the_name(pattern: str) -> None:
    """With Python's own engine most of these would not end."""
    assert not resource_matcher(f"regex:model::{pattern}")(f"model::{'a' * 5_000}")


@pytest.mark.parametrize("pattern", ["model::(?!internal).*", "model::(?<=a)b", r"model::(a)\1", "model::(?>a+)b"])
def test_what_cannot_be_done_in_linear_time_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must do without look-around and back-references"):
        resource_matcher(f"regex:{pattern}")


def test_a_pattern_is_about_the_whole_name_whatever_parts_it_has() -> None:
    matches = resource_matcher("regex:(?i)model::a|model::B")
    assert [matches(name) for name in ("model::A", "MODEL::b", "model::ab", "xmodel::a", "model::a\n")] == [
        *(True, True), *(False, False, False),
    ]  # fmt: skip
    assert not resource_matcher("regex:model::.")("model::\ud800x")
    assert resource_matcher("regex:model::.")("model::\ud800")
