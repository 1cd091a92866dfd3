"""Finds uv: on the PATH, or where `make setup` puts it."""

from pathlib import Path
from shlex import quote
import shutil
import subprocess
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def setup_command() -> str:
    """What makes the environment of this checkout, from the folder where its reader is."""
    return "make setup" if Path.cwd() == ROOT else f"make -C {quote(str(ROOT))} setup"


def uv() -> str:
    """The path of a uv that runs; the first on the PATH may be a version manager's shim that does not.

    Raises:
        FileNotFoundError: there is none.
    """
    for program in (shutil.which("uv"), shutil.which(ROOT / ".uv" / "bin" / "uv")):
        if program and subprocess.run([program, "--version"], check=False, capture_output=True).returncode == 0:
            return program
    raise FileNotFoundError(f"uv is neither on the PATH nor in .uv: `{setup_command()}`")
