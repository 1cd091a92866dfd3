"""`llambda principals data` and `delete-data`."""

import asyncio
from collections.abc import Callable
import sys
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.options import CONFIG_HELP, ConfigName, env_option, json_option, print_json
from core.cli.terminal import clean, say

if TYPE_CHECKING:
    from core.cli.principals.target import TargetOptions
    from core.resolution.erasure.engine import Amount, Key, Outcome
    from core.services.erasure import Estate

MOST_ID: Final = 2048
EXAMPLES: Final = """\
\b
Examples:
  llambda principals data abcdefgh2345 --config run.yaml
  llambda principals data ada --issuer https://login.example.com/realms/main
  llambda principals data ada --stack-name llambda --region eu-west-1
  llambda principals delete-data ada --config run.yaml
  llambda principals delete-data abcdefgh2345 --keys --yes --json
"""
ISSUER: Final = "Who vouches for it, as a rule's `issuer` says it; needed where several auth providers may."
NO_TERMINAL: Final = "What is deleted is gone for good, and there is no terminal to ask at: give --yes."


def _target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """PRINCIPAL, the options of TargetOptions, and --json."""
    decorators = (
        click.argument("principal", metavar="PRINCIPAL", type=_principal, help="Its id: of an API key, as `llambda keys list` has it."),
        click.option("--issuer", metavar="NAME", help=ISSUER),
        click.option(
            "--config",
            metavar="CONFIG",
            type=ConfigName(),
            envvar="LLAMBDA_CONFIG",
            show_envvar=True,
            help=f"{CONFIG_HELP} [default: starter, or lambda with --stack-name]",
        ),
        env_option,
        click.option("--stack-name", metavar="NAME", help="A deployed stack: what CONFIG reads is taken from its functions."),
        click.option("--region", metavar="REGION", help="Where that is (default: as the AWS environment says)."),
        json_option,
    )  # fmt: skip
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _principal(text: str) -> str:
    if not text.strip() or len(text) > MOST_ID or not text.isprintable():
        raise click.BadParameter(f"must be 1 to {MOST_ID} printable characters")
    return text


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Show and delete all that a principal keeps.

    A principal is a caller: an API key, or a user of an identity provider. This is for the operator: it works on the run
    config's own stores and providers, with this machine's rights, whatever the access policy says.
    """


@command.command(epilog=EXAMPLES)
@_target_options
def data(principal: str, *, as_json: bool, **options: Unpack["TargetOptions"]) -> None:
    """Show what a principal keeps, by API; nothing is changed.

    Files and uploads, vector stores, jobs, registered resources and configurations, remembered answers, and what quotas
    count. Where no list is by owner, all of it is read.
    """
    from core.cli.principals.output import amount_lines, to_json

    estate, amounts = asyncio.run(_count(principal, options))
    if as_json:
        print_json(to_json(estate, amounts))
    else:
        print("\n".join(amount_lines(estate, amounts)))


@command.command("delete-data", epilog=EXAMPLES)
@click.option("--keys", is_flag=True, help="Revoke the principal's API key too, before all else.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.IntRange(0, 3600),
    default=120,
    show_default=True,
    help="For workers to leave what they are at.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_target_options
def delete_data(
    principal: str, *, keys: bool, wait: int, yes: bool, as_json: bool, **options: Unpack["TargetOptions"]
) -> None:
    """Delete all that a principal keeps, for good.

    Take its access away first: what it makes meanwhile may stay. Run again, this goes on where it was cut off. The exit
    code is 1 where something is left; the output says what, and why.
    """
    from core.cli.principals.output import amount_lines, outcome_json, outcome_lines

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(NO_TERMINAL)
        estate, amounts = asyncio.run(_count(principal, options))
        say("\n".join(amount_lines(estate, amounts)))
        _confirm(principal)
    estate, outcome = asyncio.run(_erase(principal, options, keys=keys, wait=wait))
    if as_json:
        print_json(outcome_json(estate, outcome))
    else:
        print("\n".join(outcome_lines(estate, outcome)))
    if not outcome.is_whole:
        raise click.exceptions.Exit(1)


def _confirm(principal: str) -> None:
    text: str = click.prompt(f"Type {clean(principal)} to delete all of it", default="", show_default=False, err=True)
    if text != principal:
        raise click.ClickException("That is another name: nothing was deleted.")


async def _count(principal: str, options: "TargetOptions") -> "tuple[Estate, dict[Key, Amount]]":
    from core.cli.principals.output import Progress
    from core.cli.principals.target import open_target
    from core.resolution.erasure.engine import count
    from core.resolution.erasure.sources import sources

    progress = Progress("counted")
    async with open_target(principal, options) as target:
        try:
            return target.estate, await count(sources(target.stack, keys=True), target.estate, progress.note)
        finally:
            progress.close()


async def _erase(principal: str, options: "TargetOptions", *, keys: bool, wait: int) -> "tuple[Estate, Outcome]":
    from core.cli.principals.output import Progress
    from core.cli.principals.target import open_target
    from core.resolution.erasure.engine import erase
    from core.resolution.erasure.sources import sources

    progress = Progress("deleted")
    async with open_target(principal, options) as target:
        try:
            walked = list(sources(target.stack, keys=keys))
            return target.estate, await erase(walked, target.estate, progress.note, wait=wait)
        finally:
            progress.close()
