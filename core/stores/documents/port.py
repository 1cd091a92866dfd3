"""The port of documents: what users make and keep, as JSON under an id, with an owner, a revision and an expiry."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Protocol

from core.frame.types import JsonObject

MOST_BODY: Final = 50 * 1024 * 1024
"""Bytes of a body as JSON."""

type Order = Literal["asc", "desc"]


class Unchanged(Enum):
    """The default of what `put` may leave as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class Document:
    """One document. Times are whole Unix seconds; `expires` is None for what stays.

    `id` is unique in its `collection`; `parent` is the list that it is in, "" for the collection's own. `owner` is
    whoever made it, as `{"principal": id, "attributes": {category: [names]}}`. `revision` begins at 1 and grows by one
    with each write.
    """

    collection: str
    id: str
    body: JsonObject
    parent: str = ""
    owner: Mapping[str, Any] | None = None
    created: int = 0
    revision: int = 1
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    documents: list[Document]
    has_more: bool


class DocumentStore(Protocol):
    """Documents by collection and id, shared by every process that names the same table or file.

    Names of collections are 1 to 64 characters of `a-z_`; ids and parents at most 512 bytes of printable ASCII. What has
    expired is as if it were not there, for every reader at once. A body of any size is written and read whole, the old
    one or the new one. Every method raises StateUnavailable, with nothing half-written, when the store cannot be reached.
    """

    async def create(self, document: Document) -> Document:
        """Keep a new document, as revision 1.

        Raises:
            Conflict: its id is taken in its collection.
            DocumentTooLarge: its body has more than MOST_BODY bytes.
        """
        ...

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - what the record calls it
        """The document, read strongly consistent; None for what is not there or has expired."""
        ...

    async def put(
        self, document: Document, body: JsonObject, *, expires: int | Unchanged | None = UNCHANGED
    ) -> Document:
        """Give `document`, as it was read, another body, in one conditional write.

        Raises:
            StaleRevision: it has another revision by now, which the failure holds, or is gone.
            DocumentTooLarge: the body has more than MOST_BODY bytes.
        """
        ...

    async def delete(self, document: Document, *, expect: int | None = None) -> bool:
        """Remove it; False if it was gone already.

        Raises:
            StaleRevision: it has not the revision `expect`, where that is not None.
        """
        ...

    async def page(
        self, collection: str, parent: str = "", *, order: Order = "asc", after: str | None = None, limit: int
    ) -> DocumentPage:
        """At most `limit` (1 to 1,000) documents of a list, by (created, id), after the one whose id is `after`.

        Raises:
            NotFound: there is no document `after` in the list.
        """
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
