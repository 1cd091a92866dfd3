"""Texts of a form: the form is a pattern, and who wrote another one reads words."""

from typing import Annotated, Any, Final

from pydantic import Field

MESSAGES: Final[dict[str, str]] = {}
OTHER: Final = (
    "does not have the form that is wanted here"  # of a pattern that came without words, as of other packages
)


def of_form(pattern: str, message: str) -> Any:  # noqa: ANN401 - as pydantic types Field
    """A constraint of a text; `message` goes on from the field's name: "must be ..."."""
    MESSAGES[pattern] = message
    return Field(pattern=pattern)


type IdempotencyKey = Annotated[str, of_form(r"^[!-~]{1,255}$", "must be 1 to 255 visible ASCII characters")]
