"""The file that a configuration is registered from."""

import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

from core.config import source
from core.config.problems import ConfigInvalid, Problem


def read(file: str) -> dict[str, Any]:
    """The mapping in the YAML or JSON `file`; "-" is the standard input.

    Raises:
        ConfigInvalid: it is no such file, or has what JSON cannot say.
    """
    value, problems = _standard_input() if file == "-" else source.read(Path(file).expanduser())
    if value is not None and not problems:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as failure:
            problems = [Problem("", f"has a value that JSON cannot express: {failure}")]
    if value is None or problems:
        raise ConfigInvalid("the standard input" if file == "-" else file, problems)
    return value


def _standard_input() -> tuple[dict[str, Any] | None, list[Problem]]:
    """By way of a temporary file, for its owner alone: what reads run configs reads files."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_bytes(sys.stdin.buffer.read())
        return source.read(path)
