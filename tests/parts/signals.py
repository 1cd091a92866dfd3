"""Signals of the processes that tests start."""

from collections.abc import Generator
from contextlib import contextmanager
import signal


@contextmanager
def interruptible() -> Generator[None]:
    """What is started here hears SIGINT, even where the shell that began the tests ignores it (`nohup make test &`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which becomes the default in what is started
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
