"""`llambda files`: the files of a running stack, over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.files import output
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clip_table

if TYPE_CHECKING:
    from core.apis.answers.files import FileObject
    from core.client.api import Client

PAGE: Final = 1000
LISTING: Final = "llambda files list"
DAY: Final = 86_400
PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
EXAMPLES: Final = """\
\b
Examples:
  llambda files upload handbook.pdf
  llambda files upload notes/*.md --days 7
  llambda files list --purpose batch
  llambda files get file-4f1c --out handbook.pdf
  llambda files delete file-4f1c
"""
UPLOAD: Final = """\
\b
Examples:
  llambda files upload handbook.pdf
  llambda files upload rows.jsonl --purpose batch --days 1
  llambda files upload handbook.pdf --json | jq -r '.[0].id'
"""
DELETE: Final = """\
\b
Examples:
  llambda files delete file-4f1c file-77ab
  llambda files delete --all --yes
"""
GET: Final = """\
\b
Examples:
  llambda files get file-4f1c
  llambda files get file-4f1c --out handbook.pdf
  llambda files get file-4f1c --out - | less
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Upload, list, get and delete files of a running stack.

    Other APIs read them, as vector stores do.
    """


@command.command(epilog=UPLOAD)
@click.argument(
    "paths",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
)
@click.option(
    "--purpose",
    metavar="NAME",
    type=click.Choice(PURPOSES),
    default="assistants",
    show_default=True,
    help=f"What it is for: {', '.join(PURPOSES[:-1])} or {PURPOSES[-1]}.",
)
@click.option("--days", metavar="N", type=click.IntRange(1, 30), help="Keep it N days.")
@stack_options
def upload(
    paths: tuple[Path, ...], purpose: str, days: int | None, *, as_json: bool, **stack: Unpack[StackOptions]
) -> None:
    """Upload files.

    One that is too large for a request goes to a URL of the storage, or in parts, by itself.
    """
    files: list[FileObject] = []
    with open_client(**stack) as client:
        for path in paths:
            files.append(upload_file(client, path, purpose=purpose, seconds=None if days is None else days * DAY))
            if not as_json:
                click.echo(output.line(files[-1]))
    if as_json:
        print_json(files)


@command.command(
    "list", epilog="\b\nExamples:\n  llambda files list\n  llambda files list --purpose batch --limit 500\n"
)
@click.option("--purpose", metavar="NAME", type=click.Choice(PURPOSES), help="Only files for this.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most N files."
)
@stack_options
def list_(purpose: str | None, limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your files, newest first."""
    with open_client(**stack) as client:
        files = list(_pages(client, purpose, limit))
    if as_json:
        print_json(files)
    elif not files:
        click.echo("no files")
    else:
        print("\n".join(clip_table(output.LIST, map(output.list_row, files))))


@command.command(epilog=GET)
@click.argument("file", metavar="ID")
@click.option("--out", metavar="PATH", help="Write its content to a new file; - prints it.")
@stack_options
def get(file: str, out: str | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a file, or fetch its content."""
    with open_client(**stack, listing=LISTING) as client:
        if out is not None:
            _write(client.files.content(file), out)
            return
        shown = client.files.get(file)
    print_json(shown) if as_json else click.echo("\n".join(output.file_lines(shown)))


@command.command(epilog=DELETE)
@click.argument("files", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Delete all your files.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@stack_options
def delete(
    files: tuple[str, ...], *, everything: bool, yes: bool, as_json: bool, **stack: Unpack[StackOptions]
) -> None:
    """Delete files, with their content."""
    if everything == bool(files):
        raise click.UsageError("Name files, or give --all.")
    if everything and not yes:
        click.confirm("Delete all your files?", abort=True, err=True)
    deleted: list[str] = []
    with open_client(**stack, listing=LISTING) as client:
        for file in (each["id"] for each in list(_pages(client, None, sys.maxsize))) if everything else files:
            deleted.append(client.files.delete(file)["id"])
            if not as_json:
                click.echo(f"deleted {deleted[-1]}")
    if as_json:
        print_json(deleted)
    elif not deleted:
        click.echo("no files")


def upload_file(client: "Client", path: Path, *, purpose: str, seconds: int | None = None) -> "FileObject":
    """The file, once it is whole there; on a terminal its progress is shown."""
    progress = output.Progress(sys.stderr, path.name, path.stat().st_size)
    try:
        return client.files.upload(path, purpose=purpose, seconds=seconds, progress=progress.show)
    finally:
        progress.close()


def _write(chunks: Iterator[bytes], out: str) -> None:
    """To a new file, whole or not at all."""
    if out == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        return
    path = Path(out)
    with path.open("xb") as target, ExitStack() as stack:
        stack.callback(path.unlink)
        target.writelines(chunks)
        stack.pop_all()


def _pages(client: "Client", purpose: str | None, limit: int) -> "Iterator[FileObject]":
    after, more = None, True
    while more and limit > 0:
        page = client.files.list(purpose=purpose, after=after, limit=min(limit, PAGE))
        yield from page["data"]
        limit -= len(page["data"])
        after, more = page["last_id"], page["has_more"]
