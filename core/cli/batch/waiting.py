"""Waiting for a batch of a running stack, also while the stack is started again, and fetching what came of it."""

import sys
from time import sleep
from typing import TYPE_CHECKING, Final

from core.cli.batch import output
from core.cli.jobs.output import Progress
from core.cli.jobs.waiting import insist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.apis.answers.batches import Batch
    from core.client.api import Client

FIRST_POLL: Final = 0.5  # seconds, between two looks at a batch
LONGEST_POLL: Final = 5.0
WHAT: Final = "batch"


def wait_for(client: "Client", batch: "Batch") -> "Batch":
    """The batch, when it has ended; meanwhile its progress is on the standard error."""
    progress = Progress(sys.stderr)
    pause, status = FIRST_POLL, ""
    while batch["status"] not in output.ENDED:
        progress.show(output.progress_of(batch))
        pause = FIRST_POLL if batch["status"] != status else min(1.2 * pause, LONGEST_POLL)
        status = batch["status"]
        sleep(pause)
        batch = insist(lambda id_=batch["id"]: client.batches.get(id_), WHAT)  # type: ignore[misc]
    progress.close()
    return batch


def fetch_files(client: "Client", batch: "Batch", folder: "Path") -> "Iterator[Path] | list[Path]":
    """Its output and its error file, each whole or not at all, in the place of what was fetched before."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, file_id in (("output", batch["output_file_id"]), ("error", batch["error_file_id"])):
        if file_id is not None:
            path = folder / f"{batch['id']}_{name}.jsonl"
            insist(lambda id_=file_id, path_=path: _fetch(client, id_, path_), WHAT)  # type: ignore[misc]
            paths.append(path)
    return paths


def _fetch(client: "Client", file_id: str, path: "Path") -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(client.files.content(file_id))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
