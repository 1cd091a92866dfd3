"""Distributions: the run configs that ship with llambda, found by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Final

from core.config.problems import ConfigInvalid, Problem
from core.platform.suggestions import did_you_mean

FOLDERS: Final = (
    Path(__file__).parent / "distributions",  # in an installed wheel
    Path(__file__).parents[2] / "infra" / "distributions",  # in a checkout
)
VARIABLE: Final = re.compile(r"#   ([A-Z0-9_]+) +(\S.*) \((?:(required)|(optional)|default: (\S+))\)")


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that a distribution reads; `default` is "" where it has none."""

    name: str
    purpose: str
    required: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """From the comment at the top of a distribution's file."""

    name: str
    description: str
    variables: tuple[Variable, ...]

    def required(self) -> list[str]:
        """The variables without which it cannot be served."""
        return [variable.name for variable in self.variables if variable.required]


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    files = [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}


def names(folders: Sequence[Path] = FOLDERS) -> list[str]:
    """In alphabetical order."""
    return sorted(_files(folders))


def find(name_or_path: str, folders: Sequence[Path] = FOLDERS) -> Path:
    """The file of a run config: an existing file, or else the distribution of this name in the first folder with it.

    Raises:
        ConfigInvalid: neither; the message lists the distributions.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    files = _files(folders)
    if name_or_path in files:
        return files[name_or_path]
    message = _no_such("file or distribution", name_or_path, files)
    raise ConfigInvalid(name_or_path or "run config", [Problem("", message)])


def read_distribution(name: str, folders: Sequence[Path] = FOLDERS) -> tuple[Distribution, str]:
    """The distribution of this name, never a file, and the text of its file.

    Raises:
        ConfigInvalid: there is none; the message lists those that exist.
    """
    files = _files(folders)
    if name not in files:
        raise ConfigInvalid(name or "distribution", [Problem("", _no_such("distribution", name, files))])
    text = files[name].read_text("utf-8")
    return read_head(name, text), text


def read_head(name: str, text: str) -> Distribution:
    """The description on the first line, and a line for each variable: `#   NAME  what for (required)`.

    In the place of `required` stands `optional` or `default: VALUE`.
    """
    first, *rest = text.splitlines() or [""]
    matches = [match for line in rest if (match := VARIABLE.fullmatch(line))]
    variables = tuple(Variable(m[1], m[2], required=m[3] is not None, default=m[5] or "") for m in matches)
    return Distribution(name, first.removeprefix("#").strip(), variables)


def _no_such(noun: str, name: str, files: dict[str, Path]) -> str:
    choices = ", ".join(sorted(files)) or "none"
    return f"there is no such {noun}{did_you_mean(name, files)} (distributions: {choices})"
