"""API keys made as an operator makes them: by the command, which prints nothing else."""

import os
import subprocess
import sys

from tests.lambda_.emulator import ROOT
from tests.parts.secrets import plant


def created(*arguments: str, **environment: str) -> str:
    """The key that `llambda keys create` prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LLAMBDA_"))}
    done = subprocess.run(
        [sys.executable, "-m", "core.cli.main", "keys", "create", *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    [key] = done.stdout.splitlines()
    return plant(key)
