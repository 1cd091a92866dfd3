"""`llambda webhooks`: URLs that a running stack tells of what has ended, over HTTP."""

from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import urlsplit

import click

from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import Columns, clean, clip_table, say

if TYPE_CHECKING:
    from core.apis.answers.webhooks import WebhookEndpoint, WebhookEndpointWithSecret

LISTING: Final = "llambda webhooks list"
LIST: Final[Columns] = (("ENDPOINT", 27), ("STATE", 8), ("URL", 40))
SHOWN_ONCE: Final = "note: the secret is shown this once: whoever receives checks signatures with it"
EXAMPLES: Final = """\
\b
Examples:
  llambda webhooks create https://example.com/hook --event batch.completed
  llambda webhooks test we_4f1c
  llambda webhooks rotate we_4f1c --keep-old
  llambda webhooks list
  llambda webhooks delete we_4f1c
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Have URLs told when batches and responses have ended.

    What they are sent is signed; `client.webhooks.unwrap` of OpenAI's client checks it.
    """


event_option: Final = click.option(
    "--event", "events", metavar="TYPE", multiple=True, help="A type of events, as batch.completed; any number of them."
)


@command.command(
    epilog="\b\nExamples:\n  llambda webhooks create https://a.com/hook --event batch.failed\n"
    "  llambda webhooks create https://a.com/hook --json | jq -r .id\n"
)
@click.argument("address", metavar="URL")
@event_option
@click.option("--name", metavar="NAME", help="For people; without it the URL's host.")
@stack_options
def create(
    address: str, events: tuple[str, ...], name: str | None, *, as_json: bool, **stack: Unpack[StackOptions]
) -> None:
    """Register a URL, and print its ID and its secret.

    Without --event it is told of every type that there is.
    """
    with open_client(**stack) as client:
        types = events or client.webhooks.event_types()
        endpoint = client.webhooks.create(address, types, name or urlsplit(address).hostname or "webhook")
    _print_secret(endpoint, as_json=as_json)


@command.command(
    "list", epilog="\b\nExamples:\n  llambda webhooks list\n  llambda webhooks list --json | jq -r '.[].url'\n"
)
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your endpoints, newest first."""
    with open_client(**stack) as client:
        endpoints = client.webhooks.list()
    if as_json:
        print_json(endpoints)
    elif not endpoints:
        click.echo("no webhooks")
    else:
        print("\n".join(clip_table(LIST, (_row(endpoint) for endpoint in endpoints))))


@command.command(epilog="\b\nExamples:\n  llambda webhooks show we_4f1c\n  llambda webhooks show we_4f1c --json\n")
@click.argument("endpoint", metavar="ID")
@stack_options
def show(endpoint: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show an endpoint."""
    with open_client(**stack, listing=LISTING) as client:
        record = client.webhooks.get(endpoint)
    print_json(record) if as_json else _print(record)


@command.command(
    epilog="\b\nExamples:\n  llambda webhooks update we_4f1c --to https://example.com/other\n"
    "  llambda webhooks update we_4f1c --event batch.failed\n"
)
@click.argument("endpoint", metavar="ID")
@click.option("--to", "address", metavar="URL", help="Another URL.")
@event_option
@click.option("--name", metavar="NAME", help="Another name.")
@stack_options
def update(
    endpoint: str,
    address: str | None,
    events: tuple[str, ...],
    name: str | None,
    *,
    as_json: bool,
    **stack: Unpack[StackOptions],
) -> None:
    """Change an endpoint, and put it in use again where a 410 disabled it."""
    changes: dict[str, Any] = {"url": address, "event_types": list(events) or None, "name": name}
    with open_client(**stack, listing=LISTING) as client:
        changed = client.webhooks.update(
            endpoint, **{key: value for key, value in changes.items() if value is not None}
        )
    print_json(changed) if as_json else _print(changed)


@command.command(
    epilog="\b\nExamples:\n  llambda webhooks rotate we_4f1c\n  llambda webhooks rotate we_4f1c --keep-old\n"
)
@click.argument("endpoint", metavar="ID")
@click.option("--keep-old", is_flag=True, help="Sign with the old secret too, for 24 hours.")
@stack_options
def rotate(endpoint: str, *, keep_old: bool, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Give an endpoint another secret, and print it."""
    with open_client(**stack, listing=LISTING) as client:
        record = client.webhooks.rotate_secret(endpoint, keep_old=keep_old)
    _print_secret(record, as_json=as_json)


@command.command(
    epilog="\b\nExamples:\n  llambda webhooks test we_4f1c\n  llambda webhooks test we_4f1c --event batch.failed\n"
)
@click.argument("endpoint", metavar="ID")
@click.option("--event", metavar="TYPE", help="The type of the sample; without it the first that the endpoint is for.")
@stack_options
def test(endpoint: str, event: str | None, *, as_json: bool, **stack: Unpack[StackOptions]) -> int:
    """Send a sample, and print the status of the answer.

    The exit code is 0 where the receiver took it, and 1 where it did not.
    """
    with open_client(**stack, listing=LISTING) as client:
        kind = event or client.webhooks.get(endpoint)["event_types"][0]
        tested = client.webhooks.test(endpoint, kind)
    status = tested["status_code"]
    print_json(tested) if as_json else click.echo(f"{clean(kind)}: answered with {status}")
    return 0 if 200 <= status < 300 else 1  # noqa: PLR2004 - RFC 9110: the successes


@command.command(epilog="\b\nExamples:\n  llambda webhooks delete we_4f1c\n")
@click.argument("endpoints", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(endpoints: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete endpoints, with their secrets."""
    with open_client(**stack, listing=LISTING) as client:
        for endpoint in endpoints:
            client.webhooks.delete(endpoint)
            if not as_json:
                click.echo(f"deleted {endpoint}")
    if as_json:
        print_json(list(endpoints))


def _row(endpoint: "WebhookEndpoint") -> list[str]:
    return [endpoint["id"], _state(endpoint), endpoint["url"]]


def _state(endpoint: "WebhookEndpoint") -> str:
    return "in use" if endpoint["disabled_at"] is None else "disabled"


def _print(endpoint: "WebhookEndpoint") -> None:
    facts = {
        "endpoint": endpoint["id"],
        "name": endpoint["name"],
        "url": endpoint["url"],
        "state": _state(endpoint),
        "secret": endpoint["signing_secret_hint"],
    }
    lines = [clean(f"{name + ':':10} {fact}") for name, fact in facts.items()]
    print("\n".join([*lines, "events:", *(clean(f"  {name}") for name in endpoint["event_types"])]))


def _print_secret(endpoint: "WebhookEndpointWithSecret", *, as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    click.echo(f"{clean(endpoint['id'])}\n{clean(endpoint['signing_secret'])}")
    say(SHOWN_ONCE)
