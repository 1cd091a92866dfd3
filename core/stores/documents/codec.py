"""How documents are written down, alike in every store, and which can be written down at all.

A body is its JSON, deflated where that is shorter. JSON of an object begins with `{`, what zlib makes never does.
"""

import asyncio
import json
import re
from typing import Any, Final
import zlib

from pydantic_core import from_json, to_json

from core.errors import Conflict, DocumentTooLarge, InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.stores.documents.port import MOST_BODY, Document

MOST_ID: Final = 512  # characters
MOST_CREATED: Final = 10**12 - 1  # seconds: the digits of DynamoDB's sort keys
LARGE: Final = 64 * 1024  # bytes: what would hold up the event loop is worked on in a thread
FASTEST: Final = 1  # of zlib's levels
ID: Final = re.compile(rf"[ -~]{{1,{MOST_ID}}}")
PARENT: Final = re.compile(rf"[ -~]{{0,{MOST_ID}}}")
COLLECTION: Final = re.compile("[a-z_]{1,64}")


def is_storable(identifier: str) -> bool:
    """Whether a document can have this id; no other is in a store."""
    return ID.fullmatch(identifier) is not None


def check_names(document: Document) -> None:
    """Raises InvalidRequest where no store could keep it."""
    names = (document.collection, COLLECTION), (document.id, ID), (document.parent, PARENT)
    if not all(pattern.fullmatch(name) for name, pattern in names) or not 0 <= document.created <= MOST_CREATED:
        raise InvalidRequest(
            f"`{document.id[:MOST_ID]}` cannot be stored: ids have 1 to {MOST_ID} characters of printable ASCII, and the "
            "lists that they are in no others."
        )


def conflict(document: Document) -> Conflict:
    """The failure to raise where another document has its id."""
    return Conflict(f"There is a `{document.id}` already.")


def not_in_list(identifier: str) -> NotFound:
    """The failure to raise where a page cannot begin."""
    return NotFound(f"There is no `{identifier[:MOST_ID]}` in this list.", param="after")


async def pack(body: JsonObject, *, deflate: int) -> bytes:
    """The body as a store keeps it, deflated from so many bytes on.

    Raises:
        DocumentTooLarge: it has more than MOST_BODY bytes as JSON.
        InvalidRequest: it is not JSON.
    """
    try:
        content = to_json(body)
    except ValueError as failure:  # a lone surrogate, what is no JSON type, or some 250 levels
        raise InvalidRequest(f"It cannot be stored as JSON: {failure}.") from failure
    if len(content) > MOST_BODY:
        raise DocumentTooLarge(MOST_BODY)
    if len(content) < deflate:
        return content
    deflated = zlib.compress(content, FASTEST) if len(content) < LARGE else await asyncio.to_thread(_deflate, content)
    return min(content, deflated, key=len)


async def unpack(content: bytes) -> JsonObject:
    """The body that `pack` made this of."""
    if len(content) < LARGE:
        return unpack_small(content)
    return unpack_small(content if content.startswith(b"{") else await asyncio.to_thread(zlib.decompress, content))


def unpack_small(content: bytes) -> JsonObject:
    """The same, at once."""
    if not content.startswith(b"{"):
        content = zlib.decompress(content)
    try:
        body: JsonObject = from_json(content, allow_inf_nan=True)
    except ValueError:  # over 200 levels, which it writes but does not read
        body = json.loads(content)
    return body


def encode_owner(document: Document) -> str | None:
    return None if document.owner is None else to_json(document.owner).decode()


def decode_owner(text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text)


def renew(document: Document, body: JsonObject, expires: int | None, tag: str) -> Document:
    """Its next revision; `dataclasses.replace` would take as long as a statement of SQLite."""
    revision = document.revision + 1
    place = document.collection, document.id, body, document.parent
    return Document(*place, document.owner, document.created, revision, expires, tag)


def _deflate(content: bytes) -> bytes:
    return zlib.compress(content, FASTEST)
