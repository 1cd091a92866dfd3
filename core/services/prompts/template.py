"""Texts with variables: `{{ name }}`, where a name is of letters, digits and `_`. Pure.

What is put in is not read again: a value that has a `{{ name }}` in it keeps it.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Final

from core.errors import InvalidRequest

VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
NAME: Final = re.compile(r"\w+")


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
    names = list(dict.fromkeys(declared))
    if odd := [name for name in names if not NAME.fullmatch(name)]:
        raise InvalidRequest(
            f"variables: {_quote(odd)} cannot be in a text: names are of letters, digits and `_`.", param="variables"
        )
    if missing := [name for name in in_text if name not in names]:
        raise InvalidRequest(
            f"variables: the text has {_quote(missing)}; add them to `variables`, or leave `variables` out.",
            param="variables",
        )
    return names


def fill(text: str, declared: Sequence[str], values: Mapping[str, str]) -> str:
    """The text with its variables replaced.

    Raises:
        InvalidRequest: a variable of the text has no value, or there is a value for what is no variable of the prompt.
    """
    in_text = find_variables(text)
    if unknown := [name for name in values if name not in declared and name not in in_text]:
        has = f"it has {_quote(declared)}" if declared else "it has none"
        raise InvalidRequest(f"prompt.variables: the prompt has no {_quote(unknown)}; {has}.", param="prompt.variables")
    if missing := [name for name in in_text if name not in values]:
        raise InvalidRequest(
            f"prompt.variables: the prompt needs {_quote(missing)}; give a value for each.", param="prompt.variables"
        )
    return VARIABLE.sub(lambda match: values[match.group(1)], text)


def _quote(names: Sequence[str]) -> str:
    return ", ".join(f"`{name[:100]}`" for name in names)
