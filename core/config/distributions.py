"""Distributions: the run configs that ship with llambda, found by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.config.problems import ConfigInvalid, Problem
from core.config.sections import nearest

FOLDERS: Final = (
    Path(__file__).parent / "distributions",  # in an installed wheel
    Path(__file__).parents[2] / "infra" / "distributions",  # in a checkout
)


def _known(folders: Sequence[Path]) -> dict[str, Path]:
    files = [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}


def names(folders: Sequence[Path] = FOLDERS) -> list[str]:
    """The names of the distributions, in alphabetical order."""
    return sorted(_known(folders))


def find(name_or_path: str, folders: Sequence[Path] = FOLDERS) -> Path:
    """The file of a run config: an existing file, or else the distribution of this name in the first folder with it.

    Raises:
        ConfigInvalid: neither; the message lists the distributions.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = _known(folders)
    if name_or_path in known:
        return known[name_or_path]
    listed = ", ".join(sorted(known)) or "none"
    message = f"there is no such file or distribution{nearest(name_or_path, known)} (distributions: {listed})"
    raise ConfigInvalid(name_or_path or "run config", [Problem("", message)])
