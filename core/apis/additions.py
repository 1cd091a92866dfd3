"""The fields that the stack puts into a caller's body by itself, and what is sent in their place where they are refused. Pure.

What a caller wrote is the caller's, and is never left out for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
import re
from types import MappingProxyType
from typing import Any, Final

from core.frame.types import JsonObject

WORD: Final = re.compile(r"\w+")
NOTHING: Final = MappingProxyType[str, Any]({})
ASK_USAGE: Final[JsonObject] = {"include_usage": True}
GREEDY: Final[JsonObject] = {"temperature": 0.0}
STRICT: Final[JsonObject] = {"strict": True}
OTHER_BOUND: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True)
class Addition:
    """`instead` are the fields that take its place: itself as the caller had it, another, or none.

    `words` are the names by which an upstream speaks of it.
    """

    field: str
    words: tuple[str, ...]
    instead: Mapping[str, Any] = NOTHING

    def is_named_in(self, text: str) -> bool:
        return not frozenset(self.words).isdisjoint(WORD.findall(text))


USAGE: Final = Addition("stream_options", ("stream_options", *ASK_USAGE))
"""That a stream says what it used, by which quotas are charged."""


def usage_addition(options: Mapping[str, Any] | None) -> Addition:
    """The same where the caller has `options`."""
    return USAGE if options is None else replace(USAGE, instead={USAGE.field: options})


def greedy_addition() -> Addition:
    """Llama Stack's own default, which OpenAI's reasoning models refuse."""
    return Addition("temperature", tuple(GREEDY))


def strict_addition(response_format: Mapping[str, Any]) -> Addition:
    """That a schema is kept to; `response_format` is the same without."""
    return Addition("response_format", tuple(STRICT), {"response_format": response_format})


def bound_addition(name: str, most: int) -> Addition:
    """A bound on the tokens of an answer, which is not given up: the field's other name is tried."""
    return Addition(name, (name,), {OTHER_BOUND[name]: most})
