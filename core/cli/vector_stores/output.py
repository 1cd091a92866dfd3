"""How `llambda vector-stores` says what a stack answers, in 80 columns."""

from collections.abc import Iterator
import sys
from typing import TYPE_CHECKING, Any, Final

from core.cli.files.output import size
from core.cli.terminal import Columns, clean, shorten, width_of, wrap

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.apis.answers.vector_stores import SearchResult, VectorStore, VectorStoreFile

STORES: Final[Columns] = (("STORE", 39), ("NAME", 17), ("FILES", 9), ("SIZE", 8))
FILES: Final[Columns] = (("FILE", 37), ("STATUS", 11), ("SIZE", 8), ("WHAT", 18))
TEXT: Final = 400  # characters of a chunk; --json has all
INDENT: Final = "      "


def store_row(store: "VectorStore") -> list[str]:
    """The cells of STORES."""
    counts = store["file_counts"]
    files = f"{counts['completed']}/{counts['total']}"
    return [store["id"], store["name"] or "", files, size(store["usage_bytes"])]


def store_line(store: "VectorStore") -> str:
    return clean(f"{store['id']}  {store['name'] or ''}".rstrip())


def file_row(file: "VectorStoreFile") -> list[str]:
    """The cells of FILES."""
    error = file["last_error"]
    attributes = ", ".join(f"{name}={value}" for name, value in file["attributes"].items())
    return [file["id"], file["status"], size(file["usage_bytes"]), error["message"] if error else attributes]


def file_line(name: str, file: "VectorStoreFile") -> str:
    error = file["last_error"]
    reason = f": {error['message']}" if error else ""
    return wrap(clean(f"{file['id']}  {name}  {file['status']}{reason}"), width_of(sys.stdout), "  ")


def result_lines(result: "SearchResult") -> Iterator[str]:
    """Its score and its file, then the beginning of its text."""
    yield clean(f"{result['score']:.2f}  {result['filename'] or result['file_id']}")
    text = clean(" ".join(" ".join(part["text"] for part in result["content"]).split()))
    room = width_of(sys.stdout) - len(INDENT)
    yield from (f"{INDENT}{line}" for line in wrap(shorten(text, TEXT), room).split("\n"))


def copy_lines(job: "JobView") -> Iterator[str]:
    """What is in the other store, and what is not; of a job that has not ended, how to look at it."""
    result = job["result"]
    if job["ended_at"] is None:
        yield clean(f"{job['id']}: {job['status']}")
        yield f"llambda jobs watch {job['id']}"
        return
    if job["status"] != "completed":
        error = job["error"]
        reason = f": {error['message']}" if error else ""
        yield wrap(clean(f"{job['id']}  {job['status']}{reason}"), width_of(sys.stdout), "  ")
    if result:
        yield clean(f"{result['store']}  {_amount(result)}")
        for failure in result["failures"]:
            name = failure.get("file_id") or failure["chunk_id"]
            yield wrap(clean(f"{name}  failed: {failure['message']}"), width_of(sys.stdout), "  ")
        rest = result["files_failed"] + result["native_chunks_failed"] - len(result["failures"])
        if rest > 0:
            yield f"and {rest} more"


def _amount(result: dict[str, Any]) -> str:
    native = result["native_chunks"]
    more = f", and {_count(native, 'chunk')} of vector-io" if native else ""
    return f"{_count(result['files'], 'file')} with {_count(result['chunks'], 'chunk')}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
