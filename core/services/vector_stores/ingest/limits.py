"""What a file may cost that is read for its text, and how it is refused."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
import time
from typing import Final, Literal

type Code = Literal["unsupported_file", "invalid_file", "server_error"]

MB: Final = 1024 * 1024


class Unreadable(Exception):
    """A file that no text is to be had of; `code` is that of OpenAI's `last_error`, `message` is for whoever sent it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """`text` is in characters, `seconds` of work, `entries` and `unpacked` (bytes) are those of a zip file.

    What is more than `free` bytes when unpacked may be `ratio` times as large as it is packed. `depth` is how deep elements
    of XML may be nested, `memory` bytes of the process that reads a PDF.
    """

    text: int = 20_000_000
    seconds: float = 120.0
    pages: int = 5000
    entries: int = 10_000
    directory: int = 2 * MB
    unpacked: int = 256 * MB
    free: int = 4 * MB
    ratio: int = 100
    depth: int = 256
    memory: int = 1024 * MB


def bounded(texts: Generator[str], limits: ExtractLimits) -> Generator[str]:
    """The texts that are not empty; the time that somebody takes with them is not counted.

    Raises:
        Unreadable: it takes too long, or comes to too much text, or to none.
    """
    seconds, length, is_blank = 0.0, 0, True
    with closing(texts):
        while True:
            began = time.monotonic()
            text = next(texts, None)
            seconds += time.monotonic() - began
            if text is None:
                break
            length += len(text)
            _check(seconds, length, limits)
            is_blank = is_blank and not text.strip()
            if text:
                yield text
    if is_blank:
        message = "This file has no text; what is a scan has to go through a text recognition first."
        raise Unreadable("invalid_file", message)


def _check(seconds: float, length: int, limits: ExtractLimits) -> None:
    if seconds > limits.seconds:
        raise Unreadable("invalid_file", f"To read this file takes longer than {limits.seconds:.0f} s; split it.")
    if length > limits.text:
        message = f"This file has more than {limits.text:,} characters of text; split it."
        raise Unreadable("invalid_file", message)
