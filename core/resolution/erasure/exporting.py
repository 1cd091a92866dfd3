"""Hands out all that a principal keeps: every piece that its erasers give is read, and written as files with a manifest."""

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
import time
from typing import Any, Final, NamedTuple, Protocol

from core.errors import ApiError
from core.frame.version import VERSION
from core.resolution.erasure.engine import Amount, Key, Note
from core.resolution.erasure.sources import Source
from core.resolution.erasure.staying import STAYS
from core.services.erasure import Estate, Piece
from core.services.extracts import name_of

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
REST: Final = "other data"
"""What pieces are called here that have no name, and yet something to read."""


class Sink(Protocol):
    """Where files go. What has been written of them is of no use before `manifest.json` is there, the last one."""

    def write(self, path: str, chunk: bytes) -> None:
        """Append to the file at this path, names joined by `/`; the chunks of one file follow each other."""
        ...


class Failure(NamedTuple):
    """What could not be read, of which a part may have been written; `name` is "" where not even a list of it was to be had."""

    api: str
    name: str
    reason: str


@dataclass(slots=True)
class Report:
    """`data` is what was written, `omissions` what is in no export, with why. `began` is in Unix seconds."""

    began: float = field(default_factory=time.time)
    files: int = 0
    bytes: int = 0
    data: dict[Key, Amount] = field(default_factory=dict[Key, Amount])
    omissions: dict[Key, Amount] = field(default_factory=dict[Key, Amount])
    reasons: dict[Key, str] = field(default_factory=dict[Key, str])
    failures: list[Failure] = field(default_factory=list[Failure])

    def show(self, estate: Estate) -> dict[str, Any]:
        """As `manifest.json` has it."""
        return {
            "format": FORMAT,
            "principal": estate.principal.id,
            "vouched_by": estate.principal.vouched_by,
            "began_at": _iso(self.began),
            "ended_at": _iso(time.time()),
            "llambda": VERSION,
            "files": self.files,
            "bytes": self.bytes,
            "data": [_entry(key, amount, bytes=amount.bytes) for key, amount in self.data.items()],
            "left_out": [_entry(key, amount, reason=self.reasons[key]) for key, amount in self.omissions.items()],
            "failed": [failure._asdict() for failure in self.failures],
            "stays_after_deletion": [{"what": subject, "why": reason} for subject, reason in STAYS],
        }


async def export(sources: Iterable[Source], estate: Estate, sink: Sink, note: Note) -> Report:
    """Write every file, each below a folder of its API. What cannot be read is said in the report, and the rest goes on."""
    report = Report()
    for source in sources:
        note(source.api, 0)
        try:
            async with aclosing(source.erase(estate)) as walk:
                async for pieces in walk:
                    for piece in pieces:
                        note(source.api, await _write(source.api, piece, sink, report))
        except ApiError as failure:
            report.failures.append(Failure(source.api, "", failure.message))
    return report


async def _write(api: str, piece: Piece, sink: Sink, report: Report) -> int:
    """How many more things of the principal's that are."""
    key = api, piece.name or REST
    if piece.name and (piece.omission or piece.read is None):
        report.omissions.setdefault(key, Amount()).add(piece)
        report.reasons[key] = piece.omission
    if piece.read is None:
        return 0
    amount, last, size = Amount(piece.count), "", 0
    try:
        async with aclosing(piece.read()) as files:
            async for path, chunk in files:
                report.files += path != last
                last, size = path, size + len(chunk)
                sink.write(f"{name_of(api)}/{path}", chunk)
    except ApiError as failure:
        report.failures.append(Failure(*key, failure.message))
    report.bytes += size
    if last:
        total = report.data.setdefault(key, Amount())
        total.count, total.bytes = total.count + amount.count, total.bytes + size
    return piece.count if last else 0


def _entry(key: Key, amount: Amount, **more: object) -> dict[str, object]:
    return {"api": key[0], "name": key[1], "count": amount.count, **more}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
