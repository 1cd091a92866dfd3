"""What scoring functions read of a row."""

from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic_core import from_json

from core.errors import InvalidRequest
from core.frame.types import JsonObject

EXPECTED: Final = "expected_answer"
GENERATED: Final = "generated_answer"


def read(row: JsonObject, column: str) -> Any:  # noqa: ANN401 - whatever is in the column
    """Raises InvalidRequest for a row without the column."""
    if column not in row:
        raise InvalidRequest(f"The row has no column {column!r}.")
    return row[column]


def read_text(row: JsonObject, column: str) -> str:
    """A number is its text, since a CSV file has numbers where texts of digits were meant.

    Raises:
        InvalidRequest: the row has no such column, or neither a text nor a number there.
    """
    value = read(row, column)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise unfit(column, "a text")


def read_json(row: JsonObject, column: str) -> Any:  # noqa: ANN401 - whatever the JSON says
    """What is in the column, or in the JSON there where it is a text.

    Raises:
        InvalidRequest: the row has no such column, or a text there that is no JSON.
    """
    value = read(row, column)
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError:
        raise unfit(column, "JSON") from None


def unfit(column: str, kind: str) -> InvalidRequest:
    """That a column holds something else than `kind`."""
    return InvalidRequest(f"The row's column {column!r} is not {kind}.")


def as_list(value: object) -> Sequence[Any] | None:
    """None for what is no list."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else None


def as_object(value: object) -> JsonObject | None:
    """None for what is no object."""
    return cast("JsonObject", value) if isinstance(value, dict) else None
