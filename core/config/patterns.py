"""Regular expressions of an operator's, which run over what anybody sends."""

from collections.abc import Callable
import re


class PatternRefused(ValueError):
    """The pattern is none, or `looks_around`, which takes time without bound."""

    def __init__(self, message: str, *, looks_around: bool = False) -> None:
        super().__init__(message)
        self.looks_around = looks_around


def linear_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text is wholly what the pattern says, in time that grows as the text does.

    They are Rust's, which pydantic has in it: without look-around and back-references. Raises PatternRefused.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        re.compile(pattern)  # its parentheses close, so that it cannot leave the group that is put around it
    except (re.PatternError, OverflowError, RecursionError) as failure:
        raise PatternRefused(f"is not a regular expression: {failure}") from failure
    schema = core_schema.str_schema(pattern=rf"\A(?s:{pattern})\z", regex_engine="rust-regex", strict=True)
    try:
        validator = SchemaValidator(schema)
    except SchemaError as failure:
        message = "must do without look-around and back-references, which take time without bound"
        raise PatternRefused(message, looks_around=True) from failure
    matches = validator.isinstance_python
    return lambda text: matches(text if text.isascii() else text.encode(errors="replace").decode())
