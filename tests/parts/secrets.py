"""No token, key or secret in any log line or error of the whole run: it is grepped for all of them at the end.

Every token that an auth provider is handed is noted, and what tests `plant`; every log record, every error that a caller
could see, and the logs of servers that tests start are kept. A shared run of 12 characters is a leak, and fails the run.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from functools import wraps
import logging
from pathlib import Path
import pickle
import re
from typing import Any, override

import pytest

from core.auth.verifier import Incoming
from core.errors import ApiError

RUN = re.compile(r"[A-Za-z0-9_-]{12,}")


@dataclass
class Watch:
    """`said` is what was seen, by run of characters, with the line it was in."""

    secrets: set[str] = field(default_factory=set[str])
    said: dict[str, str] = field(default_factory=dict[str, str])

    def plant(self, secret: str) -> str:
        self.secrets.update(RUN.findall(secret))
        self.secrets.update(RUN.findall(secret.split("_", 2)[-1]))  # an API key without its prefix and id
        return secret

    def hear(self, text: str) -> None:
        for line in text.splitlines():
            for run in RUN.findall(line):
                self.said.setdefault(run, line)

    def merge(self, other: "Watch") -> None:
        """Take over what another process has seen."""
        self.secrets |= other.secrets
        self.said |= other.said

    def leaks(self) -> list[str]:
        return [self.said[run] for run in sorted(self.secrets & self.said.keys())]


WATCH = Watch()


def plant(secret: str) -> str:
    """Note a secret that nothing may say; returns it."""
    return WATCH.plant(secret)


def hear_file(log: Path) -> None:
    """Keep what a server logged."""
    WATCH.hear(log.read_text("utf-8", "replace"))


class _Listener(logging.Handler):
    @override
    def emit(self, record: logging.LogRecord) -> None:
        WATCH.hear(self.format(record))


def _tapped(kind: type[Any], heard: Any) -> Any:
    original = kind.__init__

    @wraps(original)
    def tapped(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        heard(self)

    return tapped


def _hear_error(failure: ApiError) -> None:
    WATCH.hear("\n".join([str(failure), failure.message, *failure.headers.values()]))


def pytest_configure() -> None:
    logging.getLogger().addHandler(_Listener())
    logging.getLogger("core").setLevel(logging.DEBUG)
    vars_of: Iterable[tuple[type[Any], Any]] = (
        (Incoming, lambda incoming: WATCH.plant(incoming.token)),
        (ApiError, _hear_error),
    )
    for kind, heard in vars_of:
        kind.__init__ = _tapped(kind, heard)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    yield
    to_main: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if to_main is not None:
        to_main["watch"] = pickle.dumps(WATCH)
    elif WATCH.leaks():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist is done, or dead."""
    if seen := getattr(node, "workeroutput", {}).get("watch"):
        WATCH.merge(pickle.loads(seen))  # noqa: S301 - our own process's


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in WATCH.leaks():
        terminalreporter.write_line(f"LEAKED a secret: {line}", red=True)
