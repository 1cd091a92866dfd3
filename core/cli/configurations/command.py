"""`llambda configurations`: what is laid over the run config of a running stack, over HTTP."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict, Unpack

import click

from core.cli.configurations import output as shown
from core.cli.options import json_option, print_json
from core.cli.remote import api_key_option, reaching, url_option

if TYPE_CHECKING:
    from core.client.answers import Configuration, Providers, Registered
    from core.client.api import Client

PAGE: Final = 100
THE_FILE: Final = "file"
EXAMPLES: Final = """\
\b
Examples:
  llambda configurations inspect > mine.yaml
  llambda configurations register --config mine.yaml --dry-run
  llambda configurations diff
  llambda configurations revert 2
"""
REGISTER: Final = """\
\b
Examples:
  llambda configurations register --config mine.yaml
  llambda configurations register --config mine.yaml --dry-run
  cat mine.json | llambda configurations register --config -
"""
DIFF: Final = """\
\b
Examples:
  llambda configurations diff         the file against what is in force
  llambda configurations diff 2       version 2 against what is in force
  llambda configurations diff 2 file  version 2 against the file
"""


class Where(TypedDict, total=False):
    """Which stack, and who asks."""

    url: Required[str]
    api_key: str | None


def _asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of Where, and --json."""
    return url_option(api_key_option(json_option(function)))


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda configurations {line}\n"


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Reconfigure a running stack, without a restart.

    Registered versions lie over the providers of its run config. Each is made of the one in force and what is registered
    over it; every environment has it within the run config's configurations.refresh_seconds.
    """


@command.command(epilog=_example("inspect > mine.yaml"))
@_asking
def inspect(*, as_json: bool, **where: Unpack[Where]) -> None:
    """Show what is in force, as far as a user may set it.

    What it prints can be edited and registered. Secrets are masked; a mask that is registered changes nothing.
    """
    with reaching(**where) as client:
        found = client.configurations.inspect()
    print_json(found) if as_json else click.echo(shown.inspected(found), nl=False)


@command.command("list", epilog=_example("list"))
@_asking
def list_(*, as_json: bool, **where: Unpack[Where]) -> None:
    """List the versions, and what each sets; * is in force."""
    _show_all(where, shown.LIST, shown.listed, as_json=as_json)


@command.command(epilog=_example("history"))
@_asking
def history(*, as_json: bool, **where: Unpack[Where]) -> None:
    """Show when each version came, from whom and why; * is in force."""
    _show_all(where, shown.HISTORY, shown.happened, as_json=as_json)


@command.command(epilog=_example("get 3"))
@click.argument("identifier", metavar="ID")
@_asking
def get(identifier: str, *, as_json: bool, **where: Unpack[Where]) -> None:
    """Show one version: what it lays over the run config."""
    with reaching(**where) as client:
        found = client.configurations.get(identifier)
    print_json(found) if as_json else click.echo(shown.version(found), nl=False)


@command.command(epilog=REGISTER)
@click.option("--config", "file", metavar="FILE", required=True, help="YAML or JSON; - is the standard input.")
@click.option("--dry-run", is_flag=True, help="Only say what would become of it.")
@click.option("--force", is_flag=True, help="Do not ask the changed providers whether they serve.")
@_asking
def register(file: str, *, dry_run: bool, force: bool, as_json: bool, **where: Unpack[Where]) -> None:
    """Merge FILE into what is in force, and put that in force.

    FILE is as `inspect` prints it, or a part of that. A field that is null goes back to what the run config says.
    """
    from core.cli.configurations.file import read

    config = read(file)
    _put(where, lambda client: client.configurations.register(config, dry_run=dry_run, force=force), as_json=as_json)


@command.command(epilog=_example("revert 2"))
@click.argument("identifier", metavar="ID")
@_asking
def revert(identifier: str, *, as_json: bool, **where: Unpack[Where]) -> None:
    """Put an earlier version in force again, as a new one."""
    _put(where, lambda client: client.configurations.revert(identifier), as_json=as_json)


@command.command(epilog=_example("unregister 3"))
@click.argument("identifier", metavar="ID")
@_asking
def unregister(identifier: str, *, as_json: bool, **where: Unpack[Where]) -> None:
    """Remove a version.

    If it is the one in force, the run config's file holds alone from then on.
    """
    with reaching(**where) as client:
        active = client.configurations.get(identifier)["active"]
        client.configurations.unregister(identifier)
    if as_json:
        print_json({"identifier": identifier, "was_active": active})
        return
    then = "The run config's file holds alone again." if active else "It was not in force: nothing else changes."
    click.echo(f"Unregistered {identifier}. {then}")


@command.command(epilog=DIFF)
@click.argument("one", metavar="[A]", required=False, default=THE_FILE)
@click.argument("other", metavar="[B]", required=False)
@_asking
def diff(one: str, other: str | None, *, as_json: bool, **where: Unpack[Where]) -> None:
    """Compare what two versions lay over the run config.

    A is a version, or `file` for the run config's file (the default); so is B, whose default is what is in force.
    """
    with reaching(**where) as client:
        old, new = _version(client, one), _version(client, other)
    if as_json:
        print_json({"from": old[0], "to": new[0], "changes": shown.changes(old[1], new[1])})
    else:
        click.echo(shown.compared(old, new), nl=False)


def _show_all(
    where: Where, columns: shown.Columns, row: "Callable[[Configuration], list[str]]", *, as_json: bool
) -> None:
    with reaching(**where) as client:
        found = list(_all(client))
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no configurations: the run config's file holds alone")
    else:
        click.echo("\n".join(shown.table(columns, map(row, found))))


def _all(client: "Client") -> "Iterator[Configuration]":
    before, more = None, True
    while more:
        page = client.configurations.list(before=before, limit=PAGE)
        yield from page["data"]
        before, more = page["last_id"], page["has_more"] and bool(page["data"])


def _put(where: Where, work: "Callable[[Client], Registered]", *, as_json: bool) -> None:
    with reaching(**where) as client:
        before = None if as_json else _in_force(client)
        made = work(client)
    print_json(made) if as_json else click.echo("\n".join(shown.registered(made, before)))


def _in_force(client: "Client") -> shown.Before | None:
    """None for who may register and not read, and where it goes at this moment."""
    from core.client.failures import ApiFailed

    try:
        found = client.configurations.inspect()
        version = found["version"]
        config: Providers = client.configurations.get(version)["config"] if version else {"providers": {}}
    except ApiFailed as failure:
        if failure.status not in {403, 404}:
            raise
        return None
    return shown.Before(version, config, found["refresh_seconds"])


def _version(client: "Client", name: str | None) -> "tuple[str, Providers]":
    """What it is called, and what it lays over the run config; None is what is in force."""
    version = str(client.configurations.inspect()["version"]) if name is None else name
    if version in {THE_FILE, "0"}:
        return "the run config's file", {"providers": {}}
    return f"version {version}", client.configurations.get(version)["config"]
