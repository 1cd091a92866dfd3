"""Filters of a search, as OpenAI spells them, as a small tree that each provider prints in its own language.

A comparison is about one attribute: `eq` and `in` hold where it has that value, or one of those, and the same type (true is
not 1, but 1 is 1.0); `ne` and `nin` hold for everything else, a chunk without the attribute included. `gt`, `gte`, `lt` and
`lte` hold between two numbers alone. Numbers are compared as 64-bit floats.
Source: https://platform.openai.com/docs/api-reference/vector-stores/search.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal, TypeIs

from core.errors import InvalidRequest, shorten

MOST_DEPTH: Final = 8
"""Levels: a comparison alone is one, what combines comparisons two."""
MOST_COMPARISONS: Final = 100
MOST_VALUES: Final = 1000
"""Of all the comparisons of a filter together."""
MOST_KEY: Final = 64  # characters, as of attributes
EXACT: Final = 2**53  # up to which a 64-bit float has every whole number

type Scalar = str | int | float | bool
type Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`value` is a tuple of `in` and `nin`, a number of the four that order, and one Scalar of the rest."""

    operator: Operator
    key: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """Holds where all of its filters do, or any; it has one at least."""

    operator: Literal["and", "or"]
    filters: tuple["Filter", ...]


type Filter = Comparison | Combination

COMBINATIONS: Final[dict[str, Literal["and", "or"]]] = {"and": "and", "or": "or"}
EQUALITIES: Final[dict[str, Operator]] = {"eq": "eq", "ne": "ne"}
ORDERS: Final[dict[str, Operator]] = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte"}
CHOICES: Final[dict[str, Operator]] = {"in": "in", "nin": "nin"}
COMPARISONS: Final[dict[str, Operator]] = {**EQUALITIES, **ORDERS, **CHOICES}
TYPES: Final = ", ".join(f"`{name}`" for name in (*COMPARISONS, *COMBINATIONS))


def parse_filter(value: object, *, path: str = "filters") -> Filter | None:
    """The filter that a request has as JSON; None for null and `{}`, which hold for everything.

    Raises:
        InvalidRequest: it is none, or larger than a filter may be; `param` is the path of the fault, from `path` on.
    """
    if value is None or value == {}:
        return None
    return _Parser().parse(value, path, 1)


def number_of(value: float) -> int | float:
    """The number as a 64-bit float has it; a whole one stays an integer where that changes nothing.

    Raises:
        ValueError: it is NaN, or larger than a float can be.
    """
    if isinstance(value, int) and abs(value) <= EXACT:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise ValueError("not a finite number")
    return number


@dataclass(slots=True)
class _Parser:
    """Counts what one filter has, at whatever depth."""

    comparisons: int = 0
    values: int = 0

    def parse(self, value: object, path: str, depth: int) -> Filter:
        if depth > MOST_DEPTH:
            raise _fault(path, f"is nested too deep: filters have at most {MOST_DEPTH} levels")
        if not _is_object(value):
            raise _fault(path, "must be an object, as `{type, key, value}` or `{type, filters}`")
        match value.get("type"):
            case str(name) if name in COMBINATIONS:
                _check_fields(value, ("type", "filters"), path)
                return Combination(COMBINATIONS[name], self._parts(value.get("filters"), f"{path}.filters", depth + 1))
            case str(name) if name in COMPARISONS:
                _check_fields(value, ("type", "key", "value"), path)
                return self._comparison(COMPARISONS[name], value, path)
            case _:
                raise _fault(f"{path}.type", f"must be one of {TYPES}")

    def _parts(self, value: object, path: str, depth: int) -> tuple[Filter, ...]:
        if not _is_list(value) or not value:
            raise _fault(path, "must be a list of one filter at least")
        return tuple(self.parse(part, f"{path}[{position}]", depth) for position, part in enumerate(value))

    def _comparison(self, operator: Operator, value: Mapping[str, Any], path: str) -> Comparison:
        self.comparisons += 1
        if self.comparisons > MOST_COMPARISONS:
            raise _fault(path, f"is one comparison too many: a filter has at most {MOST_COMPARISONS}")
        key = value.get("key")
        if not isinstance(key, str) or not 0 < len(key) <= MOST_KEY or not _is_text(key):
            raise _fault(f"{path}.key", f"must be the name of an attribute, of 1 to {MOST_KEY} characters")
        return Comparison(operator, key, self._operand(operator, value.get("value"), f"{path}.value"))

    def _operand(self, operator: Operator, value: object, path: str) -> Scalar | tuple[Scalar, ...]:
        if operator in ORDERS and not _is_number(value):
            raise _fault(path, f"must be a number, since `{operator}` compares numbers alone")
        if operator not in CHOICES:
            return self._scalar(value, path)
        if not _is_list(value) or not value:
            raise _fault(path, f"must be a list of one value at least, since `{operator}` compares with each of them")
        return tuple(self._scalar(member, f"{path}[{position}]") for position, member in enumerate(value))

    def _scalar(self, value: object, path: str) -> Scalar:
        self.values += 1
        if self.values > MOST_VALUES:
            raise _fault(path, f"is one value too many: a filter has at most {MOST_VALUES}")
        match value:
            case bool():
                return value
            case int() | float():
                try:
                    return number_of(value)
                except ValueError:
                    raise _fault(path, "must be a finite number that a 64-bit float can hold") from None
            case str() if _is_text(value):
                return value
            case _:
                raise _fault(path, "must be a string, a number or a boolean")


def _check_fields(value: Mapping[str, Any], fields: tuple[str, ...], path: str) -> None:
    """What would be read past could be a filter that somebody relies on."""
    for name in value:
        if name not in fields and value[name] is not None:
            own = ", ".join(f"`{name}`" for name in fields)
            raise _fault(f"{path}.{name}", f"is no field of this type of filter, which has {own}")


def _is_object(value: object) -> TypeIs[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeIs[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair cannot."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _fault(path: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"`{shorten(path, 200)}` {fault}.", param=path)
