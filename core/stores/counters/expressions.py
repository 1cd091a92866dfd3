"""What is written to the item of an account, as the expressions of an UpdateItem: pure, one function for each write.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.stores.counters.items import DIMENSIONS, EXPIRES, VERSION, attribute_of, hold_text
from core.stores.counters.marks import Mark
from core.stores.counters.port import Counter, Counts, Take

THERE: Final = "attribute_exists(pk)"
ABSENT: Final = "attribute_not_exists(pk)"

type Fields = dict[str, Any]


class _Request:
    """An UpdateItem in the making: every name and value has an alias, as names may be anything."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._clauses: dict[str, list[str]] = {"SET": [], "ADD": [], "REMOVE": []}
        self._conditions: list[str] = []

    def name(self, name: str) -> str:
        return self._names.setdefault(name, f"#{len(self._names)}")

    def value(self, value: int | str) -> str:
        alias = f":{len(self._values)}"
        self._values[alias] = {"S": value} if isinstance(value, str) else {"N": str(value)}
        return alias

    def set(self, name: str, value: int | str) -> None:
        self._clauses["SET"].append(f"{self.name(name)} = {self.value(value)}")

    def add(self, name: str, number: int) -> None:
        self._clauses["ADD"].append(f"{self.name(name)} {self.value(number)}")

    def remove(self, name: str) -> None:
        self._clauses["REMOVE"].append(self.name(name))

    def require(self, condition: str) -> None:
        self._conditions.append(condition)

    def require_new(self, mark: Mark) -> None:
        """That this write was not carried out yet."""
        name = self.name(mark.name)
        self.require(f"(attribute_not_exists({name}) OR {name} < {self.value(mark.number)})")

    def fields(self) -> Fields:
        clauses = (f"{verb} {', '.join(parts)}" for verb, parts in self._clauses.items() if parts)
        fields: Fields = {
            "UpdateExpression": " ".join(clauses),
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": {alias: name for name, alias in self._names.items()},
        }
        return fields | ({"ExpressionAttributeValues": self._values} if self._values else {})


def taking(take: Take, mark: Mark) -> Fields:
    """Of an account that is there. The first window's requests and tokens are written though they be 0: an answer has what was written."""
    request = _counting(take, mark, take.amount)
    request.require(THERE)
    request.require_new(mark)
    for counter in take.counters:
        for dimension, below in zip(DIMENSIONS, counter.below.bounds, strict=True):
            if below is not None:
                name = request.name(attribute_of(counter, dimension))
                request.require(f"(attribute_not_exists({name}) OR {name} < {request.value(below)})")
    return request.fields()


def creating(take: Take, mark: Mark, before: Counts) -> Fields:
    """Of an account that is not there; `before` is what the first window had by then."""
    request = _counting(take, mark, take.amount + before)
    request.require(ABSENT)
    request.set("v", VERSION)
    return request.fields()


def settling(counters: Iterable[Counter], mark: Mark, correction: Counts) -> Fields:
    request = _Request()
    request.require(f"{request.name(mark.name)} = {request.value(mark.number)}")
    request.require(f"attribute_exists({request.name(mark.hold)})")
    request.remove(mark.hold)
    for counter in counters:
        _add(request, counter, correction)
    return request.fields()


def removing(windows: Iterable[str], marks: Mapping[str, int]) -> Fields:
    """Of what nobody asks for; where a mark has moved on, nothing is removed."""
    request = _Request()
    request.require(THERE)
    for name in windows:
        request.remove(name)
    for name, number in marks.items():
        request.remove(name)
        request.require(f"{request.name(name)} = {request.value(number)}")
    return request.fields()


def _counting(take: Take, mark: Mark, of_first: Counts) -> _Request:
    request = _Request()
    request.set(mark.name, mark.number)
    request.set(EXPIRES, take.expires)
    if take.holds:
        request.set(mark.hold, hold_text(mark.number, take.amount))
    for position, counter in enumerate(take.counters):
        _add(request, counter, take.amount if position else of_first, whole=not position)
    return request


def _add(request: _Request, counter: Counter, amount: Counts, *, whole: bool = False) -> None:
    for dimension, number, below in zip(DIMENSIONS, amount.numbers, counter.below.bounds, strict=True):
        if number or below is not None or (whole and dimension != "c"):
            request.add(attribute_of(counter, dimension), number)
