"""How `llambda vector-stores` says what a stack answers, in 80 columns."""

from collections.abc import Iterator
import sys
from typing import TYPE_CHECKING, Final

from core.cli.files.output import size
from core.cli.terminal import Columns, clean, shorten, width_of, wrap

if TYPE_CHECKING:
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
