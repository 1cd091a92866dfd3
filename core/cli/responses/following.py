"""The stream of a response to its end, over as many connections as it takes."""

from collections.abc import Iterator
from time import sleep
from typing import TYPE_CHECKING, Final

from core.cli.responses.printing import StreamPrinter
from core.cli.terminal import say

if TYPE_CHECKING:
    from core.client.api import Client
    from core.frame.types import JsonObject

TRIES: Final = 5
"""Connections in a row that bring nothing new."""
PAUSE: Final = 1.0
"""Seconds before the next one."""


def show_all(client: "Client", printer: StreamPrinter, events: "Iterator[JsonObject]") -> "JsonObject":
    """Show these events, and what follows them where their connection ends before the response does.

    Returns the response. Raises ApiFailed; Unreachable, where nothing more could be had.
    """
    tries, seen = 0, None
    while True:
        failure = _show(printer, events)
        if printer.ended or not printer.stored_id:
            break
        tries = tries + 1 if printer.sequence_number == seen else 0
        if tries == TRIES:
            break
        seen = printer.sequence_number
        sleep(PAUSE if failure or tries else 0)
        events = client.responses.follow(printer.stored_id, starting_after=seen)
    if failure and not printer.ended:
        say_how_to_go_on(printer)
        raise failure
    return printer.close()


def say_how_to_go_on(printer: StreamPrinter) -> None:
    """Of a response that is kept, and has not ended as far as is known."""
    if response := printer.stored_id:
        behind = "" if printer.sequence_number is None else f" --starting-after {printer.sequence_number}"
        say(f"note: it goes on; `llambda responses show {response} --follow{behind}` shows the rest")


def _show(printer: StreamPrinter, events: "Iterator[JsonObject]") -> Exception | None:
    """What broke the connection, if anything did."""
    from core.client.failures import Unreachable

    try:
        for event in events:
            printer.show(event)
    except Unreachable as failure:
        return failure
    return None
