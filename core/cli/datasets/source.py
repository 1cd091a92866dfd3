"""What `llambda datasets` sends of a file: the whole of a small one, the id of an uploaded one, or its rows."""

from base64 import b64encode
from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import TYPE_CHECKING, Any, Final

import click

from core.platform.json_values import is_list, is_object, to_object

if TYPE_CHECKING:
    from core.client.api import Client

MOST_INLINE: Final = 1024 * 1024
"""Bytes of a file that goes in the registration itself; a larger one is uploaded first."""
UPLOAD_SECONDS: Final = 7 * 86_400  # by when it has been read in, or never will be
PURPOSE: Final = "evals"
MEDIA_TYPES: Final = {
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".json": "application/json",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
}
MOST_ROWS: Final = 1000
MOST_BYTES: Final = 1024 * 1024
"""Of one request that appends rows."""
PURPOSES: Final = (
    ("eval/question-answer", ("question", "answer")),
    ("eval/messages-answer", ("messages", "answer")),
    ("post-training/messages", ("messages",)),
)
SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]+:.", re.IGNORECASE)
UNNAMED: Final = re.compile(r"[^!-~]+")


def is_uri(text: str) -> bool:
    """Whether it is none of a file here: `https://...`, `huggingface://...`, or the id of an uploaded file."""
    return not Path(text).exists() and (SCHEME.match(text) is not None or text.startswith("file-"))


def name_of(path: Path) -> str:
    """What a dataset of this file is called."""
    return UNNAMED.sub("-", path.stem)[:256] or "dataset"


def purpose_of(path: Path) -> str:
    """By the columns of the first row; raises click.UsageError where they say nothing."""
    row = next(read_rows(path), dict[str, Any]()) if path.suffix in {".jsonl", ".ndjson"} else _peek(path)
    for purpose, columns in PURPOSES:
        if row.keys() >= {*columns}:
            return purpose
    raise click.UsageError(f"What {path} is for cannot be told from its columns: say it with --purpose.")


def source_of(client: "Client", path: Path) -> dict[str, str]:
    """As a registration has it; a large file is uploaded, and goes by itself."""
    from core.cli.files.command import upload_file

    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise click.UsageError(f"{path} is none of {', '.join(MEDIA_TYPES)}.")
    if path.stat().st_size > MOST_INLINE:
        return {"type": "uri", "uri": upload_file(client, path, purpose=PURPOSE, seconds=UPLOAD_SECONDS)["id"]}
    return {"type": "uri", "uri": f"data:{media_type};base64,{b64encode(path.read_bytes()).decode()}"}


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Of a file with a JSON object in each line.

    Raises:
        click.UsageError: a line is none; its number is named.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not is_object(row):
                raise click.UsageError(f"{path}, line {number}: it is no JSON object; each line is a row.")
            yield row


def pieces_of(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """As many as one request takes, in their order."""
    piece, size = list[dict[str, Any]](), 0
    for row in rows:
        length = len(json.dumps(row))
        if piece and (len(piece) == MOST_ROWS or size + length > MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += length
    if piece:
        yield piece


def _peek(path: Path) -> dict[str, Any]:
    """The first row of a CSV or JSON file, its columns at least; of another none."""
    if path.suffix == ".csv":
        import csv

        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return dict.fromkeys(next(csv.reader(file), list[str]()))
    if path.suffix != ".json":
        return {}
    try:
        rows: object = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return to_object(rows[0] if is_list(rows) and rows else rows)
