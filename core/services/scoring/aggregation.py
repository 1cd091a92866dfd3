"""What the rows of one scoring function come to: the five aggregations of Llama Stack.

A row without a score, because its judgement failed, counts nowhere; so does one whose score is no number, where numbers are
aggregated. Sums are rounded once (`math.fsum`): the order of the rows, which is how a job finished them, changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
import math
from statistics import median
from typing import Any, Final

from core.errors import InvalidRequest
from core.frame.types import JsonObject

type Row = Mapping[str, Any]


def aggregate(name: str, rows: Sequence[Row]) -> JsonObject:
    """The aggregation `name` of `rows`, each `{"score": ..., "weight": ...}`; what cannot be told of no rows is null.

    Raises:
        InvalidRequest: there is no such aggregation.
    """
    check_aggregation(name)
    return AGGREGATIONS[name]([row for row in rows if row.get("score") is not None])


def check_aggregation(name: str) -> None:
    """Raise InvalidRequest for a name of none."""
    if name not in AGGREGATIONS:
        raise InvalidRequest(f"There is no aggregation {name[:80]!r}: it is one of {', '.join(AGGREGATIONS)}.")


def _accuracy(rows: Sequence[Row]) -> JsonObject:
    correct = _numbers(rows)
    total = _sum(correct)
    return {"accuracy": _ratio(total, len(correct)), "num_correct": total, "num_total": len(correct)}


def _average(rows: Sequence[Row]) -> JsonObject:
    numbers = _numbers(rows)
    return {"average": _ratio(_sum(numbers), len(numbers))}


def _weighted_average(rows: Sequence[Row]) -> JsonObject:
    """A row without a weight has the weight 1, one whose weight is no number counts nowhere."""
    pairs = [(_number(row["score"]), _number(row.get("weight", 1))) for row in rows]
    weighed = [(number, weight) for number, weight in pairs if number is not None and weight is not None]
    total = _sum([number * weight for number, weight in weighed])
    return {"weighted_average": _ratio(total, _sum([weight for _, weight in weighed]))}


def _median(rows: Sequence[Row]) -> JsonObject:
    numbers = _numbers(rows)
    return {"median": _finite(median(numbers)) if numbers else None}


def _categorical_count(rows: Sequence[Row]) -> JsonObject:
    return {"categorical_count": dict(Counter(str(row["score"]) for row in rows))}


AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[Row]], JsonObject]]] = {
    "average": _average,
    "weighted_average": _weighted_average,
    "median": _median,
    "categorical_count": _categorical_count,
    "accuracy": _accuracy,
}


def _numbers(rows: Sequence[Row]) -> list[float]:
    return [number for row in rows if (number := _number(row["score"])) is not None]


def _number(value: object) -> float | None:
    """None for what is no finite number that a float can hold; true is 1."""
    if not isinstance(value, int | float):
        return None
    try:
        return _finite(float(value))
    except OverflowError:  # a whole number beyond every float
        return None


def _sum(numbers: Sequence[float]) -> float | None:
    """None where no float holds it: infinity is no JSON."""
    try:
        total = math.fsum(numbers)
    except (OverflowError, ValueError):  # beyond every float on the way; infinities of both signs
        return None
    return _finite(total)


def _ratio(total: float | None, count: float | None) -> float | None:
    if total is None or not count:
        return None
    return _finite(total / count)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
