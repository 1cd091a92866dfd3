"""Texts with variables: `{{ name }}`, where a name is of letters, digits and `_`. Pure.

What is put in is not read again: a value that has a `{{ name }}` in it keeps it.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Final

from core.errors import InvalidRequest

VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
NAME: Final = re.compile(r"\w+")
MOST_QUOTED: Final = 10  # names that an error tells
MOST_FILLED: Final = 10_000_000
"""Characters of a text with its values in it: a long value may stand in it a thousand times."""


def find_variables(text: str) -> list[str]:
    """The names in the text, each once, as they come."""
    return list(dict.fromkeys(VARIABLE.findall(text)))


def check_variables(text: str, declared: Sequence[str] | None) -> list[str]:
    """The names of a prompt: those that are declared, or without any those of its text. One may be declared and not used.

    Raises:
        InvalidRequest: a name of the text is not declared, or one could not be in a text.
    """
    in_text = find_variables(text)
    if declared is None:
        return in_text
    names = dict.fromkeys(declared)
    if odd := [name for name in names if not NAME.fullmatch(name)]:
        raise InvalidRequest(
            f"variables: {_quote(odd)} cannot be in a text: names are of letters, digits and `_`.", param="variables"
        )
    if missing := [name for name in in_text if name not in names]:
        raise InvalidRequest(
            f"variables: the text has {_quote(missing)}; add them to `variables`, or leave `variables` out.",
            param="variables",
        )
    return list(names)


def fill(text: str, declared: Sequence[str], values: Mapping[str, str]) -> str:
    """The text with its variables replaced.

    Raises:
        InvalidRequest: a variable of the text has no value, there is a value for what is no variable of the prompt, or the text is too long.
    """
    in_text = find_variables(text)
    known = {*declared, *in_text}  # a text has thousands, and so may a request
    if unknown := [name for name in values if name not in known]:
        has = f"it has {_quote(declared)}" if declared else "it has none"
        raise InvalidRequest(f"prompt.variables: the prompt has no {_quote(unknown)}; {has}.", param="prompt.variables")
    if missing := [name for name in in_text if name not in values]:
        raise InvalidRequest(
            f"prompt.variables: the prompt needs {_quote(missing)}; give a value for each.", param="prompt.variables"
        )
    length = len(text) + sum(len(values[name]) for name in VARIABLE.findall(text))
    if length > MOST_FILLED:
        raise InvalidRequest(
            f"prompt.variables: with these values the text has {length:,} characters, and may have {MOST_FILLED:,}.",
            param="prompt.variables",
        )
    return VARIABLE.sub(lambda match: values[match.group(1)], text)


def _quote(names: Sequence[str]) -> str:
    """The first of them: an error is for a person to read."""
    more = len(names) - MOST_QUOTED
    quoted = ", ".join(f"`{name[:100]}`" for name in names[:MOST_QUOTED])
    return f"{quoted} and {more:,} more" if more > 0 else quoted
