"""A command that fails as it is told to, for the table of commands."""

from collections.abc import Callable
import socket
from typing import Final, NoReturn
from urllib.request import urlopen

import click

from core.config.problems import ConfigInvalid, Problem
from core.errors import ProviderUnavailable
from core.resolution.external.compliance import NotCompliant


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def _connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urlopen(f"http://127.0.0.1:{port}/", timeout=5)


def _read() -> None:
    with open("/nowhere/run.yaml") as file:  # noqa: PTH123 - the error is what it is for
        file.read()


def _write() -> NoReturn:
    raise PermissionError(13, "Permission denied", "/etc/run.yaml")


def _config() -> NoReturn:
    raise ConfigInvalid("run.yaml", [Problem("apis", "is wrong"), Problem("", "so is all")])


def _comply() -> NoReturn:
    raise NotCompliant("acme", object, [("close", "missing")])


def _ask() -> NoReturn:
    raise ProviderUnavailable("Provider `a` cannot be reached.")


def _exit() -> NoReturn:
    raise click.exceptions.Exit(1)


HOW: Final[dict[str, Callable[[], object]]] = {
    "interrupt": _interrupt,
    "connect": _connect,
    "read": _read,
    "write": _write,
    "config": _config,
    "comply": _comply,
    "ask": _ask,
    "exit": _exit,
    "return": lambda: 1,
}


@click.command()
@click.argument("how", type=click.Choice(tuple(HOW)))
def command(how: str) -> object:
    """Fail."""
    return HOW[how]()
