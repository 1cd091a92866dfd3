"""`llambda scoring-functions`: what scores answers in a running stack, over HTTP."""

from typing import Final, Unpack

import click

from core.cli.evals import output
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clip_table

LISTING: Final = "llambda scoring-functions list"
EXAMPLES: Final = """\
\b
Examples:
  llambda scoring-functions list
  llambda scoring-functions show llm-as-judge::base
"""


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda scoring-functions {line}\n"


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List and show the scoring functions of a running stack."""


@command.command("list", epilog=_example("list"))
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List the scoring functions that you may use."""
    with open_client(**stack) as client:
        functions = client.scoring_functions.list()
    if as_json:
        print_json(functions)
    elif not functions:
        click.echo("no scoring functions")
    else:
        print("\n".join(clip_table(output.FUNCTIONS, map(output.function_row, functions))))


@command.command(epilog=_example("show basic::equality"))
@click.argument("function", metavar="ID")
@stack_options
def show(function: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a scoring function: what it reads and answers, and its params."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.scoring_functions.get(function)
    print_json(view) if as_json else click.echo("\n".join(output.function_lines(view)))
