"""A filter is read once, whole and exactly, or refused with the place of its fault."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.vector_filters import (
    MOST_COMPARISONS,
    MOST_DEPTH,
    MOST_VALUES,
    Combination,
    Comparison,
    Filter,
    parse_filter,
)
from core.errors import InvalidRequest
from tests.parts.filters import attributes, filters, holds

EQ = {"type": "eq", "key": "year", "value": 2024}


def nest(levels: int) -> dict[str, Any]:
    tree = EQ
    for _ in range(levels - 1):
        tree = {"type": "and", "filters": [tree]}
    return tree


def to_json(tree: Filter) -> dict[str, Any]:
    if isinstance(tree, Combination):
        return {"type": tree.operator, "filters": [to_json(part) for part in tree.filters]}
    value = list(tree.value) if isinstance(tree.value, tuple) else tree.value
    return {"type": tree.operator, "key": tree.key, "value": value}


@given(filters)
def test_a_filter_is_read_whole(tree: dict[str, Any]) -> None:
    parsed = parse_filter(tree)
    assert parsed is not None
    assert to_json(parsed) == tree
    assert repr(parse_filter(to_json(parsed))) == repr(parsed)


@given(filters, attributes)
def test_what_is_not_equal_or_not_in_is_the_rest(tree: dict[str, Any], chunk: dict[str, Any]) -> None:
    opposite = {"eq": "ne", "ne": "eq", "in": "nin", "nin": "in"}
    parsed = parse_filter(tree)
    if isinstance(parsed, Comparison) and parsed.operator in opposite:
        other = parse_filter({**tree, "type": opposite[parsed.operator]})
        assert holds(other, chunk) != holds(parsed, chunk)


@pytest.mark.parametrize(
    ("tree", "chunk", "outcome"),
    [
        ({"type": "eq", "key": "a", "value": 1}, {"a": 1.0}, True),
        ({"type": "eq", "key": "a", "value": 1}, {"a": True}, False),
        ({"type": "eq", "key": "a", "value": 5}, {"a": "5"}, False),
        ({"type": "ne", "key": "a", "value": 5}, {}, True),
        ({"type": "nin", "key": "a", "value": [5]}, {}, True),
        ({"type": "in", "key": "a", "value": [True, "x"]}, {"a": 1}, False),
        ({"type": "gt", "key": "a", "value": 0}, {"a": True}, False),
        ({"type": "lt", "key": "a", "value": 9}, {"a": "5"}, False),
        ({"type": "lt", "key": "a", "value": 9}, {}, False),
        ({"type": "eq", "key": "a", "value": 2**53 + 1}, {"a": 2**53}, True),
    ],
)
def test_the_meaning_is_by_value_and_type(tree: dict[str, Any], chunk: dict[str, Any], outcome: object) -> None:
    assert holds(parse_filter(tree), chunk) is outcome


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_filter_holds_for_everything(nothing: object) -> None:
    assert parse_filter(nothing) is None


def test_fields_that_are_null_are_as_if_they_were_not_there() -> None:
    assert parse_filter({**EQ, "filters": None}) == Comparison("eq", "year", 2024)


def test_a_filter_has_as_many_levels_and_comparisons_and_values_as_it_may() -> None:
    assert parse_filter(nest(MOST_DEPTH)) is not None
    assert parse_filter({"type": "or", "filters": [EQ] * MOST_COMPARISONS}) is not None
    assert parse_filter({"type": "in", "key": "a", "value": ["x"] * MOST_VALUES}) is not None


AND = {"type": "and", "filters": [EQ, EQ]}
FAULTS: list[tuple[object, str, str]] = [
    ("year = 2024", "filters", "must be an object"),
    ([EQ], "filters", "must be an object"),
    ({"year": 2024}, "filters.type", "must be one of `eq`, `ne`"),
    ({**EQ, "type": "EQ"}, "filters.type", "must be one of"),
    ({**EQ, "type": ["eq"]}, "filters.type", "must be one of"),
    ({**EQ, "type": "not"}, "filters.type", "must be one of"),
    ({**EQ, "key": ""}, "filters.key", "1 to 64 characters"),
    ({**EQ, "key": "k" * 65}, "filters.key", "1 to 64 characters"),
    ({**EQ, "key": "\ud800"}, "filters.key", "1 to 64 characters"),
    ({**EQ, "key": 5}, "filters.key", "1 to 64 characters"),
    ({"type": "eq", "value": 5}, "filters.key", "1 to 64 characters"),
    ({"type": "eq", "key": "a"}, "filters.value", "must be a string, a number or a boolean"),
    ({**EQ, "value": None}, "filters.value", "must be a string, a number or a boolean"),
    ({**EQ, "value": {"$gt": 1}}, "filters.value", "must be a string"),
    ({**EQ, "value": [1]}, "filters.value", "must be a string"),
    ({**EQ, "value": "\udfff"}, "filters.value", "must be a string"),
    ({**EQ, "value": float("nan")}, "filters.value", "finite"),
    ({**EQ, "type": "lt", "value": float("-inf")}, "filters.value", "finite"),
    ({**EQ, "value": 10**400}, "filters.value", "finite"),
    ({**EQ, "type": "gt", "value": True}, "filters.value", "`gt` compares numbers alone"),
    ({**EQ, "type": "lte", "value": "5"}, "filters.value", "`lte` compares numbers alone"),
    ({**EQ, "type": "in", "value": 5}, "filters.value", "must be a list"),
    ({**EQ, "type": "in", "value": "five"}, "filters.value", "must be a list"),
    ({**EQ, "type": "nin", "value": []}, "filters.value", "one value at least"),
    ({**EQ, "type": "in", "value": [1, None]}, "filters.value[1]", "must be a string"),
    ({**EQ, "values": [1]}, "filters.values", "which has `type`, `key`, `value`"),
    ({**AND, "key": "year"}, "filters.key", "which has `type`, `filters`"),
    ({"type": "and"}, "filters.filters", "one filter at least"),
    ({"type": "or", "filters": []}, "filters.filters", "one filter at least"),
    ({"type": "or", "filters": EQ}, "filters.filters", "one filter at least"),
    ({"type": "or", "filters": [EQ, EQ, {**EQ, "value": []}]}, "filters.filters[2].value", "must be a string"),
    (nest(MOST_DEPTH + 1), "filters" + ".filters[0]" * MOST_DEPTH, "at most 8 levels"),
    (nest(100_000), "filters" + ".filters[0]" * MOST_DEPTH, "at most 8 levels"),
    ({"type": "or", "filters": [EQ] * 101}, "filters.filters[100]", "at most 100"),
    ({"type": "in", "key": "a", "value": [1] * 1001}, "filters.value[1000]", "at most 1000"),
]


@pytest.mark.parametrize(("tree", "path", "fault"), FAULTS, ids=range(len(FAULTS)))
def test_what_is_no_filter_is_refused_with_its_place(tree: object, path: str, fault: str) -> None:
    with pytest.raises(InvalidRequest, match=fault) as refusal:
        parse_filter(tree)
    assert refusal.value.param == path
    assert refusal.value.message.startswith(f"`{path}` ")


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "key", "value", "filters", "x"]), parts, max_size=4)
        | st.fixed_dictionaries({"type": st.sampled_from(["eq", "in", "and", "gt"]), "key": parts, "value": parts})
    ),
    max_leaves=20,
)


@given(json)
def test_anything_else_is_a_filter_or_refused(value: object) -> None:
    tree: Filter | None = None
    with suppress(InvalidRequest):  # and nothing else
        tree = parse_filter(value)
    assert tree is None or parse_filter(to_json(tree)) == tree
