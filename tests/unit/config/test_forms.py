"""What a run config or a request says in another form is answered with words, and never with a pattern."""

from pathlib import Path
import re
from typing import Annotated

from pydantic import BaseModel, Field
import pytest

from core.apis.parsing import parse
from core.config.load import interpret
from core.config.places import Places
from core.config.validation import check as validate
from core.errors import InvalidRequest
from core.frame.forms import MESSAGES, OTHER
from core.frame.types import Wire
from core.resolution.check import check

ROOT = Path(__file__).parents[3]
DOCUMENT = {
    "version": 2,
    "image_name": "t",
    "apis": ["inference"],
    "metadata_store": {"type": "sqlite", "db_path": "x.db"},
}
PATTERN = re.compile(r"[\^$]|\\[dwsS]|\[\^|pattern")


def problem(path: str, value: str, type_: str = "remote::vllm") -> str:
    entry = {"provider_id": "a", "provider_type": type_, "config": {}}
    document = {**DOCUMENT, "providers": {"inference": [entry]}}
    place = document
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step)] if step.isdecimal() else place.setdefault(step, {})  # type: ignore[index, assignment]
    place[last] = value
    loaded = interpret(document, {})
    text = "\n".join(map(str, loaded.problems + check(loaded)))
    assert not PATTERN.search(text.replace(value, "")), text
    return text


@pytest.mark.parametrize(
    "url",
    ["gpu:8000", "localhost", "http//x", "http:/x", "http://", "ftp://gpu", "://x", "/v1", "HTTP//x", "http:// x"],
)
def test_a_wrong_url_is_said_in_words(url: str) -> None:
    text = problem("providers.inference.0.config.url", url)
    assert (
        "config.url: must be a URL that begins with http:// or https:// and names a host, as http://gpu:8000/v1" in text
    )


@pytest.mark.parametrize(
    ("path", "value", "type_", "words"),
    [
        ("image_name", "-a b", "remote::vllm", "must be letters, digits"),
        ("providers.inference.0.config.role_arn", "me", "remote::bedrock", "must be the ARN of a role"),
        ("providers.inference.0.config.region_name", "a.b", "remote::bedrock", "must be a region's name"),
        ("providers.inference.0.config.endpoint_url", "a.b", "remote::bedrock", "must be a URL that begins"),
    ],
)
def test_other_forms_are_said_in_words(path: str, value: str, type_: str, words: str) -> None:
    assert words in problem(path, value, type_)


def test_every_message_goes_on_from_a_name_and_shows_no_pattern() -> None:
    assert len(MESSAGES) >= 5
    for message in MESSAGES.values():
        assert message.startswith("must be ")
        assert not PATTERN.search(message)


class Theirs(BaseModel):
    word: Annotated[str, Field(pattern=r"^[a-z]\d+$")]


class Asked(Wire):
    word: Annotated[str, Field(pattern=r"^[a-z]\d+$")]


def test_patterns_of_others_are_not_shown() -> None:
    [theirs] = validate(Theirs, {"word": "?"}, "config", Places()).problems
    assert str(theirs) == f"config.word: {OTHER}"
    with pytest.raises(InvalidRequest) as refused:
        parse(Asked, b'{"word": "?"}')
    assert str(refused.value) == f"word: {OTHER}"


def test_no_constraint_of_a_field_is_a_bare_pattern() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        text = path.read_text("utf-8")
        if path.name not in {"forms.py", "patterns.py", "policy.py", "key_format.py"}:  # the last is of what is stored
            assert not re.search(r"(Field|StringConstraints)\([^)]*pattern=", text), path
