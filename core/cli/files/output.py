"""How `llambda files` says what a stack answers, in 80 columns."""

from collections.abc import Iterator
from datetime import UTC, datetime
import sys
from typing import TYPE_CHECKING, Final, TextIO

from core.cli.terminal import Columns, clean, shorten, width_of, wrap

if TYPE_CHECKING:
    from core.apis.answers.files import FileObject

LIST: Final[Columns] = (("FILE", 37), ("NAME", 18), ("SIZE", 8), ("CREATED", 11))
WIDTH: Final = 80
BAR: Final = 30
NAME: Final = 18
STEP: Final = 1024
UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def list_row(file: "FileObject") -> list[str]:
    """The cells of LIST."""
    created = datetime.fromtimestamp(file["created_at"], UTC).strftime("%Y-%m-%d")
    return [file["id"], file["filename"], size(file["bytes"]), created]


def line(file: "FileObject") -> str:
    return clean(f"{file['id']}  {size(file['bytes']):>8}  {file['filename']}")


def file_lines(file: "FileObject") -> Iterator[str]:
    """A line per fact that there is."""
    facts = {
        "file": file["id"],
        "name": file["filename"],
        "size": f"{file['bytes']} bytes",
        "purpose": file["purpose"],
        "status": file["status"],
        "created": _time(file["created_at"]),
        "expires": "never" if file["expires_at"] is None else _time(file["expires_at"]),
    }
    for name, fact in facts.items():
        yield wrap(f"{name + ':':9} {clean(fact)}", width_of(sys.stdout), " " * 10)


def size(number: int) -> str:
    """In at most 8 characters: `512 B`, `1.4 MB`."""
    amount, unit = float(number), 0
    while amount >= STEP and unit < len(UNITS) - 1:
        amount, unit = amount / STEP, unit + 1
    return f"{number} B" if not unit else f"{amount:.1f} {UNITS[unit]}"


class Progress:
    """Of one file: on a terminal a line that is written again and again; elsewhere nothing."""

    def __init__(self, stream: TextIO, name: str, total: int) -> None:
        self._stream = stream
        self._drawn = stream.isatty()
        self._name = name
        self._total = total
        self._open = False

    def show(self, sent: int) -> None:
        """Of the file `sent` bytes are on their way."""
        if self._drawn:
            self._stream.write(f"\r{bar(self._name, sent, self._total):{WIDTH - 1}}")
            self._stream.flush()
            self._open = True

    def close(self) -> None:
        """Clear the line, for what is printed next."""
        if self._open:
            self._stream.write(f"\r{'':{WIDTH - 1}}\r")
            self._stream.flush()


def bar(name: str, sent: int, total: int) -> str:
    """At most 79 characters: the name, a bar, and how much of how much."""
    share = min(1.0, sent / total) if total else 1.0
    filled = int(share * BAR)
    text = f"{shorten(clean(name), NAME):{NAME}} [{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%} {size(total)}"
    return shorten(text, WIDTH - 1)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
