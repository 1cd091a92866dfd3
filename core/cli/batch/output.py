"""What `llambda batch` reads of a file, and how it says what a stack answers, in 80 columns."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from core.cli.terminal import Columns, clean, cost_text, shorten, width_of, wrap
from core.platform.json_values import is_object, to_object

if TYPE_CHECKING:
    from core.apis.answers.batches import Batch, BatchFault
    from core.cli.jobs.output import Shown

ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})
LIST: Final[Columns] = (("BATCH", 30), ("STATUS", 11), ("LINES", 13), ("CREATED", 11))
WIDTH: Final = 80
LONGEST_LINE: Final = 2 * 1024 * 1024
MOST_FAULTS: Final = 10  # that are shown
TEMPLATE: Final = """{"body": {"model": "..", "messages": [{"role": "user", "content": "{{question}}"}]}}"""
ENDPOINTS: Final = {"messages": "/v1/chat/completions", "prompt": "/v1/completions"}
"""By a field of the body; with others it has to be named."""
TURN: Final = "/v1/agents/{agent_id}/turn"


def endpoint_of(path: Path) -> str:
    """The `url` of the first line; raises click.UsageError where it says none."""
    with path.open("rb") as file:
        first = next((line for line in iter(lambda: file.readline(LONGEST_LINE), b"") if line.strip()), b"")
    try:
        url = to_object(json.loads(first)).get("url")
    except (ValueError, RecursionError):
        url = None
    if not isinstance(url, str):
        raise click.UsageError(f"The first line of {path} names no `url`: give the endpoint with --endpoint.")
    return url


def template_of(path: Path) -> dict[str, Any]:
    """The template of a line that the file has as JSON; raises click.UsageError for one that has none."""
    try:
        template = to_object(json.loads(path.read_bytes()))
    except (ValueError, RecursionError):
        template = {}
    if not is_object(template.get("body")):
        raise click.UsageError(f"{path} is no template of a line, as {TEMPLATE}")
    return template


def endpoint_for(template: dict[str, Any], path: Path) -> str:
    """The `url` of the template, or what its body is one of; raises click.UsageError where neither says it."""
    if isinstance(template.get("url"), str):
        url: str = template["url"]
        return TURN if url.startswith("/v1/agents/") else url
    for name, endpoint in ENDPOINTS.items():
        if name in template["body"]:
            return endpoint
    raise click.UsageError(f"{path} names no `url`: give the endpoint with --endpoint.")


def pairs_of(texts: Sequence[str]) -> dict[str, str]:
    """Raises click.UsageError for what is no KEY=VALUE."""
    pairs = [text.partition("=") for text in texts]
    if wrong := next((text for text, (_, mark, _) in zip(texts, pairs, strict=True) if not mark), None):
        raise click.UsageError(f"--metadata {wrong}: write it as KEY=VALUE.")
    return {name: value for name, _, value in pairs}


def progress_of(batch: "Batch") -> "Shown":
    """For the progress line."""
    counts = batch["request_counts"]
    note = "" if batch["waiting"] is None else f", waits for its quota until {_clock(batch['waiting']['until'])}"
    return {"id": batch["id"], "status": batch["status"], "progress": {**counts}, "note": note}


def list_row(batch: "Batch") -> list[str]:
    """The cells of LIST."""
    created = datetime.fromtimestamp(batch["created_at"], UTC).strftime("%m-%d %H:%M")
    return [batch["id"], batch["status"], _lines(batch), created]


def status_line(batch: "Batch") -> str:
    return clean(f"{batch['id']}: {batch['status']}, {_lines(batch)} lines")


def batch_lines(batch: "Batch") -> Iterator[str]:
    """A line per fact that there is."""
    counts, usage, waiting = batch["request_counts"], batch["usage"], batch["waiting"]
    ended = next(
        (batch[name] for name in ("completed_at", "failed_at", "expired_at", "cancelled_at") if batch[name]), None
    )
    facts = {
        "batch": batch["id"],
        "status": batch["status"],
        "waits": None if waiting is None else f"for its quota, until {_time(waiting['until'])}",
        "endpoint": batch["endpoint"],
        "model": batch["model"],
        "lines": f"{counts['completed']} completed, {counts['failed']} failed, {counts['total']} in all",
        "tokens": None if usage is None else f"{usage['input_tokens']} in, {usage['output_tokens']} out",
        "cost": None if usage is None else cost_text(usage.get("cost")),
        "input": batch["input_file_id"] or batch.get("input_dataset_id"),
        "output": batch["output_file_id"],
        "dataset": batch.get("output_dataset_id"),
        "errors": batch["error_file_id"],
        "metadata": None if not batch["metadata"] else json.dumps(batch["metadata"], ensure_ascii=False),
        "created": _time(batch["created_at"]),
        "started": _time(batch["in_progress_at"]),
        "ended": _time(ended),
        "ends by": None if batch["status"] in ENDED else _time(batch["expires_at"]),
    }
    for name, fact in facts.items():
        if fact is not None:
            yield wrap(f"{name + ':':9} {shorten(clean(fact), 4 * WIDTH)}", width_of(sys.stdout), " " * 10)
    faults = [] if batch["errors"] is None else batch["errors"]["data"]
    yield from map(_fault_line, faults[:MOST_FAULTS])
    if len(faults) > MOST_FAULTS:
        yield f"          and {len(faults) - MOST_FAULTS} more: llambda batch show {clean(batch['id'])} --json"


def _fault_line(fault: "BatchFault") -> str:
    place = "file:" if fault["line"] is None else f"line {fault['line']}:"
    text = f"{place:9} {shorten(clean(fault['message']), 4 * WIDTH)} ({clean(str(fault['code']))})"
    return wrap(text, width_of(sys.stdout), " " * 10)


def _lines(batch: "Batch") -> str:
    counts = batch["request_counts"]
    return f"{counts['completed'] + counts['failed']}/{counts['total']}"


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M UTC")
