"""Whose data the options of `llambda data` name, and where it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING, Final, TypedDict

import click

from core.cli.deploy.stack import AwsFailed, DeployedStack
from core.cli.logs import start_logging
from core.cli.options import Pairs, load_config, load_valid_config
from core.config.problems import ConfigInvalid, Problem
from core.platform import environment

if TYPE_CHECKING:
    from core.resolution.stack import Stack
    from core.services.erasure import Estate

OWN: Final = ("AWS_", "LLAMBDA_")
"""How variables begin that are a function's own, and of no use here."""
DISTRIBUTION: Final = "lambda"
REGION: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


class TargetOptions(TypedDict):
    """The options that every action has; `config` is None where the command line does not name one."""

    config: str | None
    env: Pairs
    stack_name: str | None
    region: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Target:
    stack: "Stack"
    estate: "Estate"


@asynccontextmanager
async def open_target(principal: str, options: TargetOptions) -> AsyncGenerator[Target]:
    """Nothing is read before it is asked.

    Raises:
        ConfigInvalid: the run config has problems, or it is not clear who the principal is.
        ClickException: AWS does not say what the functions of the stack have.
    """
    start_logging(logging.ERROR)
    config = options["config"] or (DISTRIBUTION if options["stack_name"] else "starter")
    if options["stack_name"] is not None:
        _take_variables(options["stack_name"], options["region"])
    elif options["region"] is not None:
        raise ConfigInvalid("--region", [Problem("", "is for --stack-name; a run config names its own region")])
    _, checked = load_valid_config(config, options["env"])
    from core.resolution.erasure.stack import open_stack
    from core.resolution.erasure.vouchers import estate_of

    estate = estate_of(checked, principal, options["issuer"])
    stack = await open_stack(load_config(config, ())[1])
    try:
        yield Target(stack, estate)
    finally:
        await stack.close()


def _take_variables(name: str, region: str | None) -> None:
    """Those of the stack's functions, whatever this shell has of these names: it may be another stack's."""
    try:
        deployed = DeployedStack(name, region)
        variables = deployed.variables()
    except AwsFailed as failed:
        raise click.ClickException(f"--stack-name {name}: {failed}") from failed
    variables = {name: text for name, text in variables.items() if not name.startswith(OWN)}
    environment.set_variables(variables | {name: deployed.region for name in REGION if deployed.region})
