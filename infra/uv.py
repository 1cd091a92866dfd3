"""Where uv is: on the PATH, or where `make setup` puts it."""

from pathlib import Path
import shutil
import subprocess
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def uv() -> str:
    """A uv that works; a version manager's shim may be on the PATH and not.

    Raises:
        FileNotFoundError: there is none.
    """
    for found in (shutil.which("uv"), shutil.which(ROOT / ".uv" / "bin" / "uv")):
        if found and subprocess.run([found, "--version"], check=False, capture_output=True).returncode == 0:
            return found
    raise FileNotFoundError("uv is neither on the PATH nor in .uv: make setup")
