"""Child processes that print their port, stopped by id."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import re
import subprocess
import sys

ROOT = Path(__file__).parents[2]
CONFIG = """
version: 2
image_name: bench
apis: [inference]
providers:
  inference:
    - provider_id: up
      provider_type: remote::vllm
      config: {{url: "http://127.0.0.1:{upstream}"}}
metadata_store: {store}
"""


@contextmanager
def started(*arguments: str, env: dict[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """(port, pid) of `python ARGUMENTS`, whose first line of output ends in its port; what it logs is not shown."""
    environment = os.environ | (env or {})
    output, log = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=output, stderr=log, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"(\d+)(/v1)?\s*$", line)
        if found is None:
            raise RuntimeError(f"{arguments} did not start: {line!r}")
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait(10)
