"""JSON of any shape, as whoever is on the other side wrote it."""

from typing import Any, cast


def to_object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
