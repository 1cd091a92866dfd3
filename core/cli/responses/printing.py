"""A response on a terminal as it comes: the answer apart from what tools do."""

from typing import TYPE_CHECKING, Any, Final, TextIO

from core.cli.responses import output
from core.cli.terminal import clean, say
from core.platform.json_values import is_object

if TYPE_CHECKING:
    from core.frame.types import JsonObject

DELTAS: Final = ("response.output_text.delta", "response.refusal.delta")
ENDED: Final = ("completed", "incomplete", "failed", "cancelled")
SILENT: Final = ("message", "reasoning")


class StreamPrinter:
    """Gets every event of a stream, in order."""

    def __init__(
        self, answer: TextIO, notes: TextIO, response_id: str = "", sequence_number: int | None = None
    ) -> None:
        """`answer` is where the text goes; whether `notes` is a terminal decides nothing, they are lines.

        A stream that is taken up again is that of `response_id`, behind `sequence_number`.
        """
        self._answer = answer
        self._notes = notes
        self._response: JsonObject = {"id": response_id, "store": True} if response_id else {}
        self._in_line = False
        self._broke = False
        self.sequence_number = sequence_number
        """Of the last event that was shown."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come: the response has ended, or its stream says that it broke."""
        return self._broke or self._response.get("status") in ENDED

    @property
    def stored_id(self) -> str:
        """The response's, where it is kept: it can be asked for, and goes on without this stream; else ""."""
        return str(self._response.get("id") or "") if self._response.get("store") else ""

    def show(self, event: "JsonObject") -> None:
        kind = event.get("type")
        number = event.get("sequence_number")
        self.sequence_number = number if isinstance(number, int) else self.sequence_number
        if kind in DELTAS:
            text = output.clean_text(str(event.get("delta") or ""))
            self._answer.write(text)
            self._answer.flush()
            self._in_line = not text.endswith("\n") if text else self._in_line
        elif kind == "response.output_item.done":
            self._item(event["item"])
        elif is_object(response := event.get("response")):
            self._response = response
        elif kind == "error" or "error" in event:
            error: Any = event.get("error") or event
            self._broke = True
            self.end_line()
            say(clean(f"Error: {error.get('message') or 'the stream broke'}"))

    def close(self) -> "JsonObject":
        """The response as it was last told of; an empty object where its stream ended without one."""
        self.end_line()
        if not self.ended:
            say("Error: the stream ended before the response did")
        elif "status" in self._response:
            for source in output.source_lines(self._response["output"]):
                say(f"source: {source}")
            say(output.end_line(self._response))
        return self._response

    def _item(self, item: "JsonObject") -> None:
        if item.get("type") not in SILENT:
            self.end_line()
            say(output.clean_text(output.item_text(item)).replace("\n", " "))

    def end_line(self) -> None:
        """Leave the line that is under way."""
        if self._in_line:
            self._answer.write("\n")
            self._answer.flush()
        self._in_line = False
