"""Filters as conditions of SQL: what they compare with is one value, a list as JSON, so that no text of a caller is in a statement.

An attribute is a member of a JSON object, whose numbers PostgreSQL compares as decimals; they are 64-bit floats, printed as
shortly as can be, and so compare as floats do.
"""

from typing import Any, Final

from pydantic_core import to_json

from core.apis.vector_filters import Combination, Comparison, Filter
from core.providers.pgvector.rows import escape, escape_value

ORDERS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
OPERANDS: Final = "CAST(:filter AS jsonb)"


def print_filter(tree: Filter) -> tuple[str, str]:
    """A condition on a row of a store's table, and what `:filter` is in it."""
    operands: list[Any] = []
    condition = _print(tree, operands)
    return condition, to_json(operands).decode()


def _print(tree: Filter, operands: list[Any]) -> str:
    if isinstance(tree, Combination):
        return "(" + f" {tree.operator.upper()} ".join([_print(part, operands) for part in tree.filters]) + ")"
    position = len(operands)
    key = escape(tree.key)
    if (order := ORDERS.get(tree.operator)) is not None:
        operands += [key, _operand(tree)]
        value = f"attributes -> ({OPERANDS} ->> {position})"
        return f"(jsonb_typeof({value}) = 'number' AND {value} {order} {OPERANDS} -> {position + 1})"
    if tree.operator in {"eq", "ne"}:
        operands.append({key: _operand(tree)})
        condition = f"attributes @> ({OPERANDS} -> {position})"
    else:
        operands += [key, _operand(tree)]
        # What has no such attribute is NULL here, which is neither true nor false.
        options = f"ARRAY(SELECT jsonb_array_elements({OPERANDS} -> {position + 1}))"
        condition = f"COALESCE(attributes -> ({OPERANDS} ->> {position}) = ANY ({options}), false)"
    return condition if tree.operator in {"eq", "in"} else f"NOT ({condition})"


def _operand(comparison: Comparison) -> Any:  # noqa: ANN401 - a Scalar, or a list of them
    value = comparison.value
    return [escape_value(one) for one in value] if isinstance(value, tuple) else escape_value(value)
