"""`llambda principals data` and `delete-data`: the older names of `llambda data show` and `delete`."""

from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.data.options import delete_options, principal_argument, target_options

if TYPE_CHECKING:
    from core.cli.data.target import TargetOptions

EXAMPLES: Final = """\
\b
Examples:
  llambda principals data ada --stack-name llambda --region eu-west-1
  llambda principals delete-data abcdefgh2345 --keys --yes --json
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Show and delete all that a principal keeps: as `llambda data`, which can hand it out too."""


@command.command(epilog=EXAMPLES)
@principal_argument
@target_options
def data(principal: str, *, as_json: bool, **options: Unpack["TargetOptions"]) -> None:
    """Show what a principal keeps, as `llambda data show` does."""
    from core.cli.data.running import show_data

    show_data(principal, options, as_json=as_json)


@command.command("delete-data", epilog=EXAMPLES)
@delete_options
@principal_argument
@target_options
def delete_data(
    principal: str, *, keys: bool, wait: int, yes: bool, as_json: bool, **options: Unpack["TargetOptions"]
) -> None:
    """Delete all that a principal keeps, for good, as `llambda data delete` does."""
    from core.cli.data.running import delete

    delete(principal, options, keys=keys, wait=wait, yes=yes, as_json=as_json)
