"""docs/chat-fields.md says what the tables of the code say."""

import json
import re

import pytest

from core.providers.bedrock.converse.families import FAMILIES, family_of
from core.providers.bedrock.converse.options import DROPPED, NO_EQUIVALENT
from core.providers.bedrock.converse.reply import FINISH_REASONS, MALFORMED
from tests.parts.chat_fields import family_row, outcomes, rows

OUTCOMES = outcomes()


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_what_becomes_of_a_field_is_what_the_page_says(name: str) -> None:
    word = re.match(r"\w+", OUTCOMES[name])
    wanted = "dropped" if name in DROPPED else "refused" if name in NO_EQUIVALENT else "translated"
    assert word is not None
    assert word[0] == wanted
    if wanted == "refused":
        harmless = re.match(r"refused but for (`.*?`)", OUTCOMES[name])
        assert ([json.loads(harmless[1].strip("`"))] if harmless else []) == list(NO_EQUIVALENT[name])


def test_what_is_dropped_and_openais_is_on_the_page() -> None:
    assert OUTCOMES.keys() >= DROPPED


def test_the_families_are_those_of_the_code() -> None:
    models = [cells[0].strip("`") for cells in rows("Families")]
    for model, cells in zip(models, rows("Families"), strict=True):
        assert f"| {' | '.join(cells)} |" == family_row(model)
    named = {family_of(model).name for model in models}
    vendors = ("anthropic", "amazon", "meta", "mistral", "cohere", "openai")
    known = {family.name for vendor in vendors for _, family in FAMILIES[vendor]}
    assert known - named <= {"claude-2", "claude-5.1", "mistral-7b", "titan"}


def test_the_finish_reasons_are_those_of_the_code() -> None:
    told = {reason: cells[1] for cells in rows("The answer") for reason in re.findall(r"`(\w+)`", cells[0])}
    for reason, word in FINISH_REASONS.items():
        assert told[reason] == f"`{word}`"
    for reason in MALFORMED:
        assert told[reason].startswith("none")
