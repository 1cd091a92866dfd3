"""What is printed for people: no control characters, lines that fit with words whole, colour where it is shown."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
import os
import re
import shlex
import sys
from textwrap import TextWrapper
import threading
import time
from typing import Final, TextIO

from core.frame.observed import NANOS, usd_text
from core.platform import environment

type Columns = tuple[tuple[str, int], ...]
"""The title and the width of each."""

WIDTH: Final = 80  # of what is laid out, where there is no terminal
NARROWEST: Final = 40
NARROWEST_CELL: Final = 8
LEAST_PROSE: Final = 24  # that a last column is wrapped in; with less it has lines of its own
QUOTED: Final = re.compile(r"`[^`]*`")
HELD: Final = "\x00"  # in the place of a blank at which no line ends
PROGRAMS: Final = frozenset({"llambda", "python", "uv", "aws", "cd", "curl", "make", "sam"})
COUNT: Final = re.compile(r": [0-9]+ problems?$")  # after a path, of which there may be much
STYLES: Final = {"title": "1", "bad": "1;31", "warning": "33", "good": "32", "place": "36"}
MARKS: Final = (
    (re.compile(r"^Error:", re.MULTILINE), "bad"),
    (re.compile(r"^(warning|note):", re.MULTILINE), "warning"),
    (re.compile(r"^  [\w.\[\]-]+(?=: )", re.MULTILINE), "place"),
)
DRAWN_SECONDS: Final = 1.0
SAID_SECONDS: Final = 30.0


def clean(text: str) -> str:
    """Without characters that a terminal obeys: what others wrote is only shown."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def is_harmless(text: str) -> bool:
    """Whether lines end where they seem to, and a terminal obeys nothing in them."""
    return text.replace("\n", "").isprintable()


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def width_of(stream: TextIO, otherwise: int = WIDTH) -> int:
    """COLUMNS, or the width of a terminal, and 40 at the least; or `otherwise` where there is neither."""
    columns = environment.environ().get("COLUMNS", "")
    if columns.isascii() and columns.isdecimal() and int(columns):
        return max(NARROWEST, int(columns))
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns or otherwise)
    except (OSError, ValueError):  # no terminal, or no file
        return otherwise


def has_colour(stream: TextIO) -> bool:
    """As no-color.org and force-color.org have it; else where there is a terminal that is not a dumb one."""
    variables = environment.environ()
    if variables.get("NO_COLOR"):
        return False
    return bool(variables.get("FORCE_COLOR")) or (stream.isatty() and variables.get("TERM") != "dumb")


def paint(text: str, style: str, stream: TextIO) -> str:
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if text and has_colour(stream) else text


def show(text: str) -> None:
    """To the standard output, in its width."""
    print(wrap(text, width_of(sys.stdout)), flush=True)


def say(text: str) -> None:
    """To the standard error: a message is a line in a pipe, and as many as it needs on a terminal."""
    text = wrap(text, width_of(sys.stderr, 0), "  ")
    if has_colour(sys.stderr):
        head, newline, rest = text.partition("\n")
        text = f"{paint(head, 'bad', sys.stderr) if COUNT.search(head) else head}{newline}{rest}"
        for pattern, style in MARKS:
            text = pattern.sub(lambda mark, style=style: paint(mark[0], style, sys.stderr), text)  # type: ignore[misc]
    print(text, file=sys.stderr, flush=True)


def wrap(text: str, width: int, indent: str = "") -> str:
    """Each line in lines of at most `width`, words whole; 0 is no limit. What goes on is indented as its line, and more.

    `a command` stays on one line, however long, and so does a line that is one: they are to be pasted.
    """
    return "\n".join(_wrap_line(line, width, indent) for line in text.split("\n")) if width else text


def _wrap_line(line: str, width: int, indent: str) -> str:
    if len(line) <= width or _is_command(line) or COUNT.search(line):
        return line
    body = line.lstrip(" ")
    start = " " * (len(line) - len(body))
    wrapper = TextWrapper(
        width,
        initial_indent=start,
        subsequent_indent=start + indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        expand_tabs=False,
    )
    return wrapper.fill(QUOTED.sub(lambda quoted: quoted[0].replace(" ", HELD), body)).replace(HELD, " ")


def _is_command(line: str) -> bool:
    """Whether it is one to be pasted: indented, and begins with a program or an assignment."""
    try:
        first = shlex.split(line)[0] if line.startswith("  ") else ""
    except ValueError:  # a text with an apostrophe
        return False
    return first.rpartition("/")[2] in PROGRAMS or re.match(r"[A-Z_]+=", first) is not None


def clip_table(columns: Columns, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines, titles first; what does not fit its column is shortened, and columns are where the terminal is narrow.

    The first one gives last: it has what the next command is given.
    """
    (first, *others), width = [width for _, width in columns], width_of(sys.stdout)
    widths = narrow([first, *narrow(others, width - first - 2)], width)
    for number, row in enumerate([[title for title, _ in columns], *rows]):
        cells = (f"{shorten(clean(cell), width):{width}}" for cell, width in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        yield line if number else paint(line, "title", sys.stdout)


def narrow(widths: Sequence[int], width: int) -> list[int]:
    """Those of columns that have two blanks between them, so that they fit: the widest give."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths, default=0) > NARROWEST_CELL:
        widths[widths.index(max(widths))] -= 1
    return widths


def wrap_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines; each column is as wide as its widest cell, and the last one goes on below itself, or on a line of its own."""
    *widths, last = [max(map(len, column)) for column in zip(*rows, strict=True)]
    start, width = sum(widths) + 2 * len(widths), width_of(sys.stdout)
    room = width - start
    longest = max(len(word) for row in rows for word in row[-1].split(" "))
    for number, row in enumerate(rows):
        head = "  ".join([*map(str.ljust, row[:-1], widths), ""])
        if last <= room:
            text = f"{head}{row[-1]}".rstrip()
        elif room >= max(LEAST_PROSE, longest):
            text = wrap(row[-1], room).replace("\n", f"\n{' ' * start}")
            text = f"{head}{text}".rstrip()
        else:
            text = "\n".join(wrap(line, width, "    ") for line in (head.rstrip(), f"    {row[-1]}"))
        for line in text.split("\n"):
            yield line if number else paint(line, "title", sys.stdout)


@contextmanager
def ticking(text: str) -> Generator[None]:
    """`text`, and while it takes long that it still goes on: counted on a terminal, elsewhere a line each half minute."""
    drawn = sys.stderr.isatty()
    begin, ending = time.monotonic(), threading.Event()
    print(text, file=sys.stderr, flush=True)

    def tick() -> None:
        while not ending.wait(DRAWN_SECONDS if drawn else SAID_SECONDS):
            line = f"  {time.monotonic() - begin:.0f} s ..."
            print(f"\r{line}" if drawn else line, end="" if drawn else "\n", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        if drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def cost_text(cost: float | None) -> str | None:
    """As in `0.0123 USD`; None where it is not known, or whoever answers does not say it."""
    return None if cost is None else f"{usd_text(round(cost * NANOS))} USD"
