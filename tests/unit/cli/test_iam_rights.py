"""Every model and guardrail that is used is in the rights of whoever calls it, or a mistake is reported."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from core.cli.iam.rights import SELF, Known, derive
from core.cli.iam.statements import Arn, Model, Place, statements
from core.cli.iam.uses import Source, Usage, Used

ROLE: Final = "arn:aws:iam::210987654321:role/bedrock"
SOURCES: Final = (
    Source("inference", "near", "us-east-1"),
    Source("inference", "far", "eu-west-1", ROLE),
    Source("safety", "guard", "us-east-1"),
    Source("safety", "other", "eu-west-1", ROLE),
)
PLACES: Final = {
    source: Place("aws", source.region, "210987654321" if source.role else "123456789012") for source in SOURCES
}
BEHIND: Final = "arn:aws:bedrock:us-east-2::foundation-model/a.b"
PROFILE: Final = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/p1"

names = st.one_of(
    st.from_regex(r"[a-z]{2}[.][a-z0-9-]{1,12}(:0)?", fullmatch=True),
    st.sampled_from([BEHIND, PROFILE, "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/p2"]),
    st.text(max_size=12),
)
profiles = st.sampled_from([None, {"models": [BEHIND]}, {"models": ["*"]}, {}, 7])
models = st.builds(Used, names, st.sampled_from(SOURCES[:2]), st.booleans(), profiles)
guardrails = st.builds(Used, names, st.sampled_from(SOURCES[2:]))


def used(*models: Used, guardrails: tuple[Used, ...] = ()) -> Usage:
    return Usage(SOURCES, models, guardrails)


def resources(usage: Usage, principal: str, known: Known | None = None) -> set[str]:
    rights = derive(usage, principal, PLACES, known or {}).rights
    return {arn for statement in statements(rights) for arn in statement["Resource"]}


@given(st.lists(models, max_size=4), st.lists(guardrails, max_size=3))
def test_everything_used_is_allowed_to_its_own_principal_or_is_a_problem(some: list[Used], shields: list[Used]) -> None:
    usage = used(*some, guardrails=tuple(shields))
    derived = {principal: derive(usage, principal, PLACES, {}) for principal in (SELF, ROLE)}
    wrong = " ".join(problem.path for each in derived.values() for problem in each.problems)
    for each in some + shields:
        named = {
            text
            for statement in statements(derived[each.source.role].rights)
            for text in statement["Resource"]
            if text == each.name or text.endswith((f"profile/{each.name}", f"model/{each.name}", f"rail/{each.name}"))
        }
        assert named or f"`{each.name}`" in wrong


@given(st.lists(models, max_size=4), st.lists(guardrails, max_size=3))
def test_no_resource_but_that_of_lists_is_a_wildcard(some: list[Used], shields: list[Used]) -> None:
    for principal in (SELF, ROLE):
        for statement in statements(derive(used(*some, guardrails=tuple(shields)), principal, PLACES, {}).rights):
            if statement["Sid"] != "List":
                assert all(Arn.parse(text) for text in statement["Resource"])


def test_a_model_that_was_looked_up_is_allowed_by_its_one_arn() -> None:
    source = SOURCES[0]
    known = {(source, "a.b"): Model(("arn:aws:bedrock:us-east-1::foundation-model/a.b",))}
    found = derive(used(Used("a.b", source)), SELF, PLACES, known)
    assert resources(used(Used("a.b", source)), SELF, known) - {"*", ROLE} == set(known[source, "a.b"].called)
    assert found.notes == []


def test_a_profile_that_was_looked_up_by_its_id_is_that_of_the_account_which_calls_it() -> None:
    source = SOURCES[1]
    arn = "arn:aws:bedrock:eu-west-1:999999999999:inference-profile/eu.a"
    known = {(source, "eu.a"): Model((arn,), (BEHIND,))}
    found = resources(used(Used("eu.a", source)), ROLE, known) - {"*"}
    assert found == {arn.replace("999999999999", "210987654321"), BEHIND}


def test_a_profile_that_was_looked_up_by_its_arn_keeps_it() -> None:
    source = SOURCES[1]
    known = {(source, PROFILE): Model((PROFILE,), (BEHIND,))}
    assert resources(used(Used(PROFILE, source)), ROLE, known) - {"*"} == {PROFILE, BEHIND}


def test_what_the_run_config_says_of_a_profile_goes_before_what_was_looked_up() -> None:
    source = SOURCES[0]
    known = {(source, PROFILE): Model((PROFILE,), ("arn:aws:bedrock:eu-west-1::foundation-model/other",))}
    told = Used(PROFILE, source, profile={"models": [BEHIND]})
    assert resources(used(told), SELF, known) - {"*", ROLE} == {PROFILE, BEHIND}


def test_a_profile_of_which_nothing_is_known_gets_a_note() -> None:
    derived = derive(used(Used(PROFILE, SOURCES[0])), SELF, PLACES, {})
    assert "does not allow the models behind" in derived.notes[0]


def test_embedding_stays_what_it_is_when_it_was_looked_up() -> None:
    source = SOURCES[0]
    known = {(source, "a.b"): Model((BEHIND,))}
    [model] = derive(used(Used("a.b", source, embedding=True)), SELF, PLACES, known).rights.models
    assert model.embedding
