"""What a filter of vector stores means, one chunk at a time: for packages that have no filters, or mean something else by them."""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Final, TypeIs

from core.apis.vector_filters import Combination, Filter, Scalar

ORDERS: Final[dict[str, Callable[[float, float], bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def holds(tree: Filter | None, attributes: Mapping[str, Scalar]) -> bool:
    """Whether a chunk with these attributes is one that the filter lets through."""
    if tree is None:
        return True
    if isinstance(tree, Combination):
        results = (holds(part, attributes) for part in tree.filters)
        return all(results) if tree.operator == "and" else any(results)
    value = attributes.get(tree.key)
    values = tree.value if isinstance(tree.value, tuple) else (tree.value,)
    if tree.operator in ORDERS:
        bound = values[0]
        return _is_number(value) and _is_number(bound) and ORDERS[tree.operator](float(value), float(bound))
    is_among = any(_equals(value, other) for other in values)
    return is_among if tree.operator in {"eq", "in"} else not is_among


def _equals(value: Scalar | None, other: Scalar) -> bool:
    if _is_number(value) and _is_number(other):
        return float(value) == float(other)
    return type(value) is type(other) and value == other


def _is_number(value: Scalar | None) -> TypeIs[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
