"""The columns that rows have by the purpose of their dataset. Pure.

The reference's own data sets have the columns of its scoring functions under every purpose: those stand for the purpose's own.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import contains
from typing import Final

from core.apis.answers.datasets import PurposeName
from core.apis.datasets import COLUMNS
from core.errors import InvalidRequest
from core.frame.types import JsonObject

QUESTIONS: Final = ("input_query", "chat_completion_input", "completion_input", "prompt", "messages")
ANSWERS: Final = ("expected_answer", "ground_truth", "instruction_id_list", "generated_answer")
STAND_INS: Final[Mapping[str, Sequence[str]]] = {
    "question": QUESTIONS,
    "messages": (*QUESTIONS[:-1], "question", "dialog"),
    "answer": ANSWERS,
}
"""By the column of a purpose: those that may be there in its place."""


def missing_column(row: JsonObject, purpose: PurposeName) -> str | None:
    """The first one that neither the row has nor another stands for."""
    for column in COLUMNS[purpose]:
        if column not in row and not any(other in row for other in STAND_INS[column]):
            return column
    return None


def check_rows(rows: Sequence[JsonObject], first: int, purpose: PurposeName) -> None:
    """As `check_columns` of each; the number of the first is `first`."""
    if all(all(map(contains, rows, repeat(column))) for column in COLUMNS[purpose]):
        return
    for number, row in enumerate(rows, first):
        check_columns(row, number, purpose)


def check_columns(row: JsonObject, number: int, purpose: PurposeName) -> None:
    """Raise InvalidRequest that names the column and the row, counted from 1."""
    column = missing_column(row, purpose)
    if column is None:
        return
    columns = ", ".join(f"`{name}`" for name in list(row)[:20]) or "none"
    others = ", ".join(f"`{name}`" for name in STAND_INS[column])
    raise InvalidRequest(
        f"Row {number} has no column `{column}`, which a dataset for `{purpose}` has, nor one that stands for it ({others}). Its columns are: "
        f"{columns}.",
        param="source",
    )
