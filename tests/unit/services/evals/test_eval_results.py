"""The result of an evaluation is one JSON object, however many rows it has, in their order."""

from collections.abc import AsyncIterator, Sequence
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.services.evals.job.results import BLOCK, Line, result_json

SCORES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
ROWS = st.lists(st.tuples(st.text(max_size=10), SCORES, SCORES), max_size=30)


def _aggregate(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"count": {"name": name, "rows": len(rows), "scores": [row.get("score") for row in rows]}}


async def _written(lines: list[Line], functions: Sequence[str]) -> list[bytes]:
    async def each() -> AsyncIterator[Line]:
        for line in lines:
            yield line

    return [piece async for piece in result_json(each(), functions, _aggregate)]


@given(ROWS)
@settings(deadline=None)
async def test_what_is_written_is_what_the_rows_came_to(rows: list[tuple[str, Any, Any]]) -> None:
    lines: list[Line] = [
        ({"generated_answer": text}, {"a": {"score": one}, "b": {"score": two}}) for text, one, two in rows
    ]
    result = json.loads(b"".join(await _written(lines, ["a", "b"])))
    assert result["generations"] == [generation for generation, _ in lines]
    for name in ("a", "b"):
        assert result["scores"][name]["score_rows"] == [scores[name] for _, scores in lines]
        told = result["scores"][name]["aggregated_results"]["count"]
        assert (told["name"], told["rows"]) == (name, len(rows))
        assert told["scores"] == [scores[name]["score"] for _, scores in lines]


async def test_a_row_that_a_function_said_nothing_of_has_no_score() -> None:
    result = json.loads(b"".join(await _written([({"generated_answer": "x"}, {})], ["a"])))
    assert result["scores"]["a"]["score_rows"] == [{"score": None}]


async def test_it_comes_in_pieces_and_what_is_no_json_number_is_null() -> None:
    lines: list[Line] = [({"generated_answer": "y" * 1000}, {"a": {"score": float("nan")}})] * 300
    pieces = await _written(lines, ["a"])
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 2 * BLOCK
    assert json.loads(b"".join(pieces))["scores"]["a"]["score_rows"][0] == {"score": None}


async def test_no_rows_and_no_functions_are_a_result_too() -> None:
    assert json.loads(b"".join(await _written([], []))) == {"generations": [], "scores": {}}
