"""`llambda responses`: responses of a running stack, over HTTP."""

from collections.abc import Iterator
from io import StringIO
import json
import sys
from typing import TYPE_CHECKING, Any, Final, Required, Unpack

import click

from core.cli.options import print_json
from core.cli.remote import OwnKeys, StackOptions, first_model, open_client, provider_data_option, stack_options
from core.cli.responses import output
from core.cli.responses.following import say_how_to_go_on, show_all
from core.cli.responses.printing import StreamPrinter
from core.cli.terminal import clean, clip_table, say

if TYPE_CHECKING:
    from core.apis.answers.responses import Response
    from core.client.api import Client
    from core.frame.types import JsonObject

PAGE: Final = 100
FAILED: Final = 1
ANSWERED: Final = frozenset({"completed", "incomplete"})
WAITING: Final = frozenset({"queued", "in_progress"})
LISTING: Final = "llambda responses list"
EXAMPLES: Final = """\
\b
Examples:
  llambda responses create "Why is the sky blue?"
  llambda responses create "When do files expire?" --store vs_4f1c
  llambda responses create "Compare them all." --background
  llambda responses list
  llambda responses show resp_4f1c --follow
  llambda responses cancel resp_4f1c
  llambda responses delete resp_4f1c
"""
SHOW: Final = """\
\b
Examples:
  llambda responses show resp_4f1c
  llambda responses show resp_4f1c --json | jq .output
  llambda responses show resp_4f1c --follow --starting-after 41
  llambda responses show resp_4f1c --follow --json
"""
CREATE: Final = """\
\b
Examples:
  llambda responses create "Why is the sky blue?" --model small
  llambda responses create "And at night?" --after resp_4f1c
  llambda responses create "When do files expire?" --store vs_4f1c
  llambda responses create "Add 2 and 3." --mcp sums=http://127.0.0.1:3001/mcp
  llambda responses create - --json < question.txt
  ID=$(llambda responses create "Compare them all." --background)
\b
Exit codes:
  0  it is answered, or wants an approval or the result of a function; with
     --background, it is queued
  1  it failed or was cancelled, or the stack cannot be asked
  2  the stack says that the request is wrong
"""


def split_server(text: str) -> tuple[str, str]:
    """LABEL and URL of LABEL=URL."""
    label, equals, url = text.partition("=")
    if not equals or not label or not url:
        raise click.BadParameter(f"`{text}` is no LABEL=URL")
    return label, url


def read_tool(text: str) -> dict[str, Any]:
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or "type" not in read:
        raise click.BadParameter("""is no tool; write it as '{"type": "web_search"}'""")
    return read  # pyright: ignore[reportUnknownVariableType] - JSON object keys are strings


class Asked(OwnKeys):
    """What a response is asked for with."""

    text: Required[str]
    model: str | None
    instructions: str | None
    after: str | None
    conversation: str | None
    stores: tuple[str, ...]
    web_search: bool
    servers: tuple[tuple[str, str], ...]
    tools: tuple[dict[str, Any], ...]
    approvals: tuple[str, ...]
    max_tokens: int | None
    no_store: bool
    background: bool
    stream: bool


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Ask for responses of a running stack, list, show and delete them.

    One that is kept goes on when its reader leaves; `cancel` stops it.
    """


@command.command(epilog=CREATE)
@click.argument("text", metavar="TEXT", help="What is asked; - reads it.")
@click.option("--model", metavar="ID", help="The model; without it the first of the stack.")
@click.option("--instructions", metavar="TEXT", help="How it is to answer.")
@click.option("--after", metavar="ID", help="Go on from this response.")
@click.option("--conversation", metavar="ID", help="Go on in this conversation.")
@click.option("--store", "stores", metavar="ID", multiple=True, help="Search this vector store (repeatable).")
@click.option("--web-search", is_flag=True, help="Search the web.")
@click.option(
    "--mcp",
    "servers",
    metavar="LABEL=URL",
    multiple=True,
    type=split_server,
    help="Call tools of this MCP server, without asking you (repeatable).",
)
@click.option(
    "--tool", "tools", metavar="JSON", multiple=True, type=read_tool, help="Any tool, as the API has it (repeatable)."
)
@click.option("--approve", "approvals", metavar="ID", multiple=True, help="Approve a call that the last one wanted.")
@click.option("--max-tokens", metavar="N", type=click.IntRange(16), help="At most N tokens.")
@click.option("--no-store", is_flag=True, help="Keep nothing of it.")
@click.option("--background", is_flag=True, help="Let it run without you: print its ID, and do not wait.")
@click.option("--stream", is_flag=True, help="With --background: print it as it comes. Ctrl-C leaves it running.")
@provider_data_option
@stack_options
def create(*, as_json: bool, **asked: Unpack[Asked]) -> int:
    """Ask for a response, and print it as it comes.

    The answer is on the standard output, and what its tools do on the standard
    error, with the ID that the next one goes on from. Ctrl-C cancels it.
    """
    if asked["stream"] and as_json:
        raise click.UsageError(
            "--json prints the whole response when it is there, --stream as it comes: leave one out."
        )
    with open_client(asked["url"], asked.get("api_key"), asked["provider_data"]) as client:
        body = _body(asked, asked["model"] or first_model(client))
        if not as_json and (asked["stream"] or not asked["background"]):
            return _code(_show_stream(client, body, stops=not asked["background"]))
        response: JsonObject = dict(client.responses.create(body))
    print_json(response) if as_json else _print_id(response)
    return 0 if response["status"] in WAITING else _code(response)


@command.command(
    "list", epilog="\b\nExamples:\n  llambda responses list\n  llambda responses list --model small --limit 500\n"
)
@click.option("--model", metavar="ID", help="Only of this model.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="At most N."
)
@stack_options
def list_(model: str | None, limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your responses, newest first."""
    with open_client(**stack) as client:
        responses = list(_pages(client, model, limit))
    if as_json:
        print_json(responses)
    elif not responses:
        click.echo("no responses")
    else:
        print("\n".join(clip_table(output.LIST, map(output.list_row, responses))))


