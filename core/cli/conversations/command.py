"""`llambda conversations`: conversations of a running stack, over HTTP."""

from collections.abc import Iterator
import sys
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.responses import output
from core.cli.terminal import clean

if TYPE_CHECKING:
    from core.client.api import Client
    from core.frame.types import JsonObject

PAGE: Final = 100
EXAMPLES: Final = """\
\b
Examples:
  llambda conversations create --metadata topic=files
  llambda responses create "Hello." --conversation conv_4f1c
  llambda conversations show conv_4f1c
  llambda conversations delete conv_4f1c
"""


def split_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"`{text}` is no KEY=VALUE")
    return name, value


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Begin, show and delete conversations of a running stack.

    `llambda responses create --conversation ID` goes on in one.
    """


@command.command(
    epilog="\b\nExamples:\n  llambda conversations create\n  llambda conversations create --json | jq -r .id\n"
)
@click.option(
    "--metadata", metavar="KEY=VALUE", multiple=True, type=split_pair, help="What is noted of it (repeatable)."
)
@stack_options
def create(metadata: tuple[tuple[str, str], ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Begin a conversation, and print its ID."""
    with open_client(**stack) as client:
        conversation = client.conversations.create(dict(metadata))
    print_json(conversation) if as_json else click.echo(clean(conversation["id"]))


@command.command(
    epilog="\b\nExamples:\n  llambda conversations show conv_4f1c\n  llambda conversations show conv_4f1c --limit 1000 --json\n"
)
@click.argument("conversation", metavar="ID")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="At most N items."
)
@stack_options
def show(conversation: str, limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a conversation, and what was said in it."""
    with open_client(**stack) as client:
        record = client.conversations.get(conversation)
        items = list(_items(client, conversation, limit))
    if as_json:
        print_json({**record, "items": items})
        return
    facts = {"in": record["id"], "created": output.time_of(record["created_at"]), **(record["metadata"] or {})}
    lines = [clean(f"{name + ':':10}{fact}") for name, fact in facts.items()]
    print("\n".join([*lines, *output.item_lines(items)]), file=sys.stdout)


@command.command(epilog="\b\nExamples:\n  llambda conversations delete conv_4f1c conv_77ab\n")
@click.argument("conversations", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(conversations: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete conversations, with what was said in them."""
    with open_client(**stack) as client:
        for conversation in conversations:
            client.conversations.delete(conversation)
            if not as_json:
                click.echo(f"deleted {conversation}")
    if as_json:
        print_json(list(conversations))


def _items(client: "Client", conversation: str, limit: int) -> "Iterator[JsonObject]":
    after, room, more = None, limit, True
    while more and room:
        page = client.conversations.items(conversation, after=after, limit=min(room, PAGE))
        yield from page["data"]
        room -= len(page["data"])
        after, more = page["last_id"], page["has_more"] and bool(page["data"])
