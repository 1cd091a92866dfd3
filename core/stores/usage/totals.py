"""The sums of a query, made from rows as they come."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core.frame.callers import UsageRow
from core.stores.usage.port import DIMENSIONS, UsageQuery, UsageSum

type Row = Sequence[Any]


class Totals:
    def __init__(self, query: UsageQuery) -> None:
        self.query = query
        self._sums: dict[tuple[str, ...], list[int]] = {}
        self._pick = _picker([DIMENSIONS.index(dimension) for dimension in query.by])
        self._among: list[tuple[int, frozenset[str]]] = [
            (DIMENSIONS.index(dimension), values) for dimension, values in query.among.items()
        ]

    def add(self, day: int, client: str, rows: Iterable[Row]) -> None:
        """Rows of a day, whether it is one of the query's or not."""
        if not self.query.first <= day <= self.query.last:
            return
        sums, pick, among, text = self._sums, self._pick, self._among, str(day)
        for model, provider, api, operation, teams, *numbers in rows:
            values = (text, client, teams, model, provider, api, operation)
            if among and not all(values[position] in allowed for position, allowed in among):
                continue
            key = pick(values)
            total = sums.get(key)
            if total is None:
                sums[key] = numbers
            else:
                for position, number in enumerate(numbers):
                    total[position] += number

    def list_sums(self) -> list[UsageSum]:
        return [UsageSum(key, UsageRow("", "", "", "", *numbers)) for key, numbers in self._sums.items()]


def _picker(positions: Sequence[int]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def pick(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([values[position] for position in positions])

    return pick
