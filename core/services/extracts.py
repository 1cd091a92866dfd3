"""Files of an export: what an eraser's pieces are read as, and how the files are called.

A path has names joined by `/`, below a folder of the API's own; `name_of` makes one of whatever an id says. The chunks of one file
follow each other. Nothing of it has secrets: sealed requests, keys of signatures and what jobs keep for providers are left out.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from hashlib import sha256
import json
from typing import Any, Final
from urllib.parse import quote

from core.stores.documents.port import Document

MOST_NAME: Final = 200  # bytes; file systems take 255, and some add an ending of their own
DIGEST: Final = 64

type Extract = AsyncGenerator[tuple[str, bytes]]
"""Paths, each with the bytes that come next in its file; b"" makes an empty one."""
type Read = Callable[[], Extract]


def name_of(identifier: str) -> str:
    """A file's name: printable ASCII without `/`, no other identifier's, and neither `.` nor `..`."""
    name = quote(identifier, safe=" #=@+,!~")
    if not name.strip("."):
        name = name.replace(".", "%2E") or "%"
    if len(name) > MOST_NAME:
        name = f"{name[: MOST_NAME - DIGEST - 1]}-{sha256(identifier.encode()).hexdigest()}"
    return name


def path_of(*names: str) -> str:
    return "/".join(map(name_of, names))


def encode(value: object) -> bytes:
    """One line of JSON, with its break."""
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"


async def extract_json(path: str, value: object) -> Extract:
    """A file of one line."""
    yield path, encode(value)


async def extract_lines(path: str, values: AsyncIterable[object]) -> Extract:
    """A line for each; no file where there are none."""
    async for value in values:
        yield path, encode(value)


async def extract_bytes(path: str, chunks: AsyncIterator[bytes]) -> Extract:
    yield path, b""
    async for chunk in chunks:
        yield path, chunk


def show_document(document: Document, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """As it is kept, without its owner, whose it is anyway; `body` stands in the place of what may not all be told."""
    return {
        "id": document.id,
        "created_at": document.created,
        "expires_at": document.expires,
        **(document.body if body is None else body),
    }
