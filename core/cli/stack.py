"""`llambda stack`: the reference's names for `llambda run` and `llambda build`."""

from typing import Final

import click

from core.cli import build, run
from core.cli.unused import unused_options

UNUSED: Final = {"--image-name": "NAME", "--image-type": "TYPE", "--name": "NAME"}
EXAMPLES: Final = """\
\b
Examples:
  llambda stack run starter --port 9000
  llambda stack build --template starter --report
"""
BUILD: Final = """\
Build the packages for AWS Lambda.

This is `llambda build`. --image-name, --image-type and --name are accepted, and have no effect.
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Call `llambda run` and `llambda build` by Llama Stack's names."""


def _build() -> click.Command:
    """With its own list of options: those of `llambda build` stay as they are."""
    params = list(build.command.params)
    copy = click.Command("build", params=params, callback=build.command.callback, help=BUILD, epilog=EXAMPLES)
    unused_options(UNUSED)(copy)
    return copy


command.add_command(run.command, "run")
command.add_command(_build(), "build")
