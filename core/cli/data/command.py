"""`llambda data show`, `export` and `delete`."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.data.options import delete_options, principal_option, target_options

if TYPE_CHECKING:
    from core.cli.data.target import TargetOptions

EXAMPLES: Final = """\
\b
Examples:
  llambda data show --principal abcdefgh2345 --config run.yaml
  llambda data export --principal ada --output ada.tar --stack-name llambda
  llambda data export --principal ada --output ada \\
      --vouched-by https://login.example.com/realms/main
  llambda data delete --principal ada --dry-run --json
  llambda data delete --principal abcdefgh2345 --keys --yes
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Show, hand out and delete all that a principal keeps.

    A principal is a caller: an API key, or a user of an identity provider. This is for the operator: it works on the run
    config's own stores and providers, with this machine's rights, whatever the access policy says.
    """


@command.command(epilog=EXAMPLES)
@principal_option
@target_options
def show(principal: str, *, as_json: bool, **options: Unpack["TargetOptions"]) -> None:
    """Show what a principal keeps, by API; nothing is changed.

    Files and uploads, vector stores, jobs, registered resources and configurations, remembered answers, and what quotas
    count. Where no list is by owner, all of it is read.
    """
    from core.cli.data.running import show_data

    show_data(principal, options, as_json=as_json)


@command.command(epilog=EXAMPLES)
@principal_option
@click.option(
    "--output",
    metavar="DIR|FILE.tar",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder, or a new tar where the name ends with .tar.",
)
@target_options
def export(principal: str, *, output: Path, as_json: bool, **options: Unpack["TargetOptions"]) -> None:
    """Write all that a principal keeps as files, with manifest.json; nothing is changed.

    JSON, lines of JSON, and bytes as they were uploaded; vectors where their provider gives them; without secrets. The
    manifest says what is there, and what was left out and why. A run that is cut off leaves nothing at --output: run it
    again. The exit code is 1 where something could not be read; the output says what, and why.
    """
    from core.cli.data.running import export as run

    run(principal, options, output=output, as_json=as_json)


@command.command(epilog=EXAMPLES)
@principal_option
@click.option("--dry-run", is_flag=True, help="Show what would go, as `show` does; nothing is deleted.")
@delete_options
@target_options
def delete(
    principal: str,
    *,
    dry_run: bool,
    keys: bool,
    wait: int,
    yes: bool,
    as_json: bool,
    **options: Unpack["TargetOptions"],
) -> None:
    """Delete all that a principal keeps, for good.

    Take its access away first: what it makes meanwhile may stay. Run again, this goes on where it was cut off. The exit
    code is 1 where something is left; the output says what, and why. It also says what stays in any case.
    """
    from core.cli.data import running

    if dry_run:
        running.show_data(principal, options, as_json=as_json)
    else:
        running.delete(principal, options, keys=keys, wait=wait, yes=yes, as_json=as_json)
