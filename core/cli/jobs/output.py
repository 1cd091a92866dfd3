"""How `llambda jobs` says what a stack answers, in 80 columns."""

from collections.abc import Iterator
from datetime import UTC, datetime
import json
import sys
from typing import TYPE_CHECKING, Final, TextIO, TypedDict

from core.cli.terminal import Columns, clean, shorten, width_of, wrap

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobProgress, JobView

ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})
LIST: Final[Columns] = (("JOB", 30), ("KIND", 9), ("STATUS", 9), ("ROWS", 11), ("CREATED", 11))
WIDTH: Final = 80
BAR: Final = 30


def list_row(job: "JobView") -> list[str]:
    """The cells of LIST."""
    created = datetime.fromtimestamp(job["created_at"], UTC).strftime("%m-%d %H:%M")
    return [job["id"], job["kind"], job["status"], _rows(job), created]


def status_line(job: "JobView | Shown") -> str:
    return clean(f"{job['id']}: {job['status']}, {_rows(job)} rows{job.get('note', '')}")


def job_lines(job: "JobView") -> Iterator[str]:
    """A line per fact that there is."""
    progress, usage = job["progress"], job["usage"]
    facts = {
        "job": job["id"],
        "kind": job["kind"],
        "status": job["status"],
        "error": None if job["error"] is None else f"{job['error']['code']}: {job['error']['message']}",
        "rows": f"{progress['completed']} completed, {progress['failed']} failed, {progress['total']} in all",
        "tokens": ", ".join(f"{model} {tokens}" for model, tokens in usage["models"].items()) or "0",
        "owner": job["owner"],
        "about": ", ".join(f"{name} {value}" for name, value in job.get("about", {}).items()) or None,
        "retry of": job["retried_from"],
        "created": _time(job["created_at"]),
        "started": _time(job["started_at"]),
        "ended": _time(job["ended_at"]),
        "ends by": None if job["status"] in ENDED else _time(job["deadline"]),
        "result": None if job["result"] is None else json.dumps(job["result"], ensure_ascii=False),
    }
    for name, fact in facts.items():
        if fact is not None:
            yield wrap(f"{name + ':':9} {shorten(clean(fact), 4 * WIDTH)}", width_of(sys.stdout), " " * 10)


class Shown(TypedDict):
    """What the progress line is of, a job or a batch; a `note` goes on from it."""

    id: str
    status: str
    progress: "JobProgress"
    note: str


class Progress:
    """On a terminal one line that is written again and again; elsewhere a line per status."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = stream.isatty()
        self._status = ""
        self._open = False

    def show(self, job: "JobView | Shown") -> None:
        if self._drawn:
            self._stream.write(f"\r{bar(job):{WIDTH - 1}}")
            self._open = True
        elif job["status"] != self._status:
            self._stream.write(f"{status_line(job)}\n")
        self._status = job["status"]
        self._stream.flush()

    def close(self) -> None:
        """Clear the line, for what is printed next."""
        if self._open:
            self._stream.write(f"\r{'':{WIDTH - 1}}\r")
            self._stream.flush()


def bar(job: "JobView | Shown") -> str:
    """At most 79 characters: the status, a bar, rows, and failures where there are any."""
    progress = job["progress"]
    done, total = progress["completed"] + progress["failed"], progress["total"]
    share = min(1.0, done / total) if total else 0.0
    filled = int(share * BAR)
    failed = f", {progress['failed']} failed" if progress["failed"] else ""
    text = f"{share:4.0%} {done}/{total}{failed}{job.get('note', '')}"
    line = f"{job['status']:11} [{'#' * filled}{'.' * (BAR - filled)}] {text}"
    return shorten(clean(line), WIDTH - 1)


def _rows(job: "JobView | Shown") -> str:
    progress = job["progress"]
    return f"{progress['completed'] + progress['failed']}/{progress['total']}"


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
