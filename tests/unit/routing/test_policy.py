"""The access policy's decisions: the first rule that matches, whoever asks and by whichever name; else no."""

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.policy import ACTIONS, AccessRule, Action
from core.frame.callers import ANONYMOUS, CATEGORIES, Principal
from core.frame.resources import Resource
from core.routing.policy import DEFAULT_POLICY, Policy, owner_of, same_owner

ADA = Principal("ada", {"roles": ("dev", "ops"), "teams": ("red",), "scopes": ("use",)})
BOB = Principal("bob", {"roles": ("dev",), "teams": ("blue",)})
EVA = Principal("eva", {"teams": ("red",)})


def rule(verdict: str, actions: Any = ACTIONS, **more: Any) -> AccessRule:
    scope = {key: more.pop(key) for key in ("principal", "resource") if key in more}
    return AccessRule.model_validate({verdict: {"actions": actions, **scope}, **more})


def model(identifier: str = "small", owner: Principal | None = None) -> Resource:
    return Resource("model", identifier, "a", "m", {}, owner=owner_of(owner))


def allows(rules: Any, principal: Principal = ADA, resource: Resource | None = None, *also: str) -> bool:
    return Policy(rules).allows(principal, "read", resource or model(), also)


def holds(condition: str, principal: Principal, owner: Principal | None) -> bool:
    return allows([rule("permit", when=condition)], principal, model(owner=owner))


@pytest.mark.parametrize(
    ("condition", "principal", "owner", "expected"),
    [
        ("user with dev in roles", ADA, None, True),
        ("user with ops in roles", BOB, None, False),
        ("user with dev in roles", EVA, None, False),
        ("user with red in roles", ADA, None, False),
        ("user with use in scopes", ADA, None, True),
        ("user with use in scopes", BOB, None, False),
        ("user with dev in roles", ANONYMOUS, None, False),
        ("user is owner", ADA, ADA, True),
        ("user is owner", BOB, ADA, False),
        ("user is owner", ADA, None, False),
        ("user is owner", ANONYMOUS, None, False),
        ("user in owners teams", ADA, ADA, True),
        ("user in owners teams", EVA, ADA, True),
        ("user in owners teams", BOB, ADA, False),
        ("user in owners roles", BOB, ADA, True),
        ("user in owners roles", EVA, ADA, False),
        ("user in owners roles", ADA, EVA, True),
        ("user in owners projects", ANONYMOUS, ADA, True),
        ("user in owners teams", ANONYMOUS, ADA, False),
        ("user in owners teams", ANONYMOUS, None, True),
    ],
)
def test_a_condition_holds_or_its_negation_does(
    condition: str,
    principal: Principal,
    owner: Principal | None,
    expected: bool,  # noqa: FBT001 - a case of the table
) -> None:
    negated = {
        "user with": condition.replace(" in ", " not in "),
        "user is o": "user is not owner",
        "user in o": condition.replace("user in", "user not in"),
    }[condition[:9]]
    assert holds(condition, principal, owner) is expected
    assert holds(negated, principal, owner) is not expected


def test_what_nobody_owns_is_unowned() -> None:
    assert holds("resource is unowned", BOB, None)
    assert not holds("resource is unowned", ADA, ADA)


def test_the_anonymous_caller_owns_nothing_even_if_a_row_says_so() -> None:
    row = Resource("model", "x", "a", "m", {}, owner={"principal": "", "attributes": {}})
    assert not allows([rule("permit", when="user is owner")], ANONYMOUS, row)


def test_all_conditions_of_when_must_hold_and_all_of_unless_to_except() -> None:
    dev, owner = "user with dev in roles", "user is owner"
    for who, whose in product((ADA, BOB, EVA), (ADA, EVA)):
        both = holds(dev, who, whose) and holds(owner, who, whose)
        for verdict, opposite in (("permit", []), ("forbid", [rule("permit")])):
            when = allows([rule(verdict, when=[dev, owner]), *opposite], who, model(owner=whose))
            unless = allows([rule(verdict, unless=[dev, owner]), *opposite], who, model(owner=whose))
            assert when is (both == (verdict == "permit"))
            assert unless is not when


@pytest.mark.parametrize(
    "scope",
    [
        {"principal": "ada"},
        {"actions": "read"},
        {"actions": ["delete", "read"]},
        {"resource": "model::small"},
        {"resource": "model::s*l"},
        {"resource": "*::small"},
        {"resource": "regex:model::[a-z]+"},
        {"principal": "ada", "actions": "read", "resource": "model::*"},
    ],
)
def test_a_scope_is_for_what_it_names_alone(scope: dict[str, Any]) -> None:
    policy = Policy([rule("permit", **scope)])
    assert policy.allows(ADA, "read", model())
    others = [
        policy.allows(BOB, "read", model()),
        policy.allows(ADA, "update", model()),
        policy.allows(ADA, "read", Resource("shield", "LARGE", "a", "m", {})),
    ]
    assert others == ["principal" not in scope, "actions" not in scope, "resource" not in scope]


