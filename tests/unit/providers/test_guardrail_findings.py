"""What a guardrail did is told whole: every finding by its name, and masking apart from blocking."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest, UpstreamFailed
from core.providers.bedrock.guardrail_findings import FINDINGS, violation_of
from tests.parts.guardrails import EMAIL, VIOLENCE, intervened, passed

ACTIONS = st.sampled_from(["BLOCKED", "ANONYMIZED", "NONE"])
FOUND = st.lists(
    st.tuples(st.sampled_from(FINDINGS), st.from_regex(r"[A-Z]{1,8}", fullmatch=True), ACTIONS), max_size=6
)


def assessment(found: list[tuple[tuple[str, str, str], str, str]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for (policy, kind, name), called, action in found:
        made.setdefault(policy, {}).setdefault(kind, []).append({name or "match": called, "action": action})
    return made


@given(FOUND, FOUND)
def test_everything_that_was_acted_on_is_named_and_only_masking_is_masking(first: Any, second: Any) -> None:
    violation = violation_of(intervened(assessment(first), assessment(second)), 0)
    assert violation is not None
    acted = [entry for entry in (*first, *second) if entry[2] != "NONE"]
    named = {called if name else kind for (_, kind, name), called, _ in acted}
    assert set(filter(None, violation["metadata"].get("violation_type", "").split(","))) == named
    assert violation["metadata"]["masked"] == (bool(acted) and all(entry[2] == "ANONYMIZED" for entry in acted))


@given(FOUND)
def test_whatever_it_assessed_an_intervention_is_a_violation(found: Any) -> None:
    assert violation_of(intervened(assessment(found), outputs=()), 0) is not None


def test_the_last_assessment_and_the_last_output_are_told() -> None:
    violation = violation_of(intervened(VIOLENCE, EMAIL, outputs=("one", "two", "")), 0)
    assert violation is not None
    assert violation["metadata"] == {**EMAIL, "violation_type": "VIOLENCE,EMAIL", "masked": False}
    assert violation["user_message"] == "two"


def test_an_intervention_without_words_is_a_violation_without_words() -> None:
    violation = violation_of({"action": "GUARDRAIL_INTERVENED"}, 0)
    assert violation is not None
    assert (violation["user_message"], violation["metadata"]) == (None, {"masked": False})


@pytest.mark.parametrize("action", [None, "", "none", "BLOCKED", "GUARDRAIL", ["NONE"], 0, False])
def test_no_other_action_is_a_pass(action: Any) -> None:
    with pytest.raises(UpstreamFailed):
        violation_of({**passed(), "action": action}, 0)


@pytest.mark.parametrize(("sent", "seen"), [(1, 0), (2, 1)])
def test_a_pass_with_images_that_were_not_looked_at_is_none(sent: int, seen: int) -> None:
    with pytest.raises(InvalidRequest):
        violation_of(passed(images=seen), sent)
    assert violation_of(passed(images=sent), sent) is None
