"""`llambda distributions`: the run configs that ship with llambda, and a copy of one to edit."""

from collections.abc import Mapping
from pathlib import Path
import sys
from typing import Final

import click

from core.cli.options import json_option, print_json
from core.cli.output_file import force_option, out_option, write
from core.cli.terminal import paint, wrap_table
from core.cli.terminal import show as show_text
from core.config.distributions import Distribution, Variable, names, read_distribution
from core.config.redact import names_secret, redact_text
from core.platform import environment
from core.platform.commands import path_word, program

EPILOG: Final = """\b
Examples:
  llambda distributions list
  llambda distributions show remote-vllm
  llambda distributions init remote-vllm --out run.yaml
"""
SHOW: Final = """\b
Examples:
  llambda distributions show bedrock
  llambda distributions show bedrock --raw > run.yaml
"""
INIT: Final = """\b
Examples:
  llambda distributions init bedrock-vllm
  llambda distributions init guarded --out keys.yaml --force
"""


@click.group(epilog=EPILOG)
def command() -> None:
    """List, show and copy the run configs that ship with llambda.

    `llambda serve NAME` serves one as it is. `llambda init` writes a run config from a few questions.
    """


@command.command("list", epilog="\b\nExamples:\n  llambda distributions list --json\n")
@json_option
def list_(*, as_json: bool) -> None:
    """Name every distribution, what it is, and the variables that it needs."""
    distributions = [read_distribution(name)[0] for name in names()]
    if as_json:
        rows = [{"name": d.name, "description": d.description, "required": d.required()} for d in distributions]
        print_json(rows)
        return
    for distribution in distributions:
        print(paint(distribution.name, "title", sys.stdout))
        show_text(f"  {distribution.description}")
        if distribution.required():
            show_text(f"  needs {', '.join(distribution.required())}")


@command.command(epilog=SHOW)
@click.argument("name")
@click.option("--raw", is_flag=True, help="Print the file alone.")
@json_option
def show(name: str, *, raw: bool, as_json: bool) -> None:
    """Show the file of a distribution, and its variables as they are set now. Secrets are not shown."""
    distribution, text = read_distribution(name)
    if raw:
        click.echo(text, nl=False)
        return
    rows = [_row(variable, environment.environ()) for variable in distribution.variables]
    if as_json:
        print_json({"name": name, "description": distribution.description, "variables": rows, "file": text})
        return
    show_text(f"{distribution.description}\n")
    cells = [(row["name"], _state(row), row["purpose"]) for row in rows]
    print("\n".join(wrap_table([("variable", "now", "what for"), *cells])))
    click.echo(f"\n{text}", nl=False)


@command.command(epilog=INIT)
@click.argument("name")
@out_option
@force_option
def init(name: str, *, out: Path, force: bool) -> None:
    """Copy a distribution to a file of your own, to edit."""
    distribution, text = read_distribution(name)
    write(out, text, force=force)
    example = ", with values of your own" if distribution.required() else ""
    show_text(f"{out} is a copy of {name}. Edit it, then run{example}:")
    for line in next_commands(out, distribution):
        click.echo(f"  {line}")


def next_commands(out: Path, distribution: Distribution) -> list[str]:
    """How to check and serve a file, with a value in the place of each variable that it needs and that is not set."""
    unset = [name for name in distribution.required() if not environment.environ().get(name)]
    set_them = "".join(f" --env {name}={_example(name)}" for name in unset)
    file = path_word(out)
    return [f"{program()} config validate {file}{set_them}", f"{program()} serve {file}{set_them}"]


def _example(variable: str) -> str:
    """What is valid there, until its user puts in their own."""
    if variable.endswith("URL"):
        return "http://localhost:8000/v1"
    return "DRAFT" if variable.endswith("VERSION") else f"my-{variable.lower().replace('_', '-')}"


def _row(variable: Variable, environ: Mapping[str, str]) -> dict[str, str]:
    """`value` is there when the variable has one and is no secret."""
    value = environ.get(variable.name, "")
    otherwise = "default" if variable.default else "missing" if variable.required else "unset"
    row = {"name": variable.name, "state": "set" if value else otherwise, "purpose": variable.purpose}
    printable = variable.default if not value else "" if names_secret(variable.name) else value
    if printable:
        row["value"] = redact_text(printable)
    return row


def _state(row: Mapping[str, str]) -> str:
    return f"{row['state']}: {row['value']}" if "value" in row else row["state"]
