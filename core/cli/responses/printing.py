"""A response on a terminal as it comes: the answer apart from what tools do."""

from typing import TYPE_CHECKING, Any, Final, TextIO

from core.cli.responses import output
from core.cli.terminal import clean, say

if TYPE_CHECKING:
    from core.frame.types import JsonObject

DELTAS: Final = ("response.output_text.delta", "response.refusal.delta")
LAST: Final = ("response.completed", "response.incomplete", "response.failed")
SILENT: Final = ("message", "reasoning")


class StreamPrinter:
    """Gets every event of a stream, in order."""

    def __init__(self, answer: TextIO, notes: TextIO) -> None:
        """`answer` is where the text goes; whether `notes` is a terminal decides nothing, they are lines."""
        self._answer = answer
        self._notes = notes
        self._response: JsonObject = {}
        self._in_line = False

    def show(self, event: "JsonObject") -> None:
        kind = event.get("type")
        if kind in DELTAS:
            text = output.clean_text(str(event.get("delta") or ""))
            self._answer.write(text)
            self._answer.flush()
            self._in_line = not text.endswith("\n") if text else self._in_line
        elif kind == "response.output_item.done":
            self._item(event["item"])
        elif kind in LAST:
            self._response = event["response"]
        elif kind == "error" or "error" in event:
            error: Any = event.get("error") or event
            self._end_line()
            say(clean(f"Error: {error.get('message') or 'the stream broke'}"))

    def close(self) -> "JsonObject":
        """The response; an empty object where its stream ended without one."""
        self._end_line()
        if self._response:
            for source in output.source_lines(self._response["output"]):
                say(f"source: {source}")
            say(output.end_line(self._response))
        return self._response

    def _item(self, item: "JsonObject") -> None:
        if item.get("type") not in SILENT:
            self._end_line()
            say(output.clean_text(output.item_text(item)).replace("\n", " "))

    def _end_line(self) -> None:
        if self._in_line:
            self._answer.write("\n")
            self._answer.flush()
        self._in_line = False