def test_a_rule_about_one_name_decides_for_every_name() -> None:
    for verdict in ("permit", "forbid"):
        rules = [rule(verdict, resource="model::small"), rule("forbid" if verdict == "permit" else "permit")]
        assert allows(rules, ADA, model("a/m"), "small") is (verdict == "permit")
        assert allows(rules, ADA, model("small"), "a/m") is (verdict == "permit")
        assert allows(rules, ADA, model("a/m")) is (verdict != "permit")


def test_a_rule_about_a_name_is_not_about_longer_ones() -> None:
    assert not allows([rule("permit", resource="model::small")], ADA, model("smaller"), "a/small")


def test_the_stack_itself_may_do_everything() -> None:
    decision = Policy([rule("forbid")]).decide(None, "delete", model(owner=ADA))
    assert (decision.allowed, decision.rule, decision.index) == (True, None, None)


def test_the_decision_names_its_rule_and_every_rule_before_says_why_not() -> None:
    rules = [
        rule("forbid", principal="bob"),
        rule("forbid", ["create", "delete"]),
        rule("forbid", resource="model::x*"),
        rule("forbid", when=["user with dev in roles", "user with x in roles"]),
        rule("forbid", unless=["user with dev in roles", "user is owner"]),
        rule("permit", "read", description="this one"),
        rule("forbid"),
    ]
    policy = Policy(rules)
    decision = policy.decide(ADA, "read", model(owner=ADA))
    assert (decision.allowed, decision.rule, decision.index) == (True, rules[5], 5)
    assert policy.mismatches(ADA, "read", model(owner=ADA)) == [
        "it is for `bob`",
        "it is about create, delete",
        "it is about `model::x*`",
        "`user with x in roles` does not hold",
        "excepted by `user with dev in roles` and `user is owner`",
    ]


def test_an_owner_is_who_registers_with_the_attributes_that_are_shared() -> None:
    assert owner_of(ADA) == {"principal": "ada", "attributes": {"roles": ["dev", "ops"], "teams": ["red"]}}
    assert owner_of(ANONYMOUS) is None
    assert owner_of(None) is None


def test_the_default_policy_is_the_references() -> None:
    assert (
        AccessRule.model_validate(
            {
                "permit": {"actions": ["create", "read", "update", "delete"]},
                "when": [
                    "user in owners roles",
                    "user in owners teams",
                    "user in owners projects",
                    "user in owners namespaces",
                ],
            }
        ),
    ) == DEFAULT_POLICY


names = st.lists(st.sampled_from("abc"), unique=True, max_size=2).map(tuple)
principals = st.builds(
    Principal, st.sampled_from(["ada", "bob"]), st.dictionaries(st.sampled_from(CATEGORIES), names, max_size=4)
)
conditions = st.one_of(
    st.builds("user with {} in {}".format, st.sampled_from("abc"), st.sampled_from(CATEGORIES)),
    st.builds("user with {} not in {}".format, st.sampled_from("abc"), st.sampled_from(CATEGORIES)),
    st.builds("user in owners {}".format, st.sampled_from(CATEGORIES)),
    st.sampled_from(["user is owner", "user is not owner", "resource is unowned"]),
)
rules = st.builds(
    lambda verdict, actions, scope, guard: rule(verdict, actions, **scope, **guard),
    st.sampled_from(["permit", "forbid"]),
    st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True),
    st.fixed_dictionaries(
        {},
        optional={
            "principal": st.sampled_from(["ada", "bob"]),
            "resource": st.sampled_from(["model::small", "model::*", "*::large", "shield::*", "regex:model::s.*"]),
        },
    ),
    st.dictionaries(st.sampled_from(["when", "unless"]), st.lists(conditions, min_size=1, max_size=2), max_size=1),
)
resources = st.builds(
    lambda kind, identifier, owner: Resource(kind, identifier, "a", "m", {}, owner=owner_of(owner)),
    st.sampled_from(["model", "shield"]),
    st.sampled_from(["small", "large"]),
    st.none() | principals,
)
asked = st.tuples(principals, st.sampled_from(ACTIONS), resources)
type Asked = tuple[Principal, Action, Resource]


@given(principals, st.sampled_from(ACTIONS), st.none() | principals)
def test_the_default_policy_wants_a_name_in_common_in_every_category_that_the_owner_has(
    user: Principal, action: Action, owner: Principal | None
) -> None:
    needed = {} if owner is None else {name: values for name, values in owner.attributes.items() if values}
    common = all(set(values) & set(user.attributes.get(name, ())) for name, values in needed.items())
    assert Policy(DEFAULT_POLICY).allows(user, action, model(owner=owner)) is common


