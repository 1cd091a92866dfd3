"""Where `llambda keys` finds keys: in a store, or behind a running stack that is asked over HTTP."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import click
from click.core import ParameterSource

from core.cli.keys import options as key_options
from core.cli.options import config_option, env_option, json_option
from core.cli.remote import api_key_option, open_client

if TYPE_CHECKING:
    from core.cli.keys.target import StoreOptions
    from core.client.keys import Keys

OF_STORE: Final = ("config", "env", "table", "region")
LISTING: Final = "llambda keys list"


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which store, or which stack; and --json."""
    decorators = (
        config_option(),
        env_option,
        click.option(
            "--table",
            metavar="TABLE",
            type=key_options.table,
            help="The registry's DynamoDB table, instead of the run config's store.",
        ),
        click.option(
            "--region", metavar="REGION", help="The region of --table (default: that of the AWS environment)."
        ),
        click.option(
            "--url",
            metavar="URL",
            envvar="LLAMBDA_URL",
            show_envvar=True,
            help="A running stack, instead of a store: its access policy says what you may.",
        ),
        api_key_option,
        json_option,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def store_of(options: dict[str, Any]) -> "StoreOptions":
    return cast("StoreOptions", {name: options[name] for name in OF_STORE})


@contextmanager
def remote_keys(options: dict[str, Any]) -> "Generator[Keys | None]":
    """The keys of the stack that is named; None where a store is.

    --url names a stack, and so does LLAMBDA_URL where nothing names a store. Raises UsageError where both are named.
    """
    sources = {name: click.get_current_context().get_parameter_source(name) for name in (*OF_STORE, "url")}
    stores = [name for name in OF_STORE if sources[name] not in {None, ParameterSource.DEFAULT}]
    flags = [f"--{name}" for name in stores if sources[name] is ParameterSource.COMMANDLINE]
    is_said = sources["url"] is ParameterSource.COMMANDLINE
    if is_said and flags:
        raise click.UsageError(f"--url is of a running stack and {flags[0]} of a store; give one of them")
    if not options["url"] or (stores and not is_said):
        yield None
        return
    with open_client(options["url"], options["api_key"], listing=LISTING) as client:
        yield client.keys
