"""Texts of a form: the form is a pattern, and who wrote another one reads words."""

from typing import Any, Final

from pydantic import Field

MESSAGES: Final[dict[str, str]] = {}
OTHER: Final = (
    "does not have the form that is wanted here"  # of a pattern that came without words, as of other packages
)


def of_form(pattern: str, message: str) -> Any:  # noqa: ANN401 - as pydantic types Field
    """A constraint of a text; `message` goes on from the field's name: "must be ..."."""
    MESSAGES[pattern] = message
    return Field(pattern=pattern)
