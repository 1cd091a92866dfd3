"""`llambda batch`: files of requests that a running stack answers line by line, over HTTP."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.batch import output
from core.cli.batch.submitting import DatasetSubmission, Submission, submit_dataset, submit_file
from core.cli.batch.waiting import fetch_files, wait_for
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clip_table

if TYPE_CHECKING:
    from core.apis.answers.batches import Batch
    from core.client.api import Client

PAGE: Final = 100
LISTING: Final = "llambda batch list"
EXAMPLES: Final = """\
\b
Examples:
  llambda batch submit rows.jsonl --wait --out answers
  llambda batch list
  llambda batch watch batch_4f1c --out answers
  llambda batch cancel batch_4f1c
"""
ENDED: Final = """\
\b
Exit codes:
  0  the batch completed; lines that were refused are in its error file
  1  it failed, was cancelled or expired
"""
SUBMIT: Final = f"""\
\b
Examples:
  llambda batch submit rows.jsonl
  llambda batch submit rows.jsonl --wait --out answers
  llambda batch submit rows.jsonl --new --metadata run=2 --json | jq -r .id
  llambda batch submit --dataset questions --template line.json --wait
{ENDED}"""
WATCH: Final = f"""\
\b
Examples:
  llambda batch watch batch_4f1c --out answers
{ENDED}"""
FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
out_option = click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Fetch what came of it to this folder.",
)


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda batch {line}\n"


class SubmitOptions(StackOptions):
    """Which batch, and what to do about it."""

    dataset: str | None
    template: Path | None
    output_dataset: str | None
    endpoint: str | None
    new: bool
    wait: bool
    out: Path | None


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Have files of requests answered by a running stack.

    A line of the file is a request, a line of the output its answer.
    """


@command.command(epilog=SUBMIT)
@click.argument("file", metavar="[FILE]", required=False, type=FILE)
@click.option("--dataset", metavar="ID", help="In the place of FILE: a dataset, each of whose rows makes a line.")
@click.option(
    "--template", metavar="FILE", type=FILE, help="The line, as JSON; `{{column}}` in its strings is the row's column."
)
@click.option("--output-dataset", metavar="ID", help="Make a dataset of the rows with their answers, too.")
@click.option("--endpoint", metavar="PATH", help="What the lines ask (default: the `url` of the first line).")
@click.option("--metadata", metavar="KEY=VALUE", multiple=True, help="What to keep with it; may be repeated.")
@click.option("--new", is_flag=True, help="Another batch, although this one was submitted before.")
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
@out_option
@stack_options
def submit(file: Path | None, metadata: tuple[str, ...], *, as_json: bool, **options: Unpack[SubmitOptions]) -> int:
    """Submit a file of requests, or a dataset with a template of them.

    The same again goes on with the batch of before, so that a command that was interrupted can be given again.
    """
    submission = _submission(file, output.pairs_of(metadata), options)
    with open_client(options["url"], options.get("api_key")) as client:
        if isinstance(submission, Submission):
            batch = submit_file(client, submission, new=options["new"])
        else:
            batch = submit_dataset(client, submission, new=options["new"])
        if options["wait"] or options["out"] is not None:
            return _watch(client, batch, options["out"], as_json=as_json)
    print_json(batch) if as_json else click.echo(output.status_line(batch))
    return 0


def _submission(
    file: Path | None, metadata: Mapping[str, str], options: SubmitOptions
) -> Submission | DatasetSubmission:
    """Raises click.UsageError for what does not go together."""
    dataset, template, endpoint = options["dataset"], options["template"], options["endpoint"]
    match file, dataset, template:
        case Path(), None, None if options["output_dataset"] is None:
            return Submission(file, endpoint or output.endpoint_of(file), metadata)
        case None, str(), Path():
            from core.client.batches import DatasetInput

            line = output.template_of(template)
            source = DatasetInput(dataset, line, options["output_dataset"])
            return DatasetSubmission(source, endpoint or output.endpoint_for(line, template), metadata)
        case _:
            raise click.UsageError(
                "Name a file of lines, or --dataset with --template, and --output-dataset with them."
            )


@command.command("list", epilog=_example("list --limit 50"))
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most N batches."
)
@stack_options
def list_(limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your batches, newest first."""
    with open_client(**stack) as client:
        batches = list(_pages(client, limit))
    if as_json:
        print_json(batches)
    elif not batches:
        click.echo("no batches")
    else:
        print("\n".join(clip_table(output.LIST, map(output.list_row, batches))))


@command.command(epilog=_example("show batch_4f1c"))
@click.argument("batch", metavar="ID")
@stack_options
def show(batch: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a batch: how far it is, what it used, what is wrong with its file."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.batches.get(batch)
    print_json(view) if as_json else click.echo("\n".join(output.batch_lines(view)))


@command.command(epilog=WATCH)
@click.argument("batch", metavar="ID")
@out_option
@stack_options
def watch(batch: str, out: Path | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> int:
    """Wait until a batch has ended, and show what came of it."""
    with open_client(**stack, listing=LISTING) as client:
        return _watch(client, client.batches.get(batch), out, as_json=as_json)


@command.command(epilog=_example("cancel batch_4f1c"))
@click.argument("batch", metavar="ID")
@stack_options
def cancel(batch: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Stop a batch; what was answered is kept."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.batches.cancel(batch)
    print_json(view) if as_json else click.echo(output.status_line(view))


def _pages(client: "Client", limit: int) -> "Iterator[Batch]":
    after, rest, more = None, limit, True
    while more and rest > 0:
        page = client.batches.list(after=after, limit=min(rest, PAGE))
        yield from page["data"]
        rest -= len(page["data"])
        after, more = page["last_id"], page["has_more"]


def _watch(client: "Client", batch: "Batch", out: Path | None, *, as_json: bool) -> int:
    """Whether it did not complete, as an exit code."""
    batch = wait_for(client, batch)
    files = [] if out is None else fetch_files(client, batch, out)
    if as_json:
        print_json(batch)
    else:
        click.echo("\n".join([*output.batch_lines(batch), *(f"wrote     {path}" for path in files)]))
    return 0 if batch["status"] == "completed" else 1
