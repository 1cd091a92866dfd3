"""`llambda prompts`: prompts of a running stack, over HTTP."""

from pathlib import Path
import sys
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.responses.output import clean_text
from core.cli.terminal import Columns, clean, clip_table

if TYPE_CHECKING:
    from core.apis.answers.prompts import Prompt

LISTING: Final = "llambda prompts list"
LIST: Final[Columns] = (("PROMPT", 53), ("VERSION", 7), ("TEXT", 40))
EXAMPLES: Final = """\
\b
Examples:
  llambda prompts create "Answer {{ name }} in one sentence."
  llambda prompts update pmpt_4f1c --file prompt.txt
  llambda prompts list
  llambda prompts show pmpt_4f1c --version 1
  llambda prompts delete pmpt_4f1c
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Keep prompts in versions in a running stack.

    {{ name }} in a text is a variable, which a response gives a value.
    """


file_option: Final = click.option(
    "--file", "path", metavar="PATH", type=click.Path(path_type=Path, allow_dash=True), help="The text; - reads it."
)


@command.command(
    epilog='\b\nExamples:\n  llambda prompts create "Answer {{ name }} politely."\n  llambda prompts create --file prompt.txt --json | jq -r .prompt_id\n'
)
@click.argument("text", metavar="[TEXT]", required=False)
@file_option
@stack_options
def create(text: str | None, path: Path | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Make a prompt, and print its ID."""
    prompt = _read(text, path)
    with open_client(**stack) as client:
        record = client.prompts.create(prompt)
    print_json(record) if as_json else click.echo(clean(record["prompt_id"]))


@command.command(
    epilog='\b\nExamples:\n  llambda prompts update pmpt_4f1c "Answer {{ name }} briefly."\n  llambda prompts update pmpt_4f1c --file prompt.txt --not-default\n'
)
@click.argument("prompt", metavar="ID")
@click.argument("text", metavar="[TEXT]", required=False)
@file_option
@click.option("--not-default", is_flag=True, help="Leave the version that is used as it is.")
@stack_options
def update(
    prompt: str, text: str | None, path: Path | None, *, not_default: bool, as_json: bool, **stack: Unpack[StackOptions]
) -> None:
    """Make the next version of a prompt."""
    template = _read(text, path)
    with open_client(**stack, listing=LISTING) as client:
        newest = max(version["version"] for version in client.prompts.versions(prompt)["data"])
        made = client.prompts.update(prompt, template, newest, set_as_default=not not_default)
    print_json(made) if as_json else click.echo(f"{clean(made['prompt_id'])} version {made['version']}")


@command.command(
    "list", epilog="\b\nExamples:\n  llambda prompts list\n  llambda prompts list --json | jq -r '.[].prompt_id'\n"
)
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your prompts, newest first."""
    with open_client(**stack) as client:
        prompts = client.prompts.list()["data"]
    if as_json:
        print_json(prompts)
    elif not prompts:
        click.echo("no prompts")
    else:
        print("\n".join(clip_table(LIST, map(_row, prompts))))


@command.command(
    epilog="\b\nExamples:\n  llambda prompts show pmpt_4f1c\n  llambda prompts show pmpt_4f1c --version 1 --json\n"
)
@click.argument("prompt", metavar="ID")
@click.option("--version", metavar="N", type=click.IntRange(1), help="This version; without it the one that is used.")
@stack_options
def show(prompt: str, version: int | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a prompt, and its versions."""
    with open_client(**stack, listing=LISTING) as client:
        shown = client.prompts.get(prompt, version)
        versions = [] if as_json else client.prompts.versions(prompt)["data"]
    if as_json:
        print_json(shown)
        return
    numbers = ", ".join(f"{each['version']}{' (used)' if each['is_default'] else ''}" for each in versions)
    facts = {"prompt": shown["prompt_id"], "version": shown["version"], "versions": numbers}
    facts |= {"variables": ", ".join(shown["variables"])} if shown["variables"] else {}
    lines = [clean(f"{name + ':':10} {fact}") for name, fact in facts.items()]
    print("\n".join([*lines, "", clean_text(shown["prompt"])]))


@command.command(epilog="\b\nExamples:\n  llambda prompts delete pmpt_4f1c\n")
@click.argument("prompts", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(prompts: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete prompts, with all their versions."""
    with open_client(**stack, listing=LISTING) as client:
        for prompt in prompts:
            client.prompts.delete(prompt)
            if not as_json:
                click.echo(f"deleted {prompt}")
    if as_json:
        print_json(list(prompts))


def _read(text: str | None, path: Path | None) -> str:
    if (text is None) == (path is None):
        raise click.UsageError("Give the text, or --file.")
    if path is None:
        return text or ""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise click.UsageError(f"--file: {path} cannot be read: {failure}") from None


def _row(prompt: "Prompt") -> list[str]:
    return [prompt["prompt_id"], str(prompt["version"]), " ".join(prompt["prompt"].split())]
