"""`llambda providers list`, `show`, `check` and `new`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from core.cli.logs import log_as_asked
from core.cli.options import Pairs, config_option, env_option, json_option, print_json
from core.cli.providers.new import APIS, Wanted, fault_of, files, write
from core.config import distributions
from core.platform import environment

if TYPE_CHECKING:
    from core.config.load import Loaded
    from core.frame.types import JsonObject

EXAMPLES: Final = """\
\b
Examples:
  llambda providers list --api safety
  llambda providers show remote::vllm
  llambda providers check --config run.yaml
  llambda providers new acme --api inference
  llambda providers new judge --api safety --inline --dir ~/src
"""
WIDTH: Final = 80


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, show, check and write provider types.

    A run config adds types of its own by external_providers_dir, and by the
    module of an entry.
    """


def _loaded(config: str, env: Pairs) -> "Loaded":
    from core.config.load import load

    environment.set_variables(dict(env))
    return load(distributions.find(config), environment.environ())


@command.command("list", epilog=EXAMPLES)
@click.option("--api", type=click.Choice(APIS), help="Only the types of this API.")
@config_option()
@env_option
@json_option
def list_types(api: str | None, config: str, env: Pairs, *, as_json: bool) -> None:
    """List the provider types, and where each is from."""
    from core.cli.providers.types import as_json as shown
    from core.cli.providers.types import known_types

    specs, problems = known_types(_loaded(config, env))
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    rows = [shown(spec) for key, spec in sorted(specs.items()) if api in (None, key[0])]
    if as_json:
        print_json(rows)
        return
    width = max((len(row["provider_type"]) for row in rows), default=0)
    for row in rows:
        print(f"{row['api']:<9}  {row['provider_type']:<{width}}  {row['from']}")


@command.command(epilog=EXAMPLES)
@click.argument("provider_type", metavar="TYPE", help="As in a run config.")
@click.option("--api", type=click.Choice(APIS), help="Only this API's, where several have the type.")
@config_option()
@env_option
@json_option
def show(provider_type: str, api: str | None, config: str, env: Pairs, *, as_json: bool) -> None:
    """Show a provider type: where it is from, and the fields of its config.

    A field that is a user's may be changed while the stack runs.
    """
    from core.cli.providers.types import details, known_types
    from core.platform.suggestions import did_you_mean
    from core.resolution.external.boundary import Unusable

    specs, _ = known_types(_loaded(config, env))
    exact = [spec for (of, name), spec in specs.items() if name == provider_type and api in (None, of)]
    if not exact:
        known = {name for _, name in specs}
        message = f"there is no provider type `{provider_type}`{did_you_mean(provider_type, known)}"
        raise click.UsageError(f"{message} (llambda providers list)")
    try:
        shown = [details(spec) for spec in exact]
    except (Unusable, ImportError) as wrong:
        raise click.UsageError(f"`{provider_type}` cannot be loaded: {wrong}") from None
    if as_json:
        print_json(shown)
    else:
        print("\n".join(_page(each) for each in shown), end="")


def _page(shown: "JsonObject") -> str:
    lines = [f"{shown['provider_type']} ({shown['api']})", f"  from: {shown['from']}", f"  module: {shown['module']}"]
    for name in ("api_dependencies", "optional_api_dependencies", "pip_packages"):
        lines += [f"  {name}: {', '.join(shown[name])}"] if shown[name] else []
    for name in ("provider_data_validator", "container_image"):
        lines += [f"  {name}: {shown[name]}"] if shown[name] else []
    lines += ["  config:"] if shown["fields"] else ["  config: none"]
    return "\n".join([*lines, *(_field(each) for each in shown["fields"])]) + "\n"


def _field(field: "JsonObject") -> str:
    import json

    said = "required" if field["required"] else f"default {json.dumps(field['default'])}"
    said = "secret, " + ("required" if field["required"] else "optional") if field["secret"] else said
    marks = f"{field['type']}, {said}{', user field' if field['user_field'] else ''}"
    text = click.wrap_text(f"{field['name']}: {marks}", WIDTH, "    ", "      ")
    if not field["description"]:
        return text
    return f"{text}\n{click.wrap_text(field['description'], WIDTH, '      ', '      ')}"


@command.command(epilog=EXAMPLES)
@config_option()
@env_option
@json_option
def check(config: str, env: Pairs, *, as_json: bool) -> None:
    """Load and make each external provider of a run config.

    One verdict each; the exit code is 2 if something is wrong. Nothing is
    served, and no remote is asked unless a provider asks it when it is made.
    """
    from core.cli.providers.check import verdicts

    log_as_asked()
    found, others = asyncio.run(verdicts(_loaded(config, env)))
    wrong = bool(others) or any(verdict.problems for verdict in found)
    if as_json:
        rest = [{"path": problem.path, "message": problem.message} for problem in others]
        print_json({"ok": not wrong, "providers": [verdict.as_json() for verdict in found], "problems": rest})
    else:
        for verdict in found:
            word = "wrong" if verdict.problems else "ok"
            print(f"{word:<5}  {verdict.entry.provider_id}  {verdict.entry.provider_type}  ({verdict.origin})")
            for line in (*verdict.problems, *verdict.notes):
                print(f"       {line}")
        for problem in others:
            print(f"wrong  {problem}")
        if not found and not others:
            print("no external providers")
    if wrong:
        raise click.exceptions.Exit(2)


@command.command(epilog=EXAMPLES)
@click.argument("name", help="As acme: the type is then remote::acme, the folder acme.")
@click.option("--api", type=click.Choice(APIS), required=True, help="What it provides.")
@click.option("--inline", is_flag=True, help="It runs within the stack, and calls no remote.")
@click.option(
    "--dir", "parent", type=click.Path(path_type=Path), default=Path(), help="Where to put it (default: here)."
)
@json_option
def new(name: str, api: str, parent: Path, *, inline: bool, as_json: bool) -> None:
    """Write a provider package that works, with its tests.

    It is a folder of its own, which is never written over.
    """
    wanted = Wanted(name, api, "inline" if inline else "remote")
    if (fault := fault_of(wanted)) is not None:
        raise click.UsageError(fault)
    folder, texts = parent.expanduser() / name, files(wanted)
    try:
        write(folder, texts)
    except FileExistsError:
        raise click.UsageError(f"{folder} is there already; choose another name, or another --dir") from None
    if as_json:
        print_json({"folder": str(folder), "provider_type": wanted.provider_type, "files": sorted(texts)})
        return
    print(f"wrote {folder} ({wanted.provider_type}, {len(texts)} files). Next:\n")
    print(f"  cd {folder}\n  uv pip install --no-build-isolation -e .\n  python -m pytest")
    print("  llambda providers check --config run.yaml\n  llambda serve run.yaml")
