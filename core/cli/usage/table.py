"""Usage as a table: groups to the left, numbers to the right, in the width of the terminal."""

from collections.abc import Iterator, Mapping, Sequence
import sys
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import clean, narrow, paint, shorten, width_of

if TYPE_CHECKING:
    from core.apis.answers.spending import UsageEntry

NUMBERS: Final = {"requests": "REQUESTS", "prompt_tokens": "PROMPT", "completion_tokens": "COMPLETION"}
WIDER: Final = {"cached_tokens": "CACHED", "reasoning_tokens": "REASONING"}
"""Where there is room for them too."""
COST: Final = "COST (USD)"
SHORT: Final = {"requests": "REQ", "prompt_tokens": "IN", "completion_tokens": "OUT"}
"""Titles where there is no room for more."""
SHORT_COST: Final = "USD"
NOTHING: Final = "-"
UNITS: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
COMPACT: Final = 10_000  # from which a number is written shorter, where there is no room
LEAST_GROUP: Final = 12  # characters that each group keeps, before numbers are written shorter
SMALLEST: Final = 0.0001  # USD that are shown


def lay_out(by: Sequence[str], entries: Sequence["UsageEntry"], total: "UsageEntry") -> Iterator[str]:
    """The lines: titles, the entries in their order, and the total of all."""
    width = width_of(sys.stdout)
    groups = [[name.upper() for name in by], *([_group(name, entry) for name in by] for entry in entries)]
    groups.append(["TOTAL", *[""] * (len(by) - 1)] if by else ["TOTAL"])
    if not by:
        groups[:-1] = [[""] for _ in groups[:-1]]
    rows = [*entries, total]
    columns = {**NUMBERS, **WIDER}
    numbers = _numbers(columns, rows, short=False)
    if not _fits(groups, numbers, width):
        columns = NUMBERS
        numbers = _numbers(columns, rows, short=False)
    if not _fits(groups, numbers, width):
        numbers = _numbers(SHORT, rows, short=True)
    yield from _lines(groups, numbers, width)


def _lines(groups: Sequence[Sequence[str]], numbers: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    right = [max(map(len, column)) for column in zip(*numbers, strict=True)]
    room = width - sum(right) - 2 * len(right)
    widths = narrow([max(map(len, column)) for column in zip(*groups, strict=True)], room)
    last = len(groups) - 1
    for place, (texts, counts) in enumerate(zip(groups, numbers, strict=True)):
        cells = [f"{shorten(text, size):{size}}" for text, size in zip(texts, widths, strict=True)]
        cells += [f"{text:>{size}}" for text, size in zip(counts, right, strict=True)]
        line = "  ".join(cells)
        yield paint(line, "title", sys.stdout) if place in {0, last} else line


def _fits(groups: Sequence[Sequence[str]], numbers: Sequence[Sequence[str]], width: int) -> bool:
    right = sum(max(map(len, column)) + 2 for column in zip(*numbers, strict=True))
    widths = [max(map(len, column)) for column in zip(*groups, strict=True)]
    return sum(min(size, LEAST_GROUP) for size in widths) + 2 * (len(widths) - 1) + right <= width


def _numbers(columns: Mapping[str, str], rows: Sequence["UsageEntry"], *, short: bool) -> list[list[str]]:
    write = _short if short else _whole
    texts = [[*(write(_count(row, name)) for name in columns), cost_cell(row)] for row in rows]
    return [[*columns.values(), SHORT_COST if short else COST], *texts]


def _count(row: Mapping[str, Any], name: str) -> int:
    count: int = row[name]
    return count


def _group(name: str, entry: Mapping[str, Any]) -> str:
    """What an entry is under a title: of a key its name, where it has one."""
    value = (entry.get("key_name") or entry["key"]) if name == "key" else entry[name]
    return clean(value) if value else NOTHING


def cost_cell(entry: "UsageEntry") -> str:
    """With a plus where some answers' prices are not known."""
    cost = entry["cost"]
    if cost is None:
        return "unpriced"
    text = f"<{SMALLEST}" if 0 < cost < SMALLEST else f"{cost:,.4f}"
    return f"{text}+" if entry["unpriced_answers"] else text


def _whole(count: int) -> str:
    return f"{count:,}"


def _short(count: int) -> str:
    """As 1.2M, cut off: never more than there is."""
    if count < COMPACT:
        return f"{count:,}"
    size, unit = next((size, unit) for size, unit in UNITS if count >= size)
    tenths = count * 10 // size
    return f"{tenths // 10}.{tenths % 10}{unit}" if tenths < 1000 else f"{count // size}{unit}"  # noqa: PLR2004 - 100 in tenths
