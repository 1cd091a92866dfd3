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
COLLECTION: Final = re.compile("[a-z_]{1,64}")


def is_storable(identifier: str) -> bool:
    """Whether a document can have this id; no other is in a store."""
    return identifier != "" and _is_name(identifier)


def check_names(document: Document) -> None:
    """Raises InvalidRequest where no store could keep it."""
    are_names = is_storable(document.id) and _is_name(document.parent) and COLLECTION.fullmatch(document.collection)
    if not are_names or not 0 <= document.created <= MOST_CREATED:
        raise InvalidRequest(
            f"`{document.id[:MOST_ID]}` cannot be stored: ids have 1 to {MOST_ID} characters of printable ASCII, and the "
            "lists that they are in no others."
        )


def _is_name(text: str) -> bool:
    """Of at most MOST_ID characters from the space to the tilde."""
    return len(text) <= MOST_ID and text.isascii() and text.isprintable()


def conflict(document: Document) -> Conflict:
    """The failure to raise where another document has its id."""
    return Conflict(f"There is a `{document.id}` already.")


def not_in_list(identifier: str) -> NotFound:
    """The failure to raise where a page cannot begin."""
    return NotFound(f"There is no `{identifier[:MOST_ID]}` in this list.", param="after")


def write_down(body: JsonObject) -> bytes:
    """The body as JSON.

    Raises:
        DocumentTooLarge: it has more than MOST_BODY bytes.
        InvalidRequest: it is not JSON.
    """
    try:
        content = to_json(body)
    except ValueError as failure:  # a lone surrogate, what is no JSON type, or some 250 levels
        raise InvalidRequest(f"It cannot be stored as JSON: {failure}.") from failure
    if len(content) > MOST_BODY:
        raise DocumentTooLarge(MOST_BODY)
    return content


async def deflate(content: bytes) -> bytes:
    """JSON as a store keeps it where it takes less room so."""
    deflated = zlib.compress(content, FASTEST) if len(content) < LARGE else await asyncio.to_thread(_deflate, content)
    return min(content, deflated, key=len)


async def pack(body: JsonObject, *, least: int) -> bytes:
    """The body as a store keeps it, deflated from `least` bytes on; raises as `write_down` does."""
    content = write_down(body)
    return content if len(content) < least else await deflate(content)


async def unpack(content: bytes) -> JsonObject:
    """The body that `pack` made this of."""
    return parse(await inflate(content))


def unpack_small(content: bytes) -> JsonObject:
    """The same, at once."""
    return parse(inflate_now(content))


async def inflate(content: bytes) -> bytes:
    """The JSON that `pack` made this of."""
    return inflate_now(content) if len(content) < LARGE else await asyncio.to_thread(inflate_now, content)


def inflate_now(content: bytes) -> bytes:
    """The same, at once."""
    return content if content.startswith(b"{") else zlib.decompress(content)


def parse(content: bytes) -> JsonObject:
    """The body with this JSON."""
    try:
        body: JsonObject = from_json(content, allow_inf_nan=True)
    except ValueError:  # over 200 levels, which it writes but does not read
        body = json.loads(content)
    return body


def encode_owner(document: Document) -> str | None:
    return None if document.owner is None else to_json(document.owner).decode()


def decode_owner(text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text)


def begin(document: Document, tag: str) -> Document:
    """Its first revision, as it is kept; by hand, as in `renew`."""
    place = document.collection, document.id, document.body, document.parent
    return Document(*place, document.owner, document.created, 1, document.expires, tag)


def renew(document: Document, body: JsonObject, expires: int | None, tag: str) -> Document:
    """Its next revision; `dataclasses.replace` would take as long as a statement of SQLite."""
    revision = document.revision + 1
    place = document.collection, document.id, body, document.parent
    return Document(*place, document.owner, document.created, revision, expires, tag)


def _deflate(content: bytes) -> bytes:
    return zlib.compress(content, FASTEST)
