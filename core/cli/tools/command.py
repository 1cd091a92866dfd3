"""`llambda tools`: the tools of a running stack, over HTTP."""

from collections.abc import Mapping
import json
import sys
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.options import print_json
from core.cli.remote import OwnKeys, RequestRefused, open_client, provider_data_option, stack_options
from core.cli.terminal import clean, say, ticking
from core.cli.tools import output
from core.platform.suggestions import did_you_mean

if TYPE_CHECKING:
    from core.apis.answers.tool_runtime import ToolView
    from core.client.api import Client

MISSING: Final = 404
FAILED: Final = 1
EXAMPLES: Final = """\
\b
Examples:
  llambda tools list
  llambda tools list --group mcp::everything
  llambda tools show get-sum
  llambda tools call get-sum --arg a=2 --arg b=3
"""
LIST: Final = """\
\b
Examples:
  llambda tools list
  llambda tools list --group builtin::rag --json | jq -r '.[].identifier'
"""
SHOW: Final = """\
\b
Examples:
  llambda tools show get-sum
  llambda tools show mcp::everything/get-sum --json | jq .input_schema
"""
CALL: Final = """\
\b
Examples:
  llambda tools call get-sum --arg a=2 --arg b=3
  llambda tools call mcp::everything/echo --arg message=hello
  llambda tools call get-order --args '{"id": "7", "lines": [1, 2]}'
  llambda tools call get-order --args - --json < order.json
\b
Exit codes:
  0  the tool has done it
  1  the tool failed, or could not be asked
  2  the arguments do not fit the tool, or its name is in several groups
"""
NO_OBJECT: Final = """is no JSON object; write it as '{"name": "value"}'"""

type Argument = tuple[str, str]


def split_argument(text: str) -> Argument:
    """KEY and VALUE of KEY=VALUE; the value may be empty and may contain "="."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"`{text}` is no KEY=VALUE")
    return name, value


def read_arguments(text: str) -> dict[str, Any]:
    """A JSON object; of `-`, that of the standard input."""
    try:
        read: object = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError):
        raise click.BadParameter(NO_OBJECT) from None
    if not isinstance(read, dict):
        raise click.BadParameter(NO_OBJECT)
    return read  # pyright: ignore[reportUnknownVariableType] - JSON object keys are strings


class Named(OwnKeys):
    group: str | None


class Called(Named):
    """What the tool is called with; `more` is over `arguments`."""

    arguments: dict[str, Any] | None
    more: tuple[Argument, ...]


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, show and call the tools of a running stack.

    A TOOL is its name, or GROUP/NAME where several groups have one of that name.
    """


@command.command("list", epilog=LIST)
@click.option("--group", metavar="ID", help="Of this tool group alone; one that cannot be asked says why.")
@provider_data_option
@stack_options
def list_(group: str | None, *, as_json: bool, **stack: Unpack[OwnKeys]) -> None:
    """List tools, by their groups."""
    with open_client(**stack) as client:
        tools = client.tools.list_tools(group)
        silent = () if group else _without_tools(client, tools)
    if as_json:
        print_json(tools)
    elif not tools:
        click.echo("no tools")
    else:
        print("\n".join(output.tool_table(tools)))
    for name in silent:
        say(clean(f"note: no tool of group `{name}` is listed; --group {name} says why"))


@command.command(epilog=SHOW)
@click.argument("name", metavar="TOOL")
@click.option("--group", metavar="ID", help="The tool group that it is of.")
@provider_data_option
@stack_options
def show(name: str, *, as_json: bool, **options: Unpack[Named]) -> None:
    """Show what a tool does, and the arguments that it takes."""
    with open_client(options["url"], options.get("api_key"), options["provider_data"]) as client:
        tool = _find(client, name, options["group"])
    if as_json:
        print_json(tool)
    else:
        print("\n".join(output.tool_lines(tool)))


@command.command(epilog=CALL)
@click.argument("name", metavar="TOOL")
@click.option("--group", metavar="ID", help="The tool group that it is of.")
@click.option(
    "--arg",
    "more",
    metavar="KEY=VALUE",
    multiple=True,
    type=split_argument,
    help="An argument: a text, or JSON where the tool takes something else (repeatable).",
)
@click.option(
    "--args", "arguments", metavar="JSON", type=read_arguments, help="All of them as a JSON object; - reads it."
)
@provider_data_option
@stack_options
def call(name: str, *, as_json: bool, **options: Unpack[Called]) -> int:
    """Call a tool, and print what it answers."""
    with open_client(options["url"], options.get("api_key"), options["provider_data"]) as client:
        tool = _find(client, name, options["group"])
        arguments = (options["arguments"] or {}) | _values_of(tool, options["more"])
        with ticking(f"{clean(tool['identifier'])} is called ..."):
            answer = client.tools.call(output.full_name(tool), arguments)
    if as_json:
        print_json(answer)
    else:
        print("\n".join(output.result_lines(answer)))
    if answer["error_code"] and not as_json:
        say(clean(f"Error: {answer['error_message'] or 'the tool says that it failed'}"))
    return FAILED if answer["error_code"] else 0


def _without_tools(client: "Client", tools: "list[ToolView]") -> list[str]:
    seen = {tool["toolgroup_id"] for tool in tools}
    return [group["identifier"] for group in client.tools.groups() if group["identifier"] not in seen]


def _find(client: "Client", name: str, group: str | None) -> "ToolView":
    """The tool; raises ApiFailed with names like this one where there is none."""
    from core.client.failures import ApiFailed

    whole = f"{group}/{name}" if group and not name.startswith(f"{group}/") else name
    try:
        return client.tools.get(whole)
    except ApiFailed as failure:
        if failure.status != MISSING:
            raise
        tools = client.tools.list_tools(group)
        names = [*(tool["identifier"] for tool in tools), *map(output.full_name, tools)]
        hint = did_you_mean(name, names) or "; `llambda tools list` shows those that there are"
        raise ApiFailed(MISSING, f"there is no tool `{whole}`{hint}") from failure


def _values_of(tool: "ToolView", given: tuple[Argument, ...]) -> dict[str, Any]:
    """The arguments as the tool's schema has them: what it takes as text stays one, `007` too."""
    properties: Mapping[str, Any] = tool["input_schema"].get("properties") or {}
    return {name: _value(properties.get(name), name, text) for name, text in given}


def _value(schema: object, name: str, text: str) -> object:
    kind: object = schema.get("type") if isinstance(schema, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if kind in {"integer", "number", "boolean", "array", "object"}:
            raise RequestRefused(f"--arg {name}: the tool takes a JSON {kind}, and `{clean(text)}` is none") from None
        return text
