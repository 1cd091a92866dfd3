"""Aggregations of score rows: what counts, what does not, and that order changes nothing."""

import math
from statistics import fmean, median
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json
import pytest

from core.errors import InvalidRequest
from core.services.scoring.aggregation import AGGREGATIONS, aggregate

SCORES = st.one_of(
    st.none(), st.floats(), st.integers(), st.booleans(), st.text(max_size=3), st.sampled_from([0.0, 1.0, 10**400])
)
ROWS = st.lists(st.fixed_dictionaries({"score": SCORES}, optional={"weight": SCORES}), max_size=12)
SMALL = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


def rows_of(*scores: object) -> list[dict[str, Any]]:
    return [{"score": score} for score in scores]


@pytest.mark.parametrize(
    ("name", "scores", "expected"),
    [
        ("accuracy", (1.0, 0.0), {"accuracy": 0.5, "num_correct": 1.0, "num_total": 2}),
        ("accuracy", (True, 1.0, 0.0, None), {"accuracy": 2 / 3, "num_correct": 2.0, "num_total": 3}),
        ("average", (1.0, 0.5, None), {"average": 0.75}),
        ("median", (9, 1, 5), {"median": 5.0}),
        ("median", (1, 2), {"median": 1.5}),
        ("median", (4, None, 1, 2, 3), {"median": 2.5}),
        ("weighted_average", (1.0, 0.0), {"weighted_average": 0.5}),
        ("categorical_count", ("A", "B", "A", None, 1.0), {"categorical_count": {"A": 2, "B": 1, "1.0": 1}}),
    ],
)
def test_an_aggregation_counts_the_rows_that_have_a_score(
    name: str, scores: tuple[object, ...], expected: object
) -> None:
    assert aggregate(name, rows_of(*scores)) == expected


def test_a_weight_counts_as_often_as_it_says() -> None:
    rows: list[dict[str, Any]] = [
        {"score": 1.0, "weight": 3.0},
        {"score": 0.5, "weight": 1},
        {"score": None, "weight": 7},
        {"score": 0.0},
    ]
    assert aggregate("weighted_average", rows) == {"weighted_average": 3.5 / 5}
    rows.append({"score": 1.0, "weight": "heavy"})
    assert aggregate("weighted_average", rows) == {"weighted_average": 3.5 / 5}


@pytest.mark.parametrize("scores", [(), (None,), ("nonsense", {"a": 1}, [1.0], math.nan, math.inf, 10**400)])
def test_nothing_to_aggregate_is_null_and_no_error(scores: tuple[object, ...]) -> None:
    rows = rows_of(*scores)
    assert aggregate("accuracy", rows) == {"accuracy": None, "num_correct": 0.0, "num_total": 0}
    assert aggregate("average", rows) == {"average": None}
    assert aggregate("weighted_average", rows) == {"weighted_average": None}
    assert aggregate("median", rows) == {"median": None}


def test_weights_of_nothing_are_null() -> None:
    assert aggregate("weighted_average", [{"score": 1.0, "weight": 0.0}]) == {"weighted_average": None}


def test_what_no_float_holds_is_null() -> None:
    huge = rows_of(1.7e308, 1.7e308)
    assert aggregate("average", huge) == {"average": None}
    assert aggregate("accuracy", huge) == {"accuracy": None, "num_correct": None, "num_total": 2}
    assert aggregate("median", huge) == {"median": None}
    assert aggregate("weighted_average", [{"score": 1e308, "weight": 1e308}, {"score": -1e308, "weight": 1e308}]) == {
        "weighted_average": None
    }
    assert aggregate("weighted_average", [{"score": 1e308, "weight": 1}, {"score": 1, "weight": 5e-324 - 1}]) == {
        "weighted_average": None
    }


@given(name=st.sampled_from(sorted(AGGREGATIONS)), rows=ROWS, data=st.data())
def test_every_result_is_json_whatever_the_order_of_the_rows(
    name: str, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    result = aggregate(name, rows)
    to_json(result, inf_nan_mode="strings")
    for value in result.values():
        assert not isinstance(value, float) or math.isfinite(value)
    assert aggregate(name, data.draw(st.permutations(rows))) == result


@given(name=st.sampled_from(sorted(AGGREGATIONS)), rows=ROWS)
def test_a_failed_judgement_changes_nothing(name: str, rows: list[dict[str, Any]]) -> None:
    assert aggregate(name, [*rows, {"score": None, "error": "The judge answered nonsense."}]) == aggregate(name, rows)


@given(scores=SMALL)
def test_numbers_are_aggregated_as_the_standard_library_does(scores: list[float]) -> None:
    rows = rows_of(*scores)
    assert aggregate("average", rows)["average"] == pytest.approx(fmean(scores))
    assert aggregate("weighted_average", rows)["weighted_average"] == pytest.approx(fmean(scores))
    assert aggregate("median", rows) == {"median": median(scores)}


def test_an_unknown_aggregation_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"There is no aggregation 'mode': it is one of average, weighted_average"):
        aggregate("mode", [])
