"""What a model's answer has of calls, whatever the language that it is written in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST: Final = 20_000  # characters of an answer with calls


class NoCall(Exception):
    """Raised where an answer is no call, or none that can be read."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` are by their names; those of Java and JavaScript are SourceValues, whose type is not known yet.

    One without a name has the name None, which no function has.
    """

    name: str
    arguments: Mapping[str | None, Any]


@dataclass(frozen=True, slots=True)
class SourceValue:
    """An argument as it is written: its text, or parts where it is a list or, with `keys`, a dictionary.

    `kind` tells a text in quotes from code: `text` has none of them any more.
    """

    text: str
    kind: str = "code"
    parts: "tuple[SourceValue, ...] | None" = None
    keys: tuple[str, ...] | None = None
