"""Filters to test with: what one means, spelt out, and random ones with the attributes that they are about."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from core.apis.vector_filters import Comparison, Filter, Scalar

KEYS = ["a", "b", "$and", "a.b", "it's", "ä", "key"]
STRINGS = ["", "5", "1", "true", "x", "it's", '"', "a\x00b", "a", "日本", "%", "null"]
NUMBERS = [0, 1, 5, -1, 1.0, 5.5, -0.0, 2**53, 1e300]

scalars = st.one_of(st.sampled_from(STRINGS), st.sampled_from(NUMBERS), st.booleans())
keys = st.sampled_from(KEYS)
attributes = st.dictionaries(keys, scalars | st.just(2**53 + 1), max_size=len(KEYS))


def _compare(type: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:  # noqa: A002 - OpenAI's
    return st.fixed_dictionaries({"type": st.just(type), "key": keys, "value": value})


comparisons = st.one_of(
    *(_compare(name, scalars) for name in ("eq", "ne")),
    *(_compare(name, st.sampled_from(NUMBERS)) for name in ("gt", "gte", "lt", "lte")),
    *(_compare(name, st.lists(scalars, min_size=1, max_size=4)) for name in ("in", "nin")),
)


def _combine(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    filters = st.lists(parts, min_size=1, max_size=4)
    return st.fixed_dictionaries({"type": st.sampled_from(["and", "or"]), "filters": filters})


filters = st.recursive(comparisons, _combine, max_leaves=12)
"""As JSON, of at most 8 levels."""


def holds(tree: Filter | None, attributes: Mapping[str, Scalar]) -> bool:
    """What a filter means, one chunk at a time: what every provider is held to."""
    if tree is None:
        return True
    if not isinstance(tree, Comparison):
        results = [holds(part, attributes) for part in tree.filters]
        return all(results) if tree.operator == "and" else any(results)
    values = tree.value if isinstance(tree.value, tuple) else (tree.value,)
    value = attributes.get(tree.key)
    match tree.operator:
        case "eq" | "in":
            return any(_equal(value, other) for other in values)
        case "ne" | "nin":
            return not any(_equal(value, other) for other in values)
        case order:
            [other] = values
            return _is_number(value) and _ordered(order, float(value or 0), float(other))


def _equal(value: Scalar | None, other: Scalar) -> bool:
    if _is_number(value) and _is_number(other):
        return float(value or 0) == float(other)
    return type(value) is type(other) and value == other


def _is_number(value: Scalar | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(order: str, value: float, other: float) -> bool:
    return {"gt": value > other, "gte": value >= other, "lt": value < other, "lte": value <= other}[order]
