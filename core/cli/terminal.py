"""What is printed for people: no control characters, and tables whose columns line up."""

from collections.abc import Iterable, Iterator, Sequence

type Columns = tuple[tuple[str, int], ...]
"""The title and the width of each."""


def clean(text: str) -> str:
    """Without characters that a terminal obeys: what others wrote is only shown."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def is_harmless(text: str) -> bool:
    """Whether lines end where they seem to, and a terminal obeys nothing in them."""
    return text.replace("\n", "").isprintable()


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def fixed_table(columns: Columns, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines, titles first; what does not fit its column is shortened."""
    for row in [[title for title, _ in columns], *rows]:
        cells = (f"{shorten(clean(cell), width):{width}}" for cell, (_, width) in zip(row, columns, strict=True))
        yield "  ".join(cells).rstrip()


def fitted_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines; each column is as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
