"""What is written to the item of an account, as the expressions of an UpdateItem: pure, one function for each write.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.stores.counters.items import DIMENSIONS, EXPIRES, FIRST, NEXT, VERSION, attribute_of, hold_text, is_short
from core.stores.counters.marks import Mark
from core.stores.counters.port import Counter, Counts, Take, Use
from core.stores.counters.rows import TEXT, Item, entries_of

THERE: Final = "attribute_exists(pk)"
ABSENT: Final = "attribute_not_exists(pk)"

type Fields = dict[str, Any]


class Request:
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
        self.assign(self.name(name), self.value(value))

    def assign(self, name: str, value: str) -> None:
        """By their aliases."""
        self._clauses["SET"].append(f"{name} = {value}")

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
            "ExpressionAttributeNames": {alias: name for name, alias in self._names.items()},
        }
        if self._conditions:
            fields["ConditionExpression"] = " AND ".join(self._conditions)
        return fields | ({"ExpressionAttributeValues": self._values} if self._values else {})


def taking(take: Take, mark: Mark, item: Item | None = None) -> Fields:
    """Of an account that is there. The first window's requests and tokens are written though they be 0: an answer has what was written.

    `item` is what it was when the same was not written, though there was room: because it would expire too early, or for its rows.
    """
    request = _counting(take, mark, take.amount)
    request.require(THERE)
    request.require_new(mark)
    _note(request, take.use, item)
    if take.use is not None or (item is not None and is_short(take, item)):
        request.set(EXPIRES, take.expires)
    else:  # it may have rows, which are kept longer than windows: what has none to add never makes it shorter
        request.require(f"{request.name(EXPIRES)} >= {request.value(take.expires)}")
    _bound(request, take)
    return request.fields()


def sharing(take: Take) -> Fields:
    """Of an account that is taken from together with a caller's own, whose mark is for both: there or not."""
    request = Request()
    request.set(EXPIRES, take.expires)
    request.set("v", VERSION)
    for counter in take.counters:
        _add(request, counter, take.amount)
    _bound(request, take)
    return request.fields()


def correcting(counters: Iterable[Counter], correction: Counts) -> Fields:
    """Of an account that is settled together with a caller's own."""
    request = Request()
    request.require(THERE)
    for counter in counters:
        _add(request, counter, correction)
    return request.fields()


def creating(take: Take, mark: Mark, before: Counts) -> Fields:
    """Of an account that is not there; `before` is what the first window had by then."""
    request = _counting(take, mark, take.amount + before)
    request.require(ABSENT)
    _note(request, take.use, None)
    request.set(EXPIRES, take.expires)
    request.set("v", VERSION)
    request.set(FIRST, mark.number)
    request.set(NEXT, mark.number)
    return request.fields()


def settling(
    counters: Iterable[Counter], mark: Mark, correction: Counts, use: Use | None = None, item: Item | None = None
) -> Fields:
    """`item` is what it was when the same was not written, though it holds (see `Mark.holds_in`)."""
    request = _holding(mark)
    request.remove(mark.hold)
    for counter in counters:
        _add(request, counter, correction)
    _note(request, use, item)
    if use is not None:
        request.set(EXPIRES, max(use.expires, *(counter.window.expires for counter in counters), 0))
    return request.fields()


def noting(mark: Mark, following: Mark, use: Use, item: Item | None = None) -> Fields:
    """What is counted of a call that goes on holding, by the mark that `following` is from then on."""
    request = _holding(mark)
    request.set(mark.name, following.number)
    _note(request, use, item)
    return request.fields()


def removing(windows: Iterable[str], marks: Mapping[str, int]) -> Fields:
    """Of what nobody asks for; where a mark has moved on, nothing is removed."""
    request = Request()
    request.require(THERE)
    for name in windows:
        request.remove(name)
    for name, number in marks.items():
        request.remove(name)
        request.require(f"{request.name(name)} = {request.value(number)}")
    return request.fields()


def _counting(take: Take, mark: Mark, of_first: Counts) -> Request:
    request = Request()
    request.set(mark.name, mark.number)
    if take.holds:
        request.set(mark.hold, hold_text(mark.number, take.amount))
    for position, counter in enumerate(take.counters):
        _add(request, counter, take.amount if position else of_first, whole=not position)
    return request


def _holding(mark: Mark) -> Request:
    request = Request()
    request.require(f"{request.name(mark.name)} = {request.value(mark.number)}")
    request.require(f"attribute_exists({request.name(mark.hold)})")
    return request


def _bound(request: Request, take: Take) -> None:
    for counter in take.counters:
        for dimension, below in zip(DIMENSIONS, counter.below.bounds, strict=True):
            if below is not None:
                name = request.name(attribute_of(counter, dimension))
                request.require(f"(attribute_not_exists({name}) OR {name} < {request.value(below)})")


def _note(request: Request, use: Use | None, item: Item | None) -> None:
    """Add to rows, or make them, where no other has their names."""
    for entry in entries_of(use, item):
        name, value = request.name(entry.attribute(TEXT)), request.value(entry.text)
        request.require(f"(attribute_not_exists({name}) OR {name} = {value})")
        request.assign(name, value)
        for letter, number in entry.numbers.items():
            request.add(entry.attribute(letter), number)


def _add(request: Request, counter: Counter, amount: Counts, *, whole: bool = False) -> None:
    for dimension, number, below in zip(DIMENSIONS, amount.numbers, counter.below.bounds, strict=True):
        if number or below is not None or (whole and dimension != "c"):
            request.add(attribute_of(counter, dimension), number)
