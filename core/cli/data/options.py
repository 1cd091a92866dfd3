"""The options of `llambda data` and `llambda principals`: whose data, and where it is."""

from collections.abc import Callable
from typing import Any, Final

import click

from core.cli.options import CONFIG_HELP, ConfigName, env_option, json_option

MOST_ID: Final = 2048
VOUCHER: Final = "Who vouches for it, as a rule's `issuer` says it; needed where several auth providers may."
WHO: Final = "Its id: of an API key, as `llambda keys list` has it."

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def check_principal(_: click.Context, __: click.Parameter, text: str) -> str:
    """Raises BadParameter for what is no id."""
    if not text.strip() or len(text) > MOST_ID or not text.isprintable():
        raise click.BadParameter(f"must be 1 to {MOST_ID} printable characters")
    return text


PLACES: Final[tuple[Decorator, ...]] = (
    click.option("--vouched-by", "--issuer", "issuer", metavar="NAME", help=VOUCHER),
    click.option(
        "--config",
        metavar="CONFIG",
        type=ConfigName(),
        envvar="LLAMBDA_CONFIG",
        show_envvar=True,
        help=f"{CONFIG_HELP} [default: starter, or lambda with --stack-name]",
    ),
    env_option,
    click.option(
        "--stack-name", metavar="NAME", help="A deployed stack: what CONFIG reads is taken from its functions."
    ),
    click.option("--region", metavar="REGION", help="Where that is (default: as the AWS environment says)."),
    json_option,
)
principal_option: Final[Decorator] = click.option(
    "--principal", metavar="ID", required=True, callback=check_principal, help=WHO
)
principal_argument: Final[Decorator] = click.argument("principal", metavar="PRINCIPAL", callback=check_principal)
"""As `llambda principals` has it."""


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of TargetOptions, and --json."""
    for decorator in reversed(PLACES):
        function = decorator(function)
    return function


def delete_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Those of a deletion, which both commands have."""
    decorators: tuple[Decorator, ...] = (
        click.option("--keys", is_flag=True, help="Revoke the principal's API key too, before all else."),
        click.option(
            "--wait",
            metavar="SECONDS",
            type=click.IntRange(0, 3600),
            default=120,
            show_default=True,
            help="For workers to leave what they are at.",
        ),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
