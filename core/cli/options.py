"""What several commands share: which run config, with which variables."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from core.config import distributions, environment
from core.config.document import RunConfig
from core.config.load import load
from core.config.problems import ConfigInvalid


class Commands(Protocol):
    """Argparse's subparsers, which have no public type."""

    def add_parser(self, name: str, *, help: str, description: str = ...) -> argparse.ArgumentParser:  # noqa: A002 - argparse's own name
        """Add a command."""
        ...


def add_config(command: argparse.ArgumentParser) -> None:
    """The run config: a file, or the name of a distribution."""
    names = ", ".join(distributions.names())
    command.add_argument("config", metavar="CONFIG", help=f"a run config file, or a distribution: {names}")


def add_config_option(command: argparse.ArgumentParser) -> None:
    """`--config CONFIG`; without it LLAMBDA_CONFIG's file, or else the distribution `starter`."""
    command.add_argument(
        "--config",
        metavar="CONFIG",
        default=str(environment.config_path() or "starter"),
        help=f"a run config file, or a distribution: {', '.join(distributions.names())} (default: %(default)s)",
    )


def add_env(command: argparse.ArgumentParser) -> None:
    """`--env KEY=VALUE`, as often as wanted."""
    command.add_argument(
        "--env",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=environment.parse_env_option,
        help="set a variable that the run config names (repeatable)",
    )


def load_checked(
    options: argparse.Namespace, stand_ins: Mapping[str, str] = MappingProxyType({})
) -> tuple[Path, RunConfig]:
    """Find, read and check the run config that the options name, with their variables set.

    `stand_ins` are values of variables that this command makes no use of, for those that are not set.

    Raises:
        ConfigInvalid: with every problem of the document, its providers and its resources.
    """
    from core.resolution.check import check

    environment.set_variables(dict(options.env))
    path = distributions.find(options.config)
    loaded = load(path, {**stand_ins, **environment.environ()})
    problems = loaded.problems + check(loaded)
    if problems or loaded.config is None:
        raise ConfigInvalid(str(path), problems)
    return path, loaded.config
