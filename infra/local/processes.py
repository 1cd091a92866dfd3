"""Servers as child processes: wait until one answers, and end it."""

from collections.abc import Callable
import subprocess
import time
from typing import Final

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0


def wait_until(process: subprocess.Popen[bytes], name: str, is_ready: Callable[[], bool]) -> None:
    """Return when `is_ready`; `name` is what the error calls the process.

    Raises:
        RuntimeError: the process ended, or was not ready in 60 s.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with exit code {process.returncode}")
        if is_ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} was not ready in {READY_SECONDS:.0f} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, by force after 5 s, and wait for its end."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
