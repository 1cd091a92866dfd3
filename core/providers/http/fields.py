"""How a field of a caller's request is read and refused. Pure; every refusal names the field's path as its `param`."""

from typing import Any, cast

from core.errors import InvalidRequest
from core.frame.types import JsonObject


def invalid_field(path: str, problem: str) -> InvalidRequest:
    """The refusal of the field at `path`; `problem` says what it should be, never what it holds."""
    return InvalidRequest(f"{path}: {problem}", param=path)


def object_at(value: Any, path: str) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(value, dict):
        raise invalid_field(path, "must be an object.")
    return cast("JsonObject", value)


def list_at(value: Any, path: str) -> list[Any]:  # noqa: ANN401 - whatever a caller sent
    match value:
        case [*items]:
            return items
        case _:
            raise invalid_field(path, "must be a list.")


def text_at(value: Any, path: str) -> str:  # noqa: ANN401 - whatever a caller sent
    """A string with something in it."""
    if not isinstance(value, str) or not value:
        raise invalid_field(path, "must be a string that is not empty.")
    return value


def objects_at(value: Any, path: str) -> list[tuple[JsonObject, str]]:  # noqa: ANN401 - whatever a caller sent
    """Each object of a list, with its path; null is an empty list."""
    if value is None:
        return []
    items = [(item, f"{path}[{position}]") for position, item in enumerate(list_at(value, path))]
    return [(object_at(item, item_path), item_path) for item, item_path in items]