@given(st.lists(rules, max_size=5), asked)
def test_the_first_rule_that_matches_alone_decides_and_none_is_a_no(policy: list[AccessRule], asked: Asked) -> None:
    alone = [Policy([one]).decide(*asked) for one in policy]
    first = next((index for index, decision in enumerate(alone) if decision.rule is not None), None)
    decision = Policy(policy).decide(*asked)
    assert decision.index == first
    assert decision.allowed is (first is not None and policy[first].permit is not None)
    assert decision.rule is (None if first is None else policy[first])
    assert len(Policy(policy).mismatches(*asked)) == (len(policy) if first is None else first)


@given(st.lists(rules, max_size=4), rules, asked)
def test_a_rule_after_the_one_that_decides_changes_nothing(
    policy: list[AccessRule], more: AccessRule, asked: Asked
) -> None:
    before = Policy(policy).decide(*asked)
    after = Policy([*policy, more]).decide(*asked)
    assert before.rule is None or after == before


@given(rules, asked)
def test_of_a_permit_and_a_forbid_of_the_same_the_first_wins(one: AccessRule, asked: Asked) -> None:
    guards = {"when": one.when, "unless": one.unless}
    permit, forbid = AccessRule(permit=one.scope, **guards), AccessRule(forbid=one.scope, **guards)
    matches = Policy([one]).decide(*asked).rule is not None
    assert Policy([permit, forbid]).allows(*asked) is matches
    assert not Policy([forbid, permit]).allows(*asked)


@given(st.lists(rules, max_size=4), asked)
def test_another_name_opens_nothing_that_a_forbid_before_it_closes(policy: list[AccessRule], asked: Asked) -> None:
    principal, action, resource = asked
    closed = [rule("forbid", resource=f"{resource.kind}::hidden"), *policy]
    assert not Policy(closed).allows(principal, action, resource, ["hidden"])


def of(issuer: str, name: str = "ada", **attributes: tuple[str, ...]) -> Principal:
    return Principal(name, attributes, issuer)


def test_an_owner_is_known_with_its_issuer() -> None:
    mine = model(owner=of("oauth2_token a"))
    policy = Policy([rule("permit", when="user is owner")])
    assert [policy.allows(of(issuer), "read", mine) for issuer in ("oauth2_token a", "oauth2_token b", "")] == [
        *(True, False, False),
    ]  # fmt: skip


def test_what_was_stored_without_an_issuer_is_its_heirs_alone() -> None:
    subject, namespace = [{"principal": "ada", "attributes": {name: ["ada"]}} for name in ("roles", "namespaces")]
    for rules in (DEFAULT_POLICY, [rule("permit", when="user is owner")]):
        policy = Policy(rules, lambda principal: principal.vouched_by == "a")
        for owner in (subject, namespace):
            row = Resource("model", "x", "a", "m", {}, owner=owner)
            callers = (of("a"), of("b"), of("a", "eve"), of("a", "eve", teams=("ada",)))
            assert [policy.allows(caller, "delete", row) for caller in callers] == [True, False, False, False]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (of("a"), None, False),
        (of("a"), of("a", roles=("x",)), True),
        (of("a"), of("b"), False),
        (of(""), of("b"), True),
        (of(""), of("", "eve"), False),
    ],
)
def test_owners_are_the_same_by_id_and_issuer(one: Principal | None, other: Principal | None, *, same: bool) -> None:
    assert same_owner(owner_of(one), owner_of(other)) is same


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (None, False),
        ("*::*", False),
        ("*::abc", False),
        ("regex:.*::abc", False),
        ("regex:[a-z]+::.*", False),
        ("regex:...::abc", False),
        ("regex:k.*::.*", False),
        ("model::*", False),
        ("key::*", True),
        ("key::abc", True),
        ("key::b*", False),
        ("regex:(key|role)::.*", True),
    ],
)
def test_what_opens_a_stack_is_permitted_by_rules_that_name_it_alone(resource: str | None, *, expected: bool) -> None:
    more = {} if resource is None else {"resource": resource}
    key = Resource("key", "abc", "", "", {})
    assert allows([rule("permit", **more)], ADA, key) is expected
    assert allows([rule("permit", **more), rule("permit", resource="key::abc")], ADA, key)
    if resource not in {"model::*", "key::b*"}:
        assert not allows([rule("forbid", **more), rule("permit", resource="key::abc")], ADA, key)
    reason = Policy([rule("permit", **more)]).mismatches(ADA, "read", key)
    assert (
        reason == []
        if expected
        else ("it does not name `key::`" in reason[0]) is (resource not in {"model::*", "key::b*"})
    )
