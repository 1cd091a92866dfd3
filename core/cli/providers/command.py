"""`llambda providers list`, `show`, `check` and `new`."""

import asyncio
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Final, override

import click

from core.cli.logs import start_logging
from core.cli.options import Pairs, config_option, env_option, json_option, load_config, print_json
from core.cli.providers.new import APIS, NewPackage, fault_of, files, next_commands, write
from core.cli.terminal import paint, say, width_of
from core.cli.terminal import show as show_text
from core.platform.commands import path_word, program

if TYPE_CHECKING:
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


PROVIDED: Final = (*APIS, "webhooks")  # whose providers are the stack's own, so that none is written
OF_API: Final = click.Choice(PROVIDED)
NAMES: Final = f"{', '.join(PROVIDED[:-1])} or {PROVIDED[-1]}"
NEW_NAMES: Final = f"{', '.join(APIS[:-1])} or {APIS[-1]}"
NO_TEMPLATE: Final = (
    "webhooks are sent by the stack itself, and there is no template of a package that sends them: register an endpoint that hands on what it is sent "
    "(`llambda webhooks create URL`), or name a bus of EventBridge at `jobs.event_bus` of the run config"
)


class NewApi(click.Choice[str]):
    """One that there is a template for."""

    def __init__(self) -> None:
        super().__init__(APIS)

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == "webhooks":
            self.fail(NO_TEMPLATE, param, ctx)
        return super().convert(value, param, ctx)


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, show, check and write provider types.

    A run config adds types of its own with external_providers_dir, or with
    `module` on a provider's entry.
    """


@command.command("list", epilog=EXAMPLES)
@click.option("--api", type=OF_API, metavar="API", help=f"Only the types of this API: {NAMES}.")
@config_option()
@env_option
@json_option
def list_types(api: str | None, config: str, env: Pairs, *, as_json: bool) -> None:
    """List the provider types, and where each comes from."""
    from core.cli.providers.types import known_types, served_api, summary

    specs, problems = known_types(load_config(config, env)[1])
    for problem in problems:
        say(f"warning: {problem}")
    rows = [summary(spec) for key, spec in sorted(specs.items()) if served_api(api) in (None, key[0])]
    if as_json:
        print_json(rows)
        return
    width = max((len(row["provider_type"]) for row in rows), default=0)
    for row in rows:
        show_text(f"{row['api']:<9}  {row['provider_type']:<{width}}  {row['from']}")


@command.command(epilog=EXAMPLES)
@click.argument("provider_type", metavar="TYPE", help="As in a run config.")
@click.option("--api", type=OF_API, metavar="API", help="Only this API's, where several have the type.")
@config_option()
@env_option
@json_option
def show(provider_type: str, api: str | None, config: str, env: Pairs, *, as_json: bool) -> None:
    """Show a provider type: where it comes from, and the fields of its config.

    A user field may be changed while the stack runs.
    """
    from core.cli.providers.types import details, known_types, served_api
    from core.platform.suggestions import did_you_mean
    from core.resolution.external.boundary import Unusable

    specs, _ = known_types(load_config(config, env)[1])
    exact = [spec for (of, name), spec in specs.items() if name == provider_type and served_api(api) in (None, of)]
    if not exact:
        types = {name for _, name in specs}
        message = f"there is no provider type `{provider_type}`{did_you_mean(provider_type, types)}"
        raise click.UsageError(f"{message} (`{program()} providers list --config {path_word(config)}`)")
    try:
        pages = [details(spec) for spec in exact]
    except (Unusable, ImportError) as wrong:
        raise click.UsageError(f"`{provider_type}` cannot be loaded: {wrong}") from None
    if as_json:
        print_json(pages)
    else:
        print("\n".join(_page(page) for page in pages), end="")


def _page(details: "JsonObject") -> str:
    lines = [f"{details['provider_type']} ({details['api']})"]
    lines += [f"  from: {details['from']}", f"  module: {details['module']}"]
    for name in ("api_dependencies", "optional_api_dependencies", "pip_packages"):
        lines += [f"  {name}: {', '.join(details[name])}"] if details[name] else []
    for name in ("provider_data_validator", "container_image"):
        lines += [f"  {name}: {details[name]}"] if details[name] else []
    lines += ["  config:"] if details["fields"] else ["  config: none"]
    return "\n".join([*lines, *map(_field, details["fields"])]) + "\n"


def _field(field: "JsonObject") -> str:
    import json

    need = "required" if field["required"] else f"default {json.dumps(field['default'])}"
    if field["secret"]:  # whose default is not shown
        need = "secret, required" if field["required"] else "secret, optional"
    marks = f"{field['type']}, {need}{', user field' if field['user_field'] else ''}"
    width = width_of(sys.stdout)
    text = click.wrap_text(f"{field['name']}: {marks}", width, "    ", "      ")
    if not field["description"]:
        return text
    return f"{text}\n{click.wrap_text(field['description'], width, '      ', '      ')}"


@command.command(epilog=EXAMPLES)
@config_option()
@env_option
@json_option
def check(config: str, env: Pairs, *, as_json: bool) -> None:
    """Load and connect each external provider of a run config.

    One verdict each; the exit code is 2 if something is wrong. Nothing is
    served, and no remote is called unless a provider does when it connects.
    """
    from core.cli.providers.check import verdicts

    start_logging()
    results, others = asyncio.run(verdicts(load_config(config, env)[1]))
    wrong = bool(others) or any(verdict.problems for verdict in results)
    if as_json:
        rest = [{"path": problem.path, "message": problem.message} for problem in others]
        print_json({"ok": not wrong, "providers": [verdict.to_json() for verdict in results], "problems": rest})
    else:
        for verdict in results:
            word, style = ("wrong", "bad") if verdict.problems else ("ok", "good")
            print(
                f"{paint(word, style, sys.stdout)}{' ' * (5 - len(word))}  {verdict.entry.provider_id}  {verdict.entry.provider_type}  ({verdict.origin})"
            )
            for line in (*verdict.problems, *verdict.notes):
                show_text(f"       {line}")
        for problem in others:
            show_text(f"wrong  {problem}")
        if not results and not others:
            print("no external providers")
    if wrong:
        raise click.exceptions.Exit(2)


@command.command(epilog=EXAMPLES)
@click.argument("name", help="Such as acme: the type is then remote::acme, the folder acme.")
@click.option("--api", type=NewApi(), metavar="API", required=True, help=f"The API that it provides: {NEW_NAMES}.")
@click.option("--inline", is_flag=True, help="It runs in the stack itself, and calls no remote.")
@click.option(
    "--dir", "parent", type=click.Path(path_type=Path), default=Path(), help="Where to put it (default: here)."
)
@json_option
def new(name: str, api: str, parent: Path, *, inline: bool, as_json: bool) -> None:
    """Write a provider package that works, with its tests, to a new folder."""
    package = NewPackage(name, api, "inline" if inline else "remote")
    if (fault := fault_of(package)) is not None:
        raise click.UsageError(fault)
    folder, texts = parent.expanduser() / name, files(package)
    try:
        write(folder, texts)
    except FileExistsError:
        raise click.UsageError(f"{folder} exists already; choose another name, or another --dir") from None
    if as_json:
        print_json({"folder": str(folder), "provider_type": package.provider_type, "files": sorted(texts)})
        return
    show_text(f"wrote {folder} ({package.provider_type}, {len(texts)} files). Next:\n")
    print("\n".join(f"  {line}" for line in next_commands(folder)))
