"""What is taken from an answer's text on its way to the caller: what follows a stop sequence, and a fence around JSON. Pure.

Imported with the first request that has `stop` or a JSON `response_format`.
"""

from collections.abc import Sequence
import re
from typing import Final

FENCE: Final = re.compile(r"\s*```[A-Za-z]{0,16}\s*(?=[^A-Za-z\s`])")
PERHAPS_FENCE: Final = re.compile(r"\s*(`{1,2}|```[A-Za-z]{0,16}\s*)?")
MOST_TICKS: Final = 3


class AnswerText:
    """One answer's text as it comes, in pieces of any length; what is not yet sure to be of it is held back.

    Some models take no stop sequences, or not these, and Nova ends with the one that it met: OpenAI's answers never have it.
    """

    def __init__(self, stops: Sequence[str], *, json: bool) -> None:
        self._stops = stops
        self._held_back = max(map(len, stops), default=1) - 1
        self._rest = ""
        self._fence = _Fence() if json else None
        self.stopped = False

    def feed(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._rest + piece
        end = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)
        if end is not None:
            self.stopped, self._rest = True, ""
            return self._unfence(text[:end])
        cut = max(0, len(text) - self._held_back)
        self._rest = text[cut:]
        return self._unfence(text[:cut])

    def end(self) -> str:
        """What was held back, at the end of the answer."""
        rest, self._rest = self._unfence(self._rest), ""
        return rest + (self._fence.end() if self._fence else "")

    def finish_reason(self, reason: str) -> str:
        """What a filter did to an answer is worth more than that it stopped."""
        return "stop" if self.stopped and reason != "content_filter" else reason

    def _unfence(self, text: str) -> str:
        return self._fence.feed(text) if self._fence else text


class _Fence:
    """A Markdown fence around the whole of a text is taken away; one within it is not."""

    def __init__(self) -> None:
        self._rest = ""
        self._spaces: list[str] = []  # after it: joined when something follows, for there may be many
        self._opened = False
        self._begun = False

    def feed(self, piece: str) -> str:
        if self._begun and not self._opened:
            return piece
        if not piece or piece.isspace():
            self._spaces.append(piece)
            return ""
        text = self._release() + piece
        if not self._begun:
            if PERHAPS_FENCE.fullmatch(text):
                self._rest = text
                return ""
            self._begun = True
            match = FENCE.match(text)
            if match is None:
                return text
            self._opened, text = True, text[match.end() :]
        cut = _start_of_end(text)
        self._rest = text[cut:]
        return text[:cut]

    def end(self) -> str:
        """Of an answer that was cut off within its fence, what is left has none."""
        closed = self._opened and self._rest.strip() == "`" * MOST_TICKS
        return "" if closed else self._release()

    def _release(self) -> str:
        """What was held back, which nobody holds any more."""
        text = "".join((self._rest, *self._spaces))
        self._rest = ""
        self._spaces.clear()
        return text


def _start_of_end(text: str) -> int:
    """Where a closing fence begins, or what may become one."""
    text = text.rstrip()
    before = text.rstrip("`")
    return len(before.rstrip()) if len(text) - len(before) <= MOST_TICKS else len(text)
