"""The SAM CLI of a checkout: the version of the Makefile through uv, or whichever is on the PATH."""

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
import shutil
import subprocess
from typing import Final

from core.config.redact import redact_text
from core.platform import environment

VERSION: Final = re.compile(r"aws-sam-cli==[\w.]+")
SAID: Final = 25  # of the last lines of what failed


class SamFailed(Exception):
    """Says what the SAM CLI said last."""


def find(checkout: Path) -> list[str] | None:
    """The words that a call of it begins with; None if there is neither uv nor sam."""
    from infra.uv import uv

    pinned = VERSION.search((checkout / "Makefile").read_text("utf-8"))
    try:
        if pinned is not None:
            return [uv(), "tool", "run", "--from", pinned[0], "sam"]
    except FileNotFoundError:
        pass
    command = shutil.which("sam")
    return None if command is None else [command]


def run(sam: Sequence[str], arguments: Sequence[str], checkout: Path, variables: Mapping[str, str]) -> None:
    """Call it in the checkout, with these variables beside those of this process.

    Raises:
        SamFailed: it could not do what it was to do.
    """
    try:
        done = subprocess.run(  # noqa: S603 - of arguments that are checked, and of no shell
            [*sam, *arguments],
            cwd=checkout,
            env={**environment.environ(), **variables},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as failure:
        raise SamFailed(f"{sam[0]}: {failure.strerror}") from failure
    if done.returncode != 0:
        lines = [redact_text(line.rstrip()) for line in done.stdout.splitlines() if line.strip()]
        raise SamFailed("\n".join([f"sam {arguments[0]} failed:", *(f"  {line}" for line in lines[-SAID:])]))
