"""How `llambda data` says what a principal keeps, in 80 columns."""

from collections.abc import Iterator, Mapping
from pathlib import Path
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, Final

from core.cli.files.output import size
from core.cli.terminal import Columns, clean, clip_table, shorten

if TYPE_CHECKING:
    from core.resolution.erasure.engine import Amount, Key, Outcome
    from core.resolution.erasure.exporting import Report
    from core.services.erasure import Estate

TABLE: Final[Columns] = (("API", 14), ("DATA", 34), ("COUNT", 9), ("SIZE", 8))
WIDTH: Final = 80
SAID_SECONDS: Final = 30.0


class Progress:
    """How far it is, and for how long it has been: on a terminal a line that is written again and again; elsewhere one each half minute."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._stream = sys.stderr
        self._drawn = self._stream.isatty()
        self._count = 0
        self._began_at = self._said_at = time.monotonic()
        self._is_open = False

    def note(self, api: str, count: int) -> None:
        """So many more, of this API."""
        self._count += count
        seconds = time.monotonic() - self._began_at
        text = shorten(f"{self._verb} {self._count:,} so far, now of {api} ({seconds:.0f} s)", WIDTH - 1)
        if self._drawn:
            self._stream.write(f"\r{text:{WIDTH - 1}}")
            self._stream.flush()
            self._is_open = True
        elif time.monotonic() - self._said_at > SAID_SECONDS:
            self._said_at = time.monotonic()
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Clear the line, for what is printed next."""
        if self._is_open:
            self._stream.write(f"\r{'':{WIDTH - 1}}\r")
            self._stream.flush()
            self._is_open = False


def amount_lines(estate: "Estate", amounts: "Mapping[Key, Amount]") -> Iterator[str]:
    """A table, or that there is nothing."""
    if not amounts:
        yield clean(f"{estate.principal.id} keeps nothing here.")
        return
    yield from clip_table(TABLE, (_row(key, amount) for key, amount in amounts.items()))


def outcome_lines(estate: "Estate", outcome: "Outcome") -> Iterator[str]:
    """What was deleted, then what is left and why."""
    who = estate.principal.id
    if outcome.removed:
        yield clean(f"Deleted of {who}:")
        yield from amount_lines(estate, outcome.removed)
        yield from _stay_lines()
    elif outcome.is_whole:
        yield clean(f"{who} keeps nothing here.")
    if not outcome.is_whole:
        yield clean(f"Left of {who}; run it again to go on:")
        for (api, name), reason in outcome.reasons.items():
            amount = outcome.left.get((api, name))
            subject = f"{api}: {amount.count} {name}" if amount is not None else f"{api}: cannot be read"
            yield clean(f"  {subject}: {reason}")


def report_lines(estate: "Estate", report: "Report", output: Path) -> Iterator[str]:
    """What was written and where, then what was not and why."""
    who = estate.principal.id
    yield clean(f"Exported of {who}:" if report.data else f"{who} keeps nothing here that can be handed out.")
    if report.data:
        yield from amount_lines(estate, report.data)
    for (api, name), amount in report.omissions.items():
        yield from _paragraph(f"Left out of {api}: {amount.count:,} {name}: {report.reasons[api, name]}")
    for failure in report.failures:
        yield from _paragraph(f"Not read of {failure.api}: {failure.name or 'all of it'}: {failure.reason}")
    yield clean(f"{output}: {report.files:,} files, {size(report.bytes)}, and manifest.json")


def _stay_lines() -> Iterator[str]:
    from core.resolution.erasure.staying import STAYS

    yield "What stays in any case:"
    for subject, reason in STAYS:
        yield from _paragraph(f"  {subject}: {reason}")


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(clean(text), WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def to_json(estate: "Estate", amounts: "Mapping[Key, Amount]") -> dict[str, Any]:
    return {**_who(estate), "data": _entries(amounts)}


def outcome_json(estate: "Estate", outcome: "Outcome") -> dict[str, Any]:
    """An entry of `left` whose `name` is "" is what could not be read."""
    from core.resolution.erasure.staying import STAYS

    left = [
        {"api": api, "name": name, "count": None if (a := outcome.left.get((api, name))) is None else a.count, "reason": reason}
        for (api, name), reason in outcome.reasons.items()
    ]  # fmt: skip
    stays = [{"what": subject, "why": reason} for subject, reason in STAYS]
    return {**_who(estate), "deleted": _entries(outcome.removed), "left": left, "stays": stays}


def _who(estate: "Estate") -> dict[str, str]:
    return {"principal": estate.principal.id, "issuer": estate.principal.vouched_by}


def _entries(amounts: "Mapping[Key, Amount]") -> list[dict[str, Any]]:
    return [
        {"api": api, "name": name, "count": amount.count, "bytes": amount.bytes}
        for (api, name), amount in amounts.items()
    ]


def _row(key: "Key", amount: "Amount") -> list[str]:
    api, name = key
    return [api, name, f"{amount.count:,}", size(amount.bytes) if amount.bytes else "-"]
