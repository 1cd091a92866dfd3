"""The port of documents: what users make and keep, as JSON under an id, with an owner, a revision and an expiry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, Protocol

from core.errors import StaleRevision
from core.frame.types import JsonObject

MOST_BODY: Final = 50 * 1024 * 1024
"""Bytes of a body as JSON."""

MOST_TOGETHER: Final = 8
"""Documents of one `create_all`, made and removed."""

GRACE: Final = 3600
"""Seconds for which the place in its list of what was deleted, or has expired, is remembered."""

type Order = Literal["asc", "desc"]
type Place = tuple[int, str]
"""In a list: when a document was created, and its id."""


class Unchanged(Enum):
    """The default of what `put` may leave as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class Document:
    """One document. Times are whole Unix seconds; `created` is its maker's, `expires` is None for what stays.

    `id` is unique in its `collection`; `parent` is the list that it is in, "" for the collection's own. `owner` is
    whoever made it, as `{"principal": id, "attributes": {category: [names]}}`. `revision` begins at 1 and grows by one
    with each write. `tag` is the store's own, of what was read: it tells a document from a later one of the same id.
    """

    collection: str
    id: str
    body: JsonObject
    parent: str = ""
    owner: Mapping[str, Any] | None = None
    created: int = 0
    revision: int = 1
    expires: int | None = None
    tag: str = field(default="", compare=False, repr=False)


class StaleDocument(StaleRevision):
    """`document` is the one that is there now, to present or to try again with; None where it is gone."""

    def __init__(self, stale: Document, document: Document | None) -> None:
        super().__init__(
            f"`{stale.id}`",
            None if document is None else {"id": document.id, "revision": document.revision, "body": document.body},
        )
        self.document = document


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """`size` is that of its bodies, in bytes as JSON; with `is_cut` the next one was larger than what was left of `most_bytes`."""

    documents: list[Document]
    has_more: bool
    size: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """What a write adds to the numbers that are kept under (`collection`, `id`), a document's or not: below 0 takes away.

    Names are 1 to 64 characters of `a-z_`. A write is refused whole where a number would come to more than its `most`.
    """

    collection: str
    id: str
    changes: Mapping[str, int]
    most: Mapping[str, int] = field(default_factory=dict[str, int])


class TallyExceeded(Exception):
    """The write was refused: the number `name` of `tally` is `value`, and would have come to more than its `most`."""

    def __init__(self, tally: Tally, name: str, value: int) -> None:
        super().__init__(f"{name} of {tally.collection} {tally.id} is {value}, of {tally.most[name]} at most")
        self.tally = tally
        self.name = name
        self.value = value


class DocumentStore(Protocol):
    """Documents by collection and id, shared by every process that names the same table or file.

    Names of collections are 1 to 64 characters of `a-z_`; ids are 1 to 512 bytes of printable ASCII, parents at most 512. What has
    expired is as if it were not there, for every reader at once. A body of any size is written and read whole, the old
    one or the new one. Every method raises StateUnavailable, with nothing half-written, when the store cannot be reached;
    a write of which no answer came may have been carried out whole.

    Each `tally` of a write (at most 20) is added in the write's own transaction: once where it was made, not at all where it was
    refused. Every write raises TallyExceeded, and does nothing, where one of them would be exceeded.
    """

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        """Keep a new document, as revision 1.

        Raises:
            Conflict: its id is taken in its collection.
            DocumentTooLarge: its body has more than MOST_BODY bytes.
            InvalidRequest: it cannot be kept: a name that no document can have, a body that is not JSON.
        """
        ...

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        """Keep new documents, each as `create` does, and remove those of `replacing`, each as `delete` does: all of it, or nothing.

        At most MOST_TOGETHER. Those that are replaced have other ids than those that are made.

        Raises:
            StaleDocument: one of `replacing` is gone.
            Conflict, DocumentTooLarge, InvalidRequest: as `create`.
        """
        ...

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        """As `create_all`, for those of which many come, and which a power cut may lose.

        Where the store is a file, what is asked for in one turn of the event loop is written together; each call has its own outcome.
        """
        ...

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - what the record calls it
        """The document, read strongly consistent; None for what is not there or has expired."""
        ...

    async def put(
        self,
        document: Document,
        body: JsonObject,
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        """Give `document`, as it was read, another body, in one conditional write.

        Raises:
            StaleDocument: it has another revision by now, which the failure holds, or is gone.
            DocumentTooLarge: the body has more than MOST_BODY bytes.
        """
        ...

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        """Remove it, whatever its revision is by now; False if it was gone already.

        Raises:
            StaleDocument: it has not the revision `expect`, where that is not None.
        """
        ...

    async def page(
        self,
        collection: str,
        parent: str = "",
        *,
        order: Order = "asc",
        after: str | Place | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> DocumentPage:
        """At most `limit` (1 to 1,000) documents of a list, by (created, id), after the one whose id is `after`, or behind this place.

        That one may be gone: its place is remembered for GRACE seconds, for those who delete while they page. In a place there need be nothing.
        With `most_bytes` the page ends before the body with which there would be more, as JSON: it may be empty, and `has_more` all the same. What is
        too large by the size that it is kept in is not read.

        Raises:
            NotFound: there is no document `after` in the list, nor was one a moment ago.
        """
        ...

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        """The numbers under this id, read strongly consistent; what nothing was added to may be missing."""
        ...

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        """Forget the numbers under this id; a later write that adds to them begins at 0."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
