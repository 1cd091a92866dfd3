"""Processes that tests start: each in a session of its own, so that what it starts ends with it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any, Final

import httpx

READY_SECONDS: Final = 60.0
END_SECONDS: Final = 10.0


@contextmanager
def answering(command: Sequence[str], url: str, log: Path, **how: Any) -> Generator[None]:
    """A server for the length of a `with` block, once `url` answers, with whatever; `log` is what it prints."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **how
        )
    try:
        _wait_until_ready(process, url, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text('utf-8', 'replace')}")


@contextmanager
def interruptible() -> Generator[None]:
    """What is started here hears SIGINT, even where the shell that began the tests ignores it (`nohup make test &`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which becomes the default in what is started
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
