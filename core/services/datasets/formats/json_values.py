"""Rows of a JSON file: a list of objects, an object that has such a list as its `rows` or `data`, or objects one after another.

The text is never whole in memory: a row is read as soon as its end is there.
"""

from collections.abc import AsyncIterator, Iterator
from json import JSONDecodeError, JSONDecoder, loads
import re
from typing import Final

from core.errors import InvalidRequest
from core.services.datasets.formats.decoding import decode
from core.services.datasets.formats.rules import EncodedRow, Place, RowBounds, read_row, too_long

MORE: Final = (
    "has more after the object that has its rows. If it has an object on each line, name it `.jsonl`, or give it the media type "
    "`application/jsonl`."
)
WRAPPER: Final = re.compile(r'\{\s*"(?:rows|data)"\s*:\s*\[')
LIST: Final = re.compile(r"\[")
ONE: Final = re.compile(r"[,\]]")
BLANK: Final = re.compile(r"[ \t\r\n]*")
HEAD: Final = 4096  # characters that are waited for before the form is told
CUT: Final = 12  # characters: as many as an error of a text that was cut can be before its end
DECODER: Final = JSONDecoder(parse_int=str, parse_float=str)  # it says where a value ends, and what it is others say


class _Window:
    """The part of the text that is not read yet; `line` is of its first character."""

    def __init__(self, name: str, bounds: RowBounds) -> None:
        self.text = ""
        self.at = 0
        self.line = 1
        self._name = name
        self._bounds = bounds
        self._enough = 0

    def add(self, text: str) -> None:
        self.text = self.text[self.at :] + text
        self.at = 0

    def skip(self, form: re.Pattern[str]) -> bool:
        match = form.match(self.text, self.at)
        if match is None:
            return False
        self._pass(match.end())
        return True

    def check_waiting(self) -> None:
        """Raises InvalidRequest where more waits than a row may have."""
        if len(self.text) - self.at > self._bounds.row_bytes:
            raise too_long(self.place, self._bounds)

    def next_sign(self) -> str:
        """The next one that is not blank; "" where more must come."""
        self.skip(BLANK)
        return self.text[self.at : self.at + 1]

    def read(self, *, is_last: bool) -> EncodedRow | None:
        """The value that begins here; None where its end has not come. What is long is tried again when it has doubled."""
        waiting = len(self.text) - self.at
        if waiting < self._enough and not is_last:
            return None
        try:
            _, end = DECODER.raw_decode(self.text, self.at)
        except JSONDecodeError as invalid:
            self.check_waiting()
            if is_last or not _is_cut(invalid, self.text):
                raise self._broken(invalid) from invalid
            self._enough = 2 * waiting
            return None
        except RecursionError as deep:
            raise self.place.refusal("is nested too deeply.") from deep
        text = self.text[self.at : end].encode(errors="surrogatepass")
        if len(text) > self._bounds.row_bytes:
            raise too_long(self.place, self._bounds)
        row = read_row(text, self._name, self.line)
        self._enough = 0
        self._pass(end)
        return row

    @property
    def place(self) -> Place:
        return Place(self._name, self.line)

    def _broken(self, invalid: JSONDecodeError) -> InvalidRequest:
        line = self.line + self.text.count("\n", self.at, invalid.pos)
        return Place(self._name, line).refusal(f"is no JSON ({invalid.msg}).")

    def _pass(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end


def _is_cut(invalid: JSONDecodeError, text: str) -> bool:
    """Whether the error may be of a text whose rest has not come."""
    return invalid.msg.startswith("Unterminated string") or invalid.pos >= len(text) - CUT


class _Rows:
    """`is_list`: they are between brackets; `is_inner`: these are within an object. `may_end` and `wants_comma` say what may come next."""

    def __init__(self, window: _Window) -> None:
        self._window = window
        self._has_begun = False
        self._is_list = False
        self._is_inner = False
        self._wants_comma = False
        self._may_end = True
        self._has_ended = False

    def read(self, *, is_last: bool) -> Iterator[EncodedRow]:
        """Those whose end is there. Raises InvalidRequest."""
        if not self._has_begun and not self._begin(is_last=is_last):
            return
        while not self._has_ended and (sign := self._window.next_sign()):
            if self._is_list and self._steps(sign):
                continue
            row = self._window.read(is_last=is_last)
            if row is None:
                return
            yield row
            self._wants_comma, self._may_end = self._is_list, True
        self._check_end(is_last=is_last)

    def _begin(self, *, is_last: bool) -> bool:
        window = self._window
        if len(window.text) < HEAD and not is_last:
            return False
        window.skip(BLANK)
        self._is_inner = window.skip(WRAPPER)
        self._is_list = self._is_inner or window.skip(LIST)
        self._has_begun = True
        return True

    def _steps(self, sign: str) -> bool:
        """Whether it is a sign between rows, which is gone past."""
        if sign == "]" and self._may_end:
            self._has_ended = True
        elif (sign == ",") != self._wants_comma:
            raise self._window.place.refusal("is no JSON: after a row of a list comes a comma, or the list's end.")
        elif sign != ",":
            return False
        self._wants_comma = self._may_end = False
        self._window.skip(ONE)
        return True

    def _check_end(self, *, is_last: bool) -> None:
        window = self._window
        if not self._has_ended:
            if is_last and self._is_list:
                raise window.place.refusal("is no JSON: it ends before its list does.")
            return
        window.check_waiting()
        if not is_last:
            return
        if not self._is_inner and window.next_sign():
            raise window.place.refusal("has more after its list of rows.")
        if self._is_inner and not _is_rest_of_object(window.text[window.at :]):
            raise window.place.refusal(MORE)


def _is_rest_of_object(text: str) -> bool:
    try:
        loads('{"rows":[]' + text)
    except (ValueError, RecursionError):
        return False
    return True


async def read_json_values(
    chunks: AsyncIterator[bytes], name: str, bounds: RowBounds
) -> AsyncIterator[list[EncodedRow]]:
    """The rows that a chunk completes, at a time. Raises InvalidRequest, which names the line."""
    window = _Window(name, bounds)
    rows = _Rows(window)
    async for text in decode(chunks, name):
        window.add(text)
        yield list(rows.read(is_last=False))
    yield list(rows.read(is_last=True))
