"""The normalised document in the making."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.config.places import Places, Value
from core.config.problems import Problem


@dataclass(slots=True)
class Draft:
    """Its keys are RunConfig's."""

    source: Mapping[str, Value]
    places: Places
    document: dict[str, Value] = field(default_factory=dict[str, Any])
    origins: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[Problem] = field(default_factory=list[Problem])

    def blame(self, path: str, message: str) -> None:
        """Note a problem at a path of `source`."""
        self.problems.append(Problem(self.places.source_path(path), message))
