"""`llambda vector-stores`: the vector stores of a running stack, over HTTP."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.files.command import upload_file
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import Columns, clean, clip_table, ticking
from core.cli.vector_stores import copying, output

if TYPE_CHECKING:
    from core.apis.answers.vector_stores import VectorStoreFile
    from core.client.api import Client

FIRST_POLL: Final = 0.5  # seconds, between two looks at a file that is taken in
LONGEST_POLL: Final = 5.0
PURPOSE: Final = "assistants"
LISTING: Final = "llambda vector-stores list"
EXAMPLES: Final = """\
\b
Examples:
  llambda vector-stores create handbook
  llambda vector-stores add handbook handbook.pdf notes/*.md
  llambda vector-stores search handbook "days of holiday"
  llambda vector-stores list
  llambda vector-stores copy handbook handbook-s3 --provider vectors
  llambda vector-stores delete handbook
"""
CREATE: Final = """\
\b
Examples:
  llambda vector-stores create handbook
  llambda vector-stores create handbook --files handbook.pdf notes/*.md
  llambda vector-stores create drafts --days 7 --json | jq -r .id
"""
ADD: Final = """\
\b
Examples:
  llambda vector-stores add handbook handbook.pdf
  llambda vector-stores add vs_4f1c notes/*.md --attribute year=2026
  llambda vector-stores add handbook notes.md --json | jq -r '.[0].status'
\b
Exit codes:
  0  every file can be searched
  1  one could not be read or embedded; the others are there
"""
SEARCH: Final = """\
\b
Examples:
  llambda vector-stores search handbook "days of holiday"
  llambda vector-stores search handbook overtime --mode keyword --limit 3
  llambda vector-stores search handbook overtime --where year=2026
  llambda vector-stores search handbook overtime --ranker my-reranker
"""
LIST: Final = """\
\b
Examples:
  llambda vector-stores list
  llambda vector-stores list handbook --limit 500
"""

type Attribute = tuple[str, str | float | bool]
type Show = Callable[[str, "VectorStoreFile"], None]
"""Is told of each file, by its name, when it has been taken in or refused."""

FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


class NewStore(StackOptions):
    """What a store is made with, beside its name and its files."""

    model: str | None
    provider: str | None
    days: int | None


def read_attribute(text: str) -> Attribute:
    """Split KEY=VALUE, whose value is JSON where it is a number, a boolean or a text in quotes."""
    import json

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"`{text}` is no KEY=VALUE")
    try:
        read: object = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, str | int | float | bool) else value


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda vector-stores {line}\n"


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Make, fill, search, copy and delete vector stores of a running stack.

    A STORE is its id, or its name where no other has it.
    """


@command.command(epilog=CREATE)
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="[FILE]...", nargs=-1, type=FILE)
@click.option("--files", "more", metavar="FILE...", multiple=True, type=FILE, help="Files to add to it.")
@click.option(
    "--model", "--embedding-model", "model", metavar="ID", help="The embedding model; else the stack's default."
)
@click.option("--provider", metavar="ID", help="Where it is kept; else the stack's default.")
@click.option("--days", metavar="N", type=click.IntRange(1, 365), help="It ends N days after its last use.")
@stack_options
def create(
    name: str, paths: tuple[Path, ...], more: tuple[Path, ...], *, as_json: bool, **options: Unpack[NewStore]
) -> int:
    """Make a vector store, and add files to it."""
    days = options["days"]
    fields = {
        "embedding_model": options["model"],
        "provider_id": options["provider"],
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
    }
    with open_client(options["url"], options.get("api_key")) as client:
        store = client.vector_stores.create(name=name, **fields)
        if not as_json:
            click.echo(output.store_line(store))
        files = _add(client, store["id"], (*more, *paths), {}, _show(as_json=as_json))
        if as_json:
            print_json(client.vector_stores.get(store["id"]) if files else store)
    return _code(files)


@command.command(epilog=ADD)
@click.argument("store", metavar="STORE")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option(
    "--attribute",
    "attributes",
    metavar="KEY=VALUE",
    multiple=True,
    type=read_attribute,
    help="What searches may ask for: a text, a number, true or false (repeatable).",
)
@stack_options
def add(
    store: str,
    paths: tuple[Path, ...],
    attributes: tuple[Attribute, ...],
    *,
    as_json: bool,
    **stack: Unpack[StackOptions],
) -> int:
    """Upload files, and wait until they can be searched."""
    with open_client(**stack, listing=LISTING) as client:
        store_id = client.vector_stores.find(store)["id"]
        files = _add(client, store_id, paths, dict(attributes), _show(as_json=as_json))
    if as_json:
        print_json(files)
    return _code(files)


@command.command(epilog=SEARCH)
@click.argument("store", metavar="STORE")
@click.argument("query", metavar="TEXT")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 50), default=5, show_default=True, help="At most N chunks."
)
@click.option(
    "--mode",
    type=click.Choice(["vector", "keyword", "hybrid"]),
    help="By what the text means, by its words, or by both; else as the stack does it.",
)
@click.option("--ranker", metavar="ID", help="A rerank model, which ranks what was found; or `rrf` or `weighted`.")
@click.option(
    "--where",
    "--filter",
    "where",
    metavar="KEY=VALUE",
    multiple=True,
    type=read_attribute,
    help="Only in files with this attribute (repeatable: with all of them).",
)
@stack_options
def search(
    store: str,
    query: str,
    mode: str | None,
    where: tuple[Attribute, ...],
    *,
    as_json: bool,
    **options: Unpack["Ranked"],
) -> None:
    """Search a vector store, the best first."""
    equal = [{"type": "eq", "key": key, "value": value} for key, value in where]
    fields = {
        "max_num_results": options["limit"],
        "search_mode": mode,
        "ranking_options": {"ranker": options["ranker"]} if options["ranker"] else None,
        "filters": {"type": "and", "filters": equal} if equal else None,
    }
    with open_client(options["url"], options.get("api_key"), listing=LISTING) as client:
        page = client.vector_stores.search(client.vector_stores.find(store)["id"], query, **fields)
    if as_json:
        print_json(page)
    elif not page["data"]:
        click.echo("nothing was found")
    else:
        print("\n".join(line for result in page["data"] for line in output.result_lines(result)))


@command.command("list", epilog=LIST)
@click.argument("store", metavar="[STORE]", required=False)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most N."
)
@stack_options
def list_(store: str | None, limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List vector stores, or the files of one, newest first."""
    with open_client(**stack, listing=LISTING) as client:
        if store is None:
            stores = list(client.vector_stores.pages(limit))
            _print(stores, output.STORES, map(output.store_row, stores), as_json=as_json, nothing="no vector stores")
        else:
            files = list(client.vector_stores.files(client.vector_stores.find(store)["id"], limit))
            _print(files, output.FILES, map(output.file_row, files), as_json=as_json, nothing="no files")


@command.command(epilog=_example("delete handbook"))
@click.argument("stores", metavar="STORE...", nargs=-1, required=True)
@stack_options
def delete(stores: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete vector stores; the files in them stay."""
    deleted: list[str] = []
    with open_client(**stack, listing=LISTING) as client:
        for store in stores:
            deleted.append(client.vector_stores.delete(client.vector_stores.find(store)["id"])["id"])
            if not as_json:
                click.echo(f"deleted {deleted[-1]}")
    if as_json:
        print_json(deleted)


command.add_command(copying.command)


class Limited(StackOptions):
    limit: int


class Ranked(Limited):
    ranker: str | None


def _print(
    rows: Sequence[object], columns: Columns, cells: Iterable[Sequence[str]], *, as_json: bool, nothing: str
) -> None:
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(nothing)
    else:
        print("\n".join(clip_table(columns, cells)))


def _show(*, as_json: bool) -> Show:
    if as_json:
        return lambda _, __: None
    return lambda name, file: click.echo(output.file_line(name, file))


def _code(files: "Iterable[VectorStoreFile]") -> int:
    return int(any(file["status"] != "completed" for file in files))


def _add(
    client: "Client", store_id: str, paths: Iterable[Path], attributes: Mapping[str, Any], show: Show
) -> "list[VectorStoreFile]":
    files: list[VectorStoreFile] = []
    for path in paths:
        file_id = upload_file(client, path, purpose=PURPOSE)["id"]
        with ticking(f"{clean(path.name)}: reading and embedding ..."):
            files.append(_take_in(client, store_id, file_id, attributes))
        show(path.name, files[-1])
    return files


def _take_in(client: "Client", store_id: str, file_id: str, attributes: Mapping[str, Any]) -> "VectorStoreFile":
    """The file in the store, when it has ended. One that the store refuses is not left behind."""
    from core.client.failures import ApiFailed, Unreachable

    try:
        file = client.vector_stores.add(store_id, file_id, attributes)
    except ApiFailed:
        with suppress(ApiFailed, Unreachable):
            client.files.delete(file_id)
        raise
    pause = FIRST_POLL
    while file["status"] == "in_progress":
        sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL)
        file = client.vector_stores.file(store_id, file_id)
    return file