@command.command(epilog=SHOW)
@click.argument("response", metavar="ID")
@click.option("--follow", is_flag=True, help="Print it as it came, and what is to come, until it has ended.")
@click.option(
    "--starting-after",
    metavar="N",
    type=click.IntRange(0),
    help="With --follow: only what came behind the event with this sequence_number.",
)
@stack_options
def show(
    response: str, *, follow: bool, starting_after: int | None, as_json: bool, **stack: Unpack[StackOptions]
) -> int:
    """Show a response: what was asked, and what was answered.

    With --follow the answer is on the standard output as it comes, as `create`
    prints it, and the exit code is that of `create`. Ctrl-C leaves it running.
    """
    if starting_after is not None and not follow:
        raise click.UsageError("--starting-after goes with --follow")
    with open_client(**stack, listing=LISTING) as client:
        followed = _follow(client, response, starting_after, hidden=as_json) if follow else {}
        if follow and not as_json:
            return _code(followed)
        shown = client.responses.get(response)
        asked = [] if as_json else client.responses.input_items(response)["data"]
    if as_json:
        print_json(shown)
    else:
        print("\n".join([*output.response_lines(shown), *output.item_lines([*asked, *shown["output"]])]))
    return _code(followed) if follow else 0


@command.command(epilog="\b\nExamples:\n  llambda responses cancel resp_4f1c resp_77ab\n")
@click.argument("responses", metavar="ID...", nargs=-1, required=True)
@stack_options
def cancel(responses: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Stop responses that have not ended; what was whole is kept."""
    with open_client(**stack, listing=LISTING) as client:
        cancelled: list[Response] = []
        for response in responses:
            cancelled.append(client.responses.cancel(response))
            if not as_json:
                click.echo(output.cancel_line(dict(cancelled[-1])))
    if as_json:
        print_json(cancelled)


@command.command(epilog="\b\nExamples:\n  llambda responses delete resp_4f1c resp_77ab\n")
@click.argument("responses", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(responses: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete responses, with what was asked."""
    with open_client(**stack, listing=LISTING) as client:
        for response in responses:
            client.responses.delete(response)
            if not as_json:
                click.echo(f"deleted {response}")
    if as_json:
        print_json(list(responses))


def _show_stream(client: "Client", body: "JsonObject", *, stops: bool) -> "JsonObject":
    """`stops`: an interrupt is the response's end, and not only that of its reader."""
    printer = StreamPrinter(sys.stdout, sys.stderr)
    try:
        return show_all(client, printer, client.responses.stream(body))
    except KeyboardInterrupt:
        printer.end_line()
        _stop(client, printer.stored_id) if stops and printer.stored_id else say_how_to_go_on(printer)
        raise


def _stop(client: "Client", response: str) -> None:
    from core.client.failures import ApiFailed, Unreachable

    try:
        say(output.cancel_line(dict(client.responses.cancel(response))))
    except (ApiFailed, Unreachable) as failure:
        say(clean(f"warning: {response} may go on: {failure}"))


def _follow(client: "Client", response: str, starting_after: int | None, *, hidden: bool) -> "JsonObject":
    """`hidden`: the answer is shown by somebody else."""
    printer = StreamPrinter(StringIO() if hidden else sys.stdout, sys.stderr, response, starting_after)
    try:
        return show_all(client, printer, client.responses.follow(response, starting_after=starting_after))
    except KeyboardInterrupt:
        printer.end_line()
        say_how_to_go_on(printer)
        raise


def _print_id(response: "JsonObject") -> None:
    click.echo(clean(response["id"]))
    say(clean(f"note: it is {response['status']}; `llambda responses show {response['id']} --follow` waits for it"))


def _code(response: "JsonObject") -> int:
    return 0 if response.get("status") in ANSWERED else FAILED


def _pages(client: "Client", model: str | None, limit: int) -> "Iterator[Response]":
    after, room, more = None, limit, True
    while more and room:
        page = client.responses.list(after=after, limit=min(room, PAGE), model=model)
        yield from page["data"]
        room -= len(page["data"])
        after, more = page["last_id"], page["has_more"] and bool(page["data"])


def _body(asked: Asked, model: str) -> "JsonObject":
    text = sys.stdin.read() if asked["text"] == "-" else asked["text"]
    message = [{"role": "user", "content": text}] if text else []
    approvals = [
        {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": True}
        for request_id in asked["approvals"]
    ]
    body: JsonObject = {"model": model, "input": [*approvals, *message], "store": not asked["no_store"]}
    given = {
        "background": asked["background"],
        "instructions": asked["instructions"],
        "max_output_tokens": asked["max_tokens"],
        "previous_response_id": asked["after"],
        "conversation": asked["conversation"],
        "tools": _tools(asked),
    }
    return body | {name: value for name, value in given.items() if value}


def _tools(asked: Asked) -> "list[JsonObject]":
    tools: list[JsonObject] = list(asked["tools"])
    if asked["stores"]:
        tools.append({"type": "file_search", "vector_store_ids": list(asked["stores"])})
    if asked["web_search"]:
        tools.append({"type": "web_search"})
    for label, url in asked["servers"]:
        tools.append({"type": "mcp", "server_label": label, "server_url": url, "require_approval": "never"})
    return tools
