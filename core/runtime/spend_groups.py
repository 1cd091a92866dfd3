"""What the spend is a metric by, of a bounded number of values: whoever calls, or names its own teams, makes no metrics without end."""

from collections.abc import Mapping
from typing import Any, Final

NAMES: Final = {"caller": "by_caller", "team": "by_team", "model": "by_model"}
"""The dimensions, by what the run config calls them: fields of their own, as their values may be OTHERS."""
MOST_VALUES: Final = 100  # of a dimension, for as long as the process lives
MOST_LENGTH: Final = 250  # characters
NONE: Final = "none"
OTHERS: Final = "others"


class SpendGroups:
    """Of a process: the first MOST_VALUES values of each dimension are told apart, and what comes later is OTHERS."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def dimensions(self, groups: Mapping[str, str], model: str) -> dict[str, str]:
        """Fields of the line, by the names of dimensions. `groups` are `Observed.groups`; the model's value is `model`."""
        return {NAMES[name]: self._bound(name, model if name == "model" else value) for name, value in groups.items()}

    @staticmethod
    def names_in(fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Which of these dimensions the fields of a line have."""
        return tuple(name for name in NAMES.values() if name in fields)

    def _bound(self, name: str, value: str) -> str:
        if not value:
            return NONE
        if not is_dimension(value) or len(value) > MOST_LENGTH:
            return OTHERS
        values = self._values.setdefault(name, set())
        if value not in values and len(values) >= MOST_VALUES:
            return OTHERS
        values.add(value)
        return value


def is_dimension(value: str) -> bool:
    """What CloudWatch would refuse, it refuses with the whole line."""
    return bool(value.strip()) and value.isascii() and value.isprintable() and not value.startswith(":")
