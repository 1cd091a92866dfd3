"""The types of BFCL's function descriptions, in Python, Java and JavaScript, and what source text becomes under each.

Text that is no value of its type stays text, and so is wrong where no text is expected. Source: the type converters of
https://github.com/ShishirPatil/gorilla/tree/main/berkeley-function-call-leaderboard.
"""

from collections.abc import Callable, Mapping
from functools import partial
import re
from typing import Any, Final

from core.providers.scoring_basic.bfcl_calls import SourceValue

type Readers = Mapping[str, Callable[[str], Any]]
"""What reads the text of a type that is no list and no dictionary."""

PYTHON: Final[Mapping[str, type]] = {
    "string": str,
    "integer": int,
    "float": float,
    "number": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "object": dict,
    "any": str,
}
JAVA: Final[Mapping[str, type]] = {
    "byte": int,
    "short": int,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": bool,
    "char": str,
    "String": str,
    "Array": list,
    "ArrayList": list,
    "Set": list,
    "Queue": list,
    "Stack": list,
    "HashMap": dict,
    "Hashtable": dict,
    "any": str,
}
JAVASCRIPT: Final[Mapping[str, type]] = {
    "String": str,
    "integer": int,
    "float": float,
    "Bigint": int,
    "Boolean": bool,
    "dict": dict,
    "array": list,
    "any": str,
}
WHOLE: Final = re.compile(r"-?\d+")
DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
SIMPLE: Final = re.compile(r"-?\d+(\.\d+)?")
MOST_DIGITS: Final = 4_000  # that Python makes a number of


def convert(value: SourceValue, kind: str, nested: str | None, readers: Readers) -> Any:  # noqa: ANN401 - of the type
    """A value of the type `kind`, and its parts of the type `nested`, where they are; the text where it is none."""
    if kind in readers:
        return readers[kind](value.text)
    if kind == "any" or value.parts is None:
        return _guess(value) if kind == "any" else value.text
    parts = [_guess(part) if nested is None else convert(part, nested, None, readers) for part in value.parts]
    return parts if value.keys is None else dict(zip(value.keys, parts, strict=True))


def _whole(text: str, suffixes: str) -> int | str:
    """With one of the suffixes, where there are any."""
    bare = text[:-1] if suffixes and text[-1:] and text[-1] in suffixes else text
    is_marked = not suffixes or bare != text
    return int(bare) if is_marked and len(bare) <= MOST_DIGITS and WHOLE.fullmatch(bare) else text


def _float(text: str, suffixes: str) -> float | str:
    bare = text[:-1] if suffixes and text[-1:] and text[-1] in suffixes else text
    is_marked = not suffixes or bare != text
    return float(bare) if is_marked and DECIMAL.fullmatch(bare) else text


def _simple_float(text: str) -> float | str:
    return float(text) if SIMPLE.fullmatch(text) else text


def _boolean(text: str) -> bool | str:
    return text == "true" if text in {"true", "false"} else text


def _guess(value: SourceValue) -> Any:  # noqa: ANN401 - by how it is written
    """A value whose type nobody says."""
    if value.kind == "text":
        return value.text
    if value.parts is not None:
        parts = [_guess(part) for part in value.parts]
        return parts if value.keys is None else dict(zip(value.keys, parts, strict=True))
    guesses = (read(value.text) for read in GUESSES)
    return next((guess for guess in guesses if not isinstance(guess, str)), value.text)


JAVA_READERS: Final[Readers] = {
    "byte": partial(_whole, suffixes=""),
    "short": partial(_whole, suffixes=""),
    "integer": partial(_whole, suffixes=""),
    "long": partial(_whole, suffixes="lL"),
    "float": partial(_float, suffixes="fF"),
    "double": partial(_float, suffixes=""),
    "boolean": _boolean,
    "char": str,
    "String": str,
}
JAVASCRIPT_READERS: Final[Readers] = {
    "integer": partial(_whole, suffixes=""),
    "Bigint": partial(_whole, suffixes="n"),
    "float": _simple_float,
    "Boolean": _boolean,
    "String": str,
}
GUESSES: Final = (
    _boolean,
    partial(_whole, suffixes=""),
    partial(_whole, suffixes="lLn"),
    partial(_float, suffixes=""),
    partial(_float, suffixes="fF"),
)
