"""How much one run may say: all of it is in memory at its end, several times, whoever wrote it. Pure."""

from typing import Final

from core.errors import UpstreamFailed
from core.services.responses.contract import AnnotationAdded, Event, ItemAdded, ItemDone, PhaseChanged, TextDelta
from core.services.responses.state.pages import size_of

MOST_OUTPUT: Final = 16_000_000
"""Characters; the longest answer of a model has some hundred thousand tokens."""
TOO_LONG: Final = "The response has come to more than 16 MB, and ends here. Ask for less at once: set `max_output_tokens`, or `max_tool_calls`."
LEAST: Final = 64
"""Of any event; of each logarithm of a probability too."""


class OutputBound:
    """`left` is what may still be said: less than 0 once it is too much, of which the last events were told."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_OUTPUT

    def take(self, event: Event) -> None:
        if isinstance(event, TextDelta) and not event.logprobs:  # as nearly all are
            self.left -= len(event.text)
        else:
            self.left -= _weight_of(event)

    def check(self) -> None:
        """Raises UpstreamFailed; asked before more is read, when all that was is told."""
        if self.left < 0:
            raise UpstreamFailed(TOO_LONG)


def _weight_of(event: Event) -> int:
    match event:
        case TextDelta(text=text, logprobs=logprobs):
            return len(text) + LEAST * sum(1 + len(entry.get("top_logprobs") or ()) for entry in logprobs)
        case ItemDone(item=item) if item.get("type") != "message":  # whose text was told before
            return size_of(item)
        case AnnotationAdded(annotation=annotation):
            return size_of(annotation)
        case ItemAdded() | PhaseChanged():
            return LEAST
        case _:
            return len(getattr(event, "text", ""))
