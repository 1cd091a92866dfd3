"""A turn on a terminal as it comes: the answer apart from what tools and shields do."""

from typing import TYPE_CHECKING, Any, Final, TextIO

from core.cli.agents import output
from core.cli.responses.output import clean_text
from core.cli.terminal import clean, say
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.frame.types import JsonObject

LAST: Final = ("turn_complete", "turn_awaiting_input")


class TurnPrinter:
    """Gets every event of a turn, in order."""

    def __init__(self, answer: TextIO) -> None:
        self._answer = answer
        self._in_line = False
        self._failed = False
        self._turn: JsonObject = {}

    def show(self, chunk: "JsonObject") -> None:
        if "error" in chunk:
            self._failed = True
            self.end_line()
            say(clean(f"Error: {to_object(chunk['error']).get('message') or 'the turn broke'}"))
            return
        payload: JsonObject = to_object(to_object(chunk.get("event")).get("payload"))
        kind = payload.get("event_type")
        if kind == "step_progress" and to_object(payload.get("delta")).get("type") == "text":
            self._write(str(payload["delta"].get("text") or ""))
        elif kind == "step_complete":
            self._steps(to_object(payload.get("step_details")))
        elif kind in LAST:
            self._turn = to_object(payload.get("turn"))

    def close(self) -> "JsonObject":
        """The turn; an empty object where its stream ended without one."""
        self.end_line()
        if not self._turn and not self._failed:
            say("Error: the stream ended before the turn did")
        return self._turn

    def end_line(self) -> None:
        """Leave the line that is under way."""
        self._write("\n" if self._in_line else "")
        self._in_line = False

    def _write(self, text: str) -> None:
        harmless = clean_text(text)
        self._answer.write(harmless)
        self._answer.flush()
        self._in_line = not harmless.endswith("\n") if harmless else self._in_line

    def _steps(self, details: "dict[str, Any]") -> None:
        for text in output.step_texts(details):
            self.end_line()
            say(clean_text(text).replace("\n", " "))
