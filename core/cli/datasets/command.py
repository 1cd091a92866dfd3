"""`llambda datasets`: rows for evaluations and batches, in a running stack, over HTTP."""

from collections.abc import Iterable
from contextlib import ExitStack
import json
from pathlib import Path
import sys
from time import sleep
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.datasets import output
from core.cli.datasets.source import PURPOSES, is_uri, name_of, pieces_of, purpose_of, read_rows, source_of
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clean, clip_table, say, ticking

if TYPE_CHECKING:
    from core.apis.answers.datasets import Dataset
    from core.client.api import Client

LISTING: Final = "llambda datasets list"
UNDER_WAY: Final = frozenset({"scheduled", "in_progress"})
FIRST_POLL: Final = 0.3  # seconds, between two looks at a dataset
LONGEST_POLL: Final = 5.0
FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
EXAMPLES: Final = """\
\b
Examples:
  llambda datasets push questions.jsonl
  llambda datasets head questions
  llambda datasets append questions more.jsonl
  llambda datasets pull questions --out questions.jsonl
  llambda datasets delete questions
"""
PUSH: Final = """\
\b
Examples:
  llambda datasets push questions.csv
  llambda datasets push chats.jsonl --id c2 --purpose eval/messages-answer
  llambda datasets push huggingface://datasets/ORG/NAME?split=test \\
    --id trivia --purpose eval/question-answer
\b
Exit codes:
  0  its rows can be read (--no-wait: it is registered)
  1  they could not be: the reason names the line
"""
PULL: Final = """\
\b
Examples:
  llambda datasets pull questions --out questions.jsonl
  llambda datasets pull questions | jq -r .question
"""


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda datasets {line}\n"


class PushOptions(StackOptions):
    """What a dataset is, beside its rows."""

    dataset: str | None
    purpose: str | None
    provider: str | None


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Push, read and delete datasets of a running stack.

    A row is a JSON object. Benchmarks evaluate rows, and batches ask each.
    """


@command.command(epilog=PUSH)
@click.argument("source", metavar="FILE|URI")
@click.option("--id", "dataset", metavar="ID", help="What it is called; else the name of the file.")
@click.option(
    "--purpose",
    metavar="NAME",
    type=click.Choice([name for name, _ in PURPOSES]),
    help=f"What it is for: {', '.join(name for name, _ in PURPOSES)}; else what its columns are for.",
)
@click.option("--provider", metavar="ID", help="The provider that reads it; else the one for such a URI.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until its rows are read in.")
@stack_options
def push(source: str, *, wait: bool, as_json: bool, **options: Unpack[PushOptions]) -> int:
    """Make a dataset of a file (.jsonl, .json, .csv, .parquet) or of a URI.

    A URI is read by the stack: https://, s3://, huggingface://, lsfs://, or the id of a file that was uploaded.
    """
    path = None if is_uri(source) else _file(source)
    purpose = options["purpose"] or (None if path is None else purpose_of(path))
    if purpose is None:
        raise click.UsageError("Say with --purpose what the rows of a URI are for.")
    with open_client(options["url"], options.get("api_key")) as client:
        dataset = client.datasets.register(
            purpose=purpose,
            source={"type": "uri", "uri": source} if path is None else source_of(client, path),
            dataset_id=options["dataset"] or (None if path is None else name_of(path)),
            provider_id=options["provider"],
        )
        if wait:
            dataset = _wait(client, dataset)
    print_json(dataset) if as_json else click.echo(output.dataset_line(dataset))
    if reason := dataset["metadata"].get("import_error"):
        say(clean(f"Error: its rows could not be read: {reason}"))
        return 1
    return 0


@command.command("list", epilog=_example("list --json | jq -r '.[].identifier'"))
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List the datasets that you may use."""
    with open_client(**stack) as client:
        datasets = client.datasets.list()
    if as_json:
        print_json(datasets)
    elif not datasets:
        click.echo("no datasets")
    else:
        print("\n".join(clip_table(output.LIST, map(output.list_row, datasets))))


@command.command(epilog=_example("show questions"))
@click.argument("dataset", metavar="ID")
@stack_options
def show(dataset: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show what a dataset is, and how far its import is."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.datasets.get(dataset)
    print_json(view) if as_json else click.echo("\n".join(output.dataset_lines(view)))


@command.command(epilog=_example("head questions --rows 3"))
@click.argument("dataset", metavar="ID")
@click.option(
    "--rows", "count", metavar="N", type=click.IntRange(1, 1000), default=10, show_default=True, help="N rows."
)
@click.option("--start", metavar="N", type=click.IntRange(0), default=0, help="From row N; the first is 0.")
@stack_options
def head(dataset: str, count: int, start: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show some rows."""
    with open_client(**stack, listing=LISTING) as client:
        rows = list(client.datasets.rows(dataset, start, count))
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no rows")
    else:
        print("\n".join(line for number, row in enumerate(rows, start) for line in output.row_lines(number, row)))


@command.command(epilog=PULL)
@click.argument("dataset", metavar="ID")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write a new file, instead of printing.")
@stack_options
def pull(dataset: str, out: Path | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Fetch all rows, a JSON object in each line; --json: as one array."""
    with open_client(**stack, listing=LISTING) as client:
        rows = client.datasets.rows(dataset)
        if as_json and out is None:
            print_json(list(rows))
            return
        lines = (json.dumps(row, ensure_ascii=out is None).encode() + b"\n" for row in rows)
        _write(lines, out)


@command.command(epilog=_example("append questions more.jsonl"))
@click.argument("dataset", metavar="ID")
@click.argument("file", metavar="FILE", type=FILE)
@stack_options
def append(dataset: str, file: Path, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Add the rows of a .jsonl file behind those that are there."""
    from core.client.failures import ApiFailed, Unreachable

    count = 0
    with open_client(**stack, listing=LISTING) as client:
        for piece in pieces_of(iter([*read_rows(file)])):  # a line that is no row is told before anything is sent
            try:
                client.datasets.append(dataset, piece)
            except (ApiFailed, Unreachable):
                if count:
                    say(f"note: {count} rows were appended before this")
                raise
            count += len(piece)
    print_json({"dataset_id": dataset, "rows": count}) if as_json else click.echo(f"appended {count} rows")


@command.command(epilog=_example("delete questions chats-2"))
@click.argument("datasets", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(datasets: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete datasets with the stack's copy of their rows; sources stay."""
    with open_client(**stack, listing=LISTING) as client:
        for dataset in datasets:
            client.datasets.unregister(dataset)
            if not as_json:
                click.echo(f"deleted {clean(dataset)}")
    if as_json:
        print_json(list(datasets))


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise click.UsageError(f"{text} is no file, and no URI that a stack reads, as https://... or huggingface://...")
    return Path(text)


def _wait(client: "Client", dataset: "Dataset") -> "Dataset":
    """Once its import has ended."""
    if dataset["metadata"].get("import_status") not in UNDER_WAY:
        return dataset
    pause = FIRST_POLL
    with ticking(clean(f"{dataset['identifier']}: its rows are read in ...")):
        while dataset["metadata"].get("import_status") in UNDER_WAY:
            sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL)
            dataset = client.datasets.get(dataset["identifier"])
    return dataset


def _write(lines: Iterable[bytes], out: Path | None) -> None:
    """To a new file, whole or not at all."""
    if out is None:
        for line in lines:
            sys.stdout.write(line.decode())
        return
    with out.open("xb") as target, ExitStack() as stack:
        stack.callback(out.unlink)
        target.writelines(lines)
        stack.pop_all()
