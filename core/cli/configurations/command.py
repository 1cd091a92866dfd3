"""`llambda configurations`: override settings of a running stack's run config, over HTTP."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.configurations import output
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import Columns, clip_table
from core.cli.terminal import show as show_text

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


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda configurations {line}\n"


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Reconfigure a running stack, without a restart.

    Registered versions override settings of the run config's providers. A new version is the one in force with FILE merged
    into it; every environment has it within configurations.refresh_seconds of the run config.
    """


@command.command(epilog=_example("inspect > mine.yaml"))
@stack_options
def inspect(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show the settings in force that a user may change.

    The output can be edited and registered. Secrets are masked; a mask that is registered changes nothing.
    """
    with open_client(**stack) as client:
        view = client.configurations.inspect()
    print_json(view) if as_json else click.echo(output.inspection_text(view), nl=False)


@command.command("list", epilog=_example("list"))
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List the versions, and what each sets; * is in force."""
    _show_all(stack, output.LIST, output.list_row, as_json=as_json)


@command.command(epilog=_example("history"))
@stack_options
def history(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show when each version was registered, by whom and why; * is in force."""
    _show_all(stack, output.HISTORY, output.history_row, as_json=as_json)


@command.command(epilog=_example("get 3"))
@click.argument("identifier", metavar="ID")
@stack_options
def get(identifier: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show one version: what it overrides in the run config."""
    with open_client(**stack) as client:
        version = client.configurations.get(identifier)
    print_json(version) if as_json else click.echo(output.version_text(version), nl=False)


@command.command(epilog=REGISTER)
@click.option("--config", "file", metavar="FILE", required=True, help="YAML or JSON; - is the standard input.")
@click.option("--dry-run", is_flag=True, help="Only report what would happen.")
@click.option("--force", is_flag=True, help="Do not check first that the changed providers answer.")
@stack_options
def register(file: str, *, dry_run: bool, force: bool, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Merge FILE into what is in force, and put that in force.

    FILE is as `inspect` prints it, or a part of that. A field that is null goes back to what the run config says.
    """
    from core.cli.configurations.file import read

    config = read(file)
    _put(stack, lambda client: client.configurations.register(config, dry_run=dry_run, force=force), as_json=as_json)


@command.command(epilog=_example("revert 2"))
@click.argument("identifier", metavar="ID")
@stack_options
def revert(identifier: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Put an earlier version in force again, as a new one."""
    _put(stack, lambda client: client.configurations.revert(identifier), as_json=as_json)


@command.command(epilog=_example("unregister 3"))
@click.argument("identifier", metavar="ID")
@stack_options
def unregister(identifier: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Remove a version.

    If it is the one in force, only the run config's file is in force from then on.
    """
    with open_client(**stack) as client:
        active = client.configurations.get(identifier)["active"]
        client.configurations.unregister(identifier)
    if as_json:
        print_json({"identifier": identifier, "was_active": active})
        return
    effect = "Only the run config's file is in force now." if active else "It was not in force: nothing else changes."
    show_text(f"Unregistered {identifier}. {effect}")


@command.command(epilog=DIFF)
@click.argument("one", metavar="[A]", required=False, default=THE_FILE)
@click.argument("other", metavar="[B]", required=False)
@stack_options
def diff(one: str, other: str | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Compare what two versions override in the run config.

    A is a version, or `file` for the run config's file (the default); so is B, whose default is what is in force.
    """
    with open_client(**stack) as client:
        old, new = _version(client, one), _version(client, other)
    if as_json:
        print_json({"from": old[0], "to": new[0], "changes": output.changes(old[1], new[1])})
    else:
        click.echo(output.diff_text(old, new), nl=False)


def _show_all(
    stack: StackOptions, columns: Columns, row: "Callable[[Configuration], list[str]]", *, as_json: bool
) -> None:
    with open_client(**stack) as client:
        versions = list(_pages(client))
    if as_json:
        print_json(versions)
    elif not versions:
        click.echo(f"no configurations: {output.FILE_ALONE}")
    else:
        print("\n".join(clip_table(columns, map(row, versions))))


def _pages(client: "Client") -> "Iterator[Configuration]":
    before, more = None, True
    while more:
        page = client.configurations.list(before=before, limit=PAGE)
        yield from page["data"]
        before, more = page["last_id"], page["has_more"] and bool(page["data"])


def _put(stack: StackOptions, work: "Callable[[Client], Registered]", *, as_json: bool) -> None:
    with open_client(**stack) as client:
        before = None if as_json else _in_force(client)
        reply = work(client)
    print_json(reply) if as_json else show_text("\n".join(output.registration_lines(reply, before)))


def _in_force(client: "Client") -> output.Before | None:
    """None if the caller may register but not read, or if the version goes away while it is read."""
    from core.client.failures import ApiFailed

    try:
        view = client.configurations.inspect()
        version = view["version"]
        config: Providers = client.configurations.get(version)["config"] if version else {"providers": {}}
    except ApiFailed as failure:
        if failure.status not in {403, 404}:
            raise
        return None
    return output.Before(version, config, view["refresh_seconds"])


def _version(client: "Client", name: str | None) -> "tuple[str, Providers]":
    version = str(client.configurations.inspect()["version"]) if name is None else name
    if version in {THE_FILE, "0"}:
        return "the run config's file", {"providers": {}}
    return f"version {version}", client.configurations.get(version)["config"]
