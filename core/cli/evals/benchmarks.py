"""`llambda benchmarks`: what models are evaluated by, in a running stack, over HTTP."""

from typing import Final, Unpack

import click

from core.cli.evals import output
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clean, clip_table

LISTING: Final = "llambda benchmarks list"
EXAMPLES: Final = """\
\b
Examples:
  llambda benchmarks list
  llambda benchmarks register mine --dataset questions \\
    --scoring basic::subset_of
  llambda benchmarks delete mine
"""


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda benchmarks {line}\n"


class Judged(StackOptions):
    dataset: str
    scoring: tuple[str, ...]
    provider: str | None


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, register and delete benchmarks of a running stack.

    A benchmark is a dataset, with the functions that score each answer.
    """


@command.command("list", epilog=_example("list --json | jq -r '.[].identifier'"))
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List the benchmarks that you may use."""
    with open_client(**stack) as client:
        benchmarks = client.benchmarks.list()
    if as_json:
        print_json(benchmarks)
    elif not benchmarks:
        click.echo("no benchmarks")
    else:
        print("\n".join(clip_table(output.BENCHMARKS, map(output.benchmark_row, benchmarks))))


@command.command(epilog=_example("show basics"))
@click.argument("benchmark", metavar="ID")
@stack_options
def show(benchmark: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a benchmark: its dataset, and what scores its rows."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.benchmarks.get(benchmark)
    print_json(view) if as_json else click.echo("\n".join(output.benchmark_lines(view)))


@command.command(epilog=_example("register mine --dataset questions --scoring judge"))
@click.argument("benchmark", metavar="ID")
@click.option("--dataset", metavar="ID", required=True, help="The dataset whose rows are asked.")
@click.option("--scoring", metavar="ID", multiple=True, required=True, help="A function that scores (repeatable).")
@click.option("--provider", metavar="ID", help="The provider that evaluates; else the only one.")
@stack_options
def register(benchmark: str, *, as_json: bool, **options: Unpack[Judged]) -> None:
    """Make a benchmark of a dataset and scoring functions."""
    with open_client(options["url"], options.get("api_key"), listing="llambda datasets list") as client:
        client.benchmarks.register(
            benchmark_id=benchmark,
            dataset_id=options["dataset"],
            scoring_functions=list(options["scoring"]),
            provider_id=options["provider"],
        )
        view = client.benchmarks.get(benchmark)
    print_json(view) if as_json else click.echo(clean(f"registered {view['identifier']}"))


@command.command(epilog=_example("delete mine"))
@click.argument("benchmarks", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(benchmarks: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete benchmarks; their datasets stay."""
    with open_client(**stack, listing=LISTING) as client:
        for benchmark in benchmarks:
            client.benchmarks.unregister(benchmark)
            if not as_json:
                click.echo(f"deleted {clean(benchmark)}")
    if as_json:
        print_json(list(benchmarks))
