"""What the commands that call a running stack share: its URL, the caller's key, and how a failure is reported."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict

import click

from core.cli.options import Decorator, json_option
from core.cli.terminal import clean, say

if TYPE_CHECKING:
    from core.client.api import Client
    from core.client.failures import ApiFailed

URL: Final = "http://127.0.0.1:8321"
NOT_FOUND: Final = 404
MISTAKES: Final = frozenset({400, 413})  # statuses that blame the request


class RequestRefused(click.ClickException):
    """The stack says that the request is wrong: a mistake of the command's user."""

    exit_code = 2


url_option: Final[Decorator] = click.option(
    "--url",
    metavar="URL",
    envvar="LLAMBDA_URL",
    default=URL,
    show_default=True,
    show_envvar=True,
    help="The running stack.",
)
api_key_option: Final[Decorator] = click.option(
    "--api-key",
    metavar="KEY",
    envvar="LLAMBDA_API_KEY",
    show_envvar=True,
    help="The caller's API key. Other users of this machine can see a command line: prefer the variable.",
)


provider_data_option: Final[Decorator] = click.option(
    "--provider-data",
    metavar="JSON",
    envvar="LLAMBDA_PROVIDER_DATA",
    show_envvar=True,
    help='Your own keys for providers, as {"tavily_search_api_key": ...} or {"mcp_headers": {URL: {NAME: ...}}}: prefer the variable.',
)


class StackOptions(TypedDict, total=False):
    """Which stack, and the caller's key."""

    url: Required[str]
    api_key: str | None


class OwnKeys(StackOptions):
    """And the caller's own keys for providers."""

    provider_data: str | None


def stack_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of StackOptions, and --json."""
    return url_option(api_key_option(json_option(function)))


@contextmanager
def open_client(
    url: str, api_key: str | None, provider_data: str | None = None, *, listing: str = ""
) -> "Generator[Client]":
    """A client of the stack at `url`; `listing` is the command that lists what a 404 is about.

    Raises:
        click.ClickException: what the client raises inside, and what is wrong with its arguments.
    """
    from core.client.api import Client
    from core.client.failures import ApiFailed, Unreachable

    try:
        client = Client(url, api_key, provider_data=provider_data or "")
    except ValueError as wrong:
        raise click.UsageError(f"--url, --api-key, --provider-data: {wrong}") from wrong
    try:
        yield client
    except ApiFailed as failure:
        kind = RequestRefused if failure.status in MISTAKES else click.ClickException
        advice = f" `{listing}` lists what there is." if _is_about(failure, listing) else ""
        raise kind(clean(str(failure)) + advice) from failure
    except Unreachable as failure:
        raise click.ClickException(f"{clean(str(failure))} Name another with --url or LLAMBDA_URL.") from failure


def _is_about(failure: "ApiFailed", listing: str) -> bool:
    """Whether what is not there is one of what `llambda NOUN list` lists; a model or a tool that is not there is another matter."""
    noun = listing.removeprefix("llambda ").partition(" ")[0].removesuffix("s").replace("-", " ")
    return bool(noun) and failure.status == NOT_FOUND and f"no {noun}" in failure.message


def first_model(client: "Client") -> str:
    """The first one that answers texts, which is said.

    Raises:
        RequestRefused: there is none.
    """
    for model in client.inspect.models():
        if model["model_type"] == "llm":
            say(clean(f"note: the model is {model['identifier']}; --model names another"))
            return model["identifier"]
    raise RequestRefused("the stack has no model; name one with --model")
