"""Distributions: the run configs that ship with llambda, found by name."""

from pathlib import Path
from typing import Final

from core.config.problems import ConfigInvalid, Problem
from core.config.sections import nearest

FOLDERS: Final = (
    Path(__file__).parent / "distributions",  # in an installed wheel
    Path(__file__).parents[2] / "infra" / "distributions",  # in a checkout
)


def _known() -> dict[str, Path]:
    files = [file for folder in FOLDERS for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}


def names() -> list[str]:
    """The names of the distributions, in alphabetical order."""
    return sorted(_known())


def find(name_or_path: str) -> Path:
    """The file of a run config: an existing file, or else the distribution of this name.

    Raises:
        ConfigInvalid: neither; the message lists the distributions.
    """
    path = Path(name_or_path)
    if name_or_path and path.is_file():
        return path
    known = _known()
    if name_or_path in known:
        return known[name_or_path]
    listed = ", ".join(sorted(known)) or "none"
    message = f"there is no such file or distribution{nearest(name_or_path, known)} (distributions: {listed})"
    raise ConfigInvalid(name_or_path or "run config", [Problem("", message)])
