"""Checks of a value that a caller sent, at the path of its field: what is wrong with it, and what it may be."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

from core.apis.bounds import read_whole
from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject

type Rule = Callable[[Any, str], None]
"""Of a value that is not null, and its path; raises InvalidRequest, whose param is the path."""

MOST_SHOWN: Final = 40  # characters of what a caller sent
MOST_NUMBER: Final = 1e15  # that is shown
INFINITE: Final = float("inf")
MISSING: Final = object()
"""The value of a field that is not there."""


def check_object(value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise fault(path, "an object", value)


def check_text(value: object, path: str) -> None:
    if not isinstance(value, str):
        raise fault(path, "a text", value)


def check_flag(value: object, path: str) -> None:
    if not isinstance(value, bool):
        raise fault(path, "true or false", value)


def check_named(value: object, path: str) -> None:
    """An object with a name."""
    check_object(value, path)
    check_text(cast("JsonObject", value).get("name", MISSING), f"{path}.name")


def check_number(value: object, path: str, least: float = -INFINITE, most: float = INFINITE) -> None:
    """Also one as text, which servers in Python read; NaN is the server's to refuse."""
    number = _read_number(value)
    if number is None or number < least or number > most:
        above = f" of at least {least}" if least > -INFINITE else ""
        raise fault(path, "a number" + (f" from {least} to {most}" if most < INFINITE else above), value)


def between(least: float, most: float = INFINITE) -> Rule:
    return lambda value, path: check_number(value, path, least, most)


def whole(least: int | None = None) -> Rule:
    """A whole number, in any of the forms that `bounds` reads."""

    def check(value: object, path: str) -> None:
        number = read_whole(value)
        if number is None or (least is not None and number < least):
            raise fault(path, "a whole number" if least is None else f"a whole number of at least {least}", value)

    return check


def one_of(names: Sequence[str], further: frozenset[str] = frozenset(), more: str = "") -> Rule:
    """One of `names`, which a refusal tells with what `more` there is, or of the `further` ones."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str) or (value not in names and value not in further):
            raise fault(path, f"{', '.join(names[:-1])} or {names[-1]}{more}", value)

    return check


def items_at(value: object, path: str) -> Iterator[tuple[object, str]]:
    """The entries of a list, each with its path."""
    for index, entry in enumerate(cast("list[object]", value)):
        yield entry, f"{path}[{index}]"


def objects_at(value: object, path: str) -> Iterator[tuple[JsonObject, str]]:
    """As `items_at`; raises InvalidRequest for what is no list of objects."""
    if not isinstance(value, list):
        raise fault(path, "a list of objects", value)
    for entry, entry_path in items_at(cast("object", value), path):
        check_object(entry, entry_path)
        yield cast("JsonObject", entry), entry_path


def fault(path: str, rule: str, value: object) -> InvalidRequest:
    text = f"is required, and must be {rule}" if value is MISSING else f"must be {rule}, not {_show(value)}"
    return InvalidRequest(f"{path}: {text}.", param=path)


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _show(value: object) -> str:
    match value:
        case str():
            return f"`{shorten(value, MOST_SHOWN)}`"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int() | float():
            return str(value) if abs(value) < MOST_NUMBER else "this"
        case []:
            return "an empty list"
        case _:
            return "a list" if isinstance(value, list) else "an object"
