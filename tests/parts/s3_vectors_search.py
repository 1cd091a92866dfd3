"""What S3 Vectors does with a query: filters, cosines, BM25 and reciprocal ranks, over what is in memory."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
import math
import re
from typing import Any

from tests.parts.s3_vectors_model import invalid

RANK_CONSTANT = 60
K1, B = 1.2, 0.75
CHARACTERS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # of scripts that put no space between words
TOKEN = re.compile(rf"[{CHARACTERS}]|[^\W{CHARACTERS}]+")

type Metadata = Mapping[str, Any]


@dataclass
class Vector:
    data: array[float]
    metadata: Metadata
    words: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    length: float = 0.0

    def __post_init__(self) -> None:
        self.length = math.sqrt(math.sumprod(self.data, self.data))

    def distance(self, query: Sequence[float], length: float) -> float:
        return 1 - math.sumprod(self.data, query) / (self.length * length)


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text.lower())


def bm25(vectors: Mapping[str, Vector], every: Iterable[Vector], key: str, text: str) -> dict[str, float]:
    """The scores of those that have one of the words; how rare a word is, is counted in the whole index."""
    index = [vector.words[key] for vector in every if key in vector.words]
    average = sum(words.total() for words in index) / (len(index) or 1)
    scores: dict[str, float] = {}
    for word in set(tokens(text)):
        frequency = sum(word in words for words in index)
        rarity = math.log(1 + (len(index) - frequency + 0.5) / (frequency + 0.5))
        for name, vector in vectors.items():
            count = vector.words.get(key, Counter[str]())
            if word in count:
                damped = count[word] + K1 * (1 - B + B * count.total() / average)
                scores[name] = scores.get(name, 0.0) + rarity * count[word] * (K1 + 1) / damped
    return scores


def rank(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda name: (-scores[name], name))


def fuse(rankings: Sequence[Sequence[str]]) -> dict[str, float]:
    fused: dict[str, float] = {}
    for place, name in chain.from_iterable(enumerate(ranking, 1) for ranking in rankings):
        fused[name] = fused.get(name, 0.0) + 1 / (RANK_CONSTANT + place)
    return fused


def holds(condition: Any, metadata: Metadata, hidden: Iterable[str]) -> bool:
    """Raises Refusal for what is no filter, or is about a key that is not filterable."""
    if not isinstance(condition, dict) or not condition:
        raise invalid("Invalid query filter")
    results = [_holds(key, part, metadata, hidden) for key, part in condition.items()]  # each of them is checked
    return all(results)


def _holds(key: str, part: Any, metadata: Metadata, hidden: Iterable[str]) -> bool:
    if key in {"$and", "$or"}:
        if not isinstance(part, list) or not part:
            raise invalid("Invalid query filter")
        results = [holds(inner, metadata, hidden) for inner in part]
        return all(results) if key == "$and" else any(results)
    if key.startswith("$") or key in hidden:
        raise invalid("Invalid use of non-filterable metadata in filter")
    operators = part if isinstance(part, dict) else {"$eq": part}
    if not operators or any(name not in OPERATORS for name in operators):
        raise invalid("Invalid query filter")
    value = metadata.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    results = [OPERATORS[name](values, operand) for name, operand in operators.items()]
    return all(results)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(value: Any, other: Any) -> bool:
    if _number(value) and _number(other):
        return float(value) == float(other)
    return type(value) is type(other) and value == other


def _any_equal(values: list[Any], operand: Any) -> bool:
    if not isinstance(operand, str | int | float | bool):
        raise invalid("Invalid query filter")
    return any(_equals(value, operand) for value in values)


def _is_in(values: list[Any], operand: Any) -> bool:
    if not isinstance(operand, list) or not operand:
        raise invalid("Invalid query filter")
    results = [_any_equal(values, other) for other in operand]
    return any(results)


def _not_equal(values: list[Any], operand: Any) -> bool:
    """Of a vector without the key it does not hold here: whoever wants these must say so."""
    return bool(values) and not _any_equal(values, operand)


def _not_in(values: list[Any], operand: Any) -> bool:
    return bool(values) and not _is_in(values, operand)


def _exists(values: list[Any], operand: Any) -> bool:
    if not isinstance(operand, bool):
        raise invalid("Invalid query filter")
    return bool(values) == operand


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[list[Any], Any], bool]:
    def check(values: list[Any], operand: Any) -> bool:
        if not _number(operand):
            raise invalid("Invalid query filter")
        return any(_number(value) and compare(float(value), float(operand)) for value in values)

    return check


OPERATORS: dict[str, Callable[[list[Any], Any], bool]] = {
    "$eq": _any_equal,
    "$ne": _not_equal,
    "$in": _is_in,
    "$nin": _not_in,
    "$exists": _exists,
    "$gt": _ordered(lambda value, other: value > other),
    "$gte": _ordered(lambda value, other: value >= other),
    "$lt": _ordered(lambda value, other: value < other),
    "$lte": _ordered(lambda value, other: value <= other),
}
