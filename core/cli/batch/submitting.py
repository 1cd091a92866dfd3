"""How a file, or a dataset, is submitted once: what it is of is in its key, and in the name that a file is uploaded by."""

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from secrets import token_hex
import sys
from typing import TYPE_CHECKING, Final

from core.cli.files.output import Progress

if TYPE_CHECKING:
    from core.apis.answers.batches import Batch
    from core.client.api import Client
    from core.client.batches import DatasetInput

PURPOSE: Final = "batch"
LOOKED_AT: Final = 1000  # files of the caller's, newest first
DIGITS: Final = 32
CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Submission:
    file: Path
    endpoint: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatasetSubmission:
    """Each row of the dataset fills the template of a line."""

    source: "DatasetInput"
    endpoint: str
    metadata: Mapping[str, str]


def submit_dataset(client: "Client", submission: DatasetSubmission, *, new: bool = False) -> "Batch":
    """The batch of this dataset, template, endpoint and metadata: that of before, unless it is to be a `new` one."""
    source = submission.source
    about = [source.dataset_id, source.template, source.output_id, submission.endpoint, submission.metadata]
    return client.batches.create_of_dataset(
        source, submission.endpoint, metadata=submission.metadata, key=_key_of(about, new=new)
    )


def submit_file(client: "Client", submission: Submission, *, new: bool = False) -> "Batch":
    """The batch of this content, endpoint and metadata: that of before, unless it is to be a `new` one.

    Whoever was interrupted, wherever that was, gets the same file and the same batch.
    """
    content = _digest_of(submission.file)
    file_id = _upload(client, submission.file, f"{submission.file.stem[:100]}-{content[:DIGITS]}.jsonl")
    about = [file_id, content, submission.endpoint, submission.metadata]
    return client.batches.create(
        file_id, submission.endpoint, metadata=submission.metadata, key=_key_of(about, new=new)
    )


def _key_of(about: object, *, new: bool) -> str:
    text = json.dumps(about, sort_keys=True)
    return f"llambda-batch-submit-{token_hex(16) if new else hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"


def _upload(client: "Client", path: Path, name: str) -> str:
    """The id of the file of this name, which has its content's digest: of one that was uploaded before, if it is there still."""
    for file in client.files.list(purpose=PURPOSE, limit=LOOKED_AT)["data"]:
        if file["filename"] == name and file["bytes"] == path.stat().st_size and file["status"] == "processed":
            return file["id"]
    progress = Progress(sys.stderr, path.name, path.stat().st_size)
    try:
        return client.files.upload(path, purpose=PURPOSE, name=name, progress=progress.show)["id"]
    finally:
        progress.close()


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
