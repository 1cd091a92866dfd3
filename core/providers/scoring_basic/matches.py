"""`basic::equality` and `basic::subset_of`: the generated answer is the expected one, or has it in it."""

from core.apis.answers.scoring import ScoreRow
from core.frame.types import JsonObject
from core.providers.scoring_basic.columns import EXPECTED, GENERATED, read


def score_equality(row: JsonObject, params: JsonObject) -> ScoreRow:
    """A number equals the text of it: models answer in texts, and a CSV file has numbers."""
    del params
    expected, generated = read(row, EXPECTED), read(row, GENERATED)
    return {"score": float(_comparable(expected, generated) == _comparable(generated, expected))}


def score_subset(row: JsonObject, params: JsonObject) -> ScoreRow:
    """The expected text is part of the generated one, or the expected value of the generated list."""
    del params
    expected, generated = read(row, EXPECTED), read(row, GENERATED)
    if isinstance(generated, str):
        part = _comparable(expected, generated)
        return {"score": float(isinstance(part, str) and part in generated)}
    if isinstance(generated, list):
        return {"score": float(expected in generated)}
    return {"score": float(expected == generated)}


def _comparable(value: object, other: object) -> object:
    """A number as text, where it is compared with one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number and isinstance(other, str) else value
