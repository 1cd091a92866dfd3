"""A turn that a command asks for: its body, and its way to the terminal."""

from collections.abc import Iterator, Sequence
from io import StringIO
from mimetypes import guess_type
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from core.cli.agents import output
from core.cli.agents.printing import TurnPrinter
from core.cli.remote import RequestRefused
from core.cli.terminal import clean, say, shorten
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.client.api import Client
    from core.frame.types import JsonObject

TEXT: Final = "text/plain"
MOST_NAME: Final = 40
AWAITS: Final = "end_of_message"


def document_of(place: str) -> "JsonObject":
    """A URL, which the stack fetches, or the text of a file of this machine."""
    kind = guess_type(place)[0] or TEXT
    if place.startswith(("http://", "https://")):
        return {"content": {"uri": place}, "mime_type": kind}
    try:
        return {"content": Path(place).expanduser().read_text("utf-8"), "mime_type": kind}
    except (OSError, UnicodeDecodeError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else "it is no text; put it into a vector store"
        raise click.UsageError(f"--document: {place} cannot be read: {reason}") from None


def name_of(text: str) -> str:
    """Of a session that begins with this text."""
    return shorten(" ".join(text.split()), MOST_NAME)


def body_of(text: str, documents: Sequence[str]) -> "JsonObject":
    question = sys.stdin.read() if text == "-" else text
    body: dict[str, Any] = {"messages": [{"role": "user", "content": question}]}
    return body | ({"documents": [document_of(place) for place in documents]} if documents else {})


def answers_of(
    client: "Client", agent: str, session: str, turn: str, answers: Sequence[tuple[str, str]]
) -> "list[JsonObject]":
    """With the names of the tools that the turn awaits.

    Raises:
        RequestRefused: it awaits no such call.
    """
    message = client.sessions.turn(agent, session, turn)["output_message"]
    names = {call["call_id"]: call["tool_name"] for call in message.get("tool_calls") or ()}
    unknown = [call for call, _ in answers if call not in names]
    if unknown:
        raise RequestRefused(f"the turn awaits no call `{unknown[0]}`, but {', '.join(map(clean, names)) or 'none'}")
    return [{"call_id": call, "tool_name": names[call], "content": text} for call, text in answers]


def show_turn(events: "Iterator[JsonObject]", *, hidden: bool) -> "JsonObject":
    """The turn, {} where there is none; its answer is printed as it comes, or not at all where it is `hidden`."""
    printer = TurnPrinter(StringIO() if hidden else sys.stdout)
    try:
        for event in events:
            printer.show(event)
    except KeyboardInterrupt:
        printer.end_line()
        raise
    return printer.close()


def say_what_follows(turn: "JsonObject", agent: str, session: str) -> None:
    """The command that goes on from it."""
    message = to_object(turn.get("output_message"))
    calls: list[JsonObject] = message.get("tool_calls") or []
    if message.get("stop_reason") != AWAITS or not calls:
        say(clean(f"note: --session {session} goes on"))
        return
    for call in calls:
        say(clean(f"awaits: {output.call_text(call)}"))
    answers = " ".join(f"--answer {call.get('call_id')}=TEXT" for call in calls)
    say(
        clean(
            f"note: `llambda agents turn {agent} --session {session} --resume {turn.get('turn_id')} {answers}` goes on"
        )
    )
