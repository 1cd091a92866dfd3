"""Documents as one caller sees them: what it may not read does not exist for it, in lists and in failures too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import Final

from core.config.policy import Action
from core.errors import Conflict, NotFound, shorten
from core.frame.types import JsonObject
from core.routing.guard import PAGE_SIZE, Guard, Item, conflict_over
from core.stores.documents.port import (
    UNCHANGED,
    Document,
    DocumentPage,
    DocumentStore,
    Order,
    StaleDocument,
    Tally,
    Unchanged,
)

MOST_PAGE: Final = 1000  # documents that a store gives at once
MOST_SHOWN: Final = 100  # characters of an id, which a body may have of any length


@dataclass(frozen=True, slots=True)
class GuardedDocuments:
    """One collection of `store` behind `guard`.

    Rules are about `kind::ID`; refusals call a document by its `noun`, where that is another. `show` is a document as its API has it on the wire. `clock` gives Unix seconds.
    """

    store: DocumentStore
    guard: Guard
    collection: str
    kind: str
    show: Callable[[Document], JsonObject]
    clock: Callable[[], float] = time.time
    noun: str = ""

    async def create(
        self,
        document_id: str,
        body: JsonObject,
        *,
        parent: str = "",
        expires: int | None = None,
        tally: Sequence[Tally] = (),
    ) -> Document:
        """Keep a new document as the caller's own; `expires` is in Unix seconds.

        Raises:
            PermissionDenied: the caller may not create it.
            Conflict: the id is taken; by what, is not said.
        """
        owner = self.guard.owner
        self.guard.require("create", Item(self.kind, document_id, owner))
        try:
            return await self.store.create(
                Document(self.collection, document_id, body, parent, owner, int(self.clock()), expires=expires),
                tally=tally,
            )
        except Conflict:
            raise conflict_over(document_id) from None

    async def get(self, document_id: str) -> Document:
        """The document; raises NotFound also for one that may not be read, after the same time."""
        asked_at = self.guard.now()
        document = await self.store.get(self.collection, document_id)
        if document is None or not self._is_readable(document):
            await self.guard.pause(asked_at)
            raise self._missing(document_id)
        return document

    async def put(
        self,
        document: Document,
        body: JsonObject,
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        """Give `document`, as `get` or `page` gave it, another body.

        Raises:
            PermissionDenied: the caller may not update it.
            StaleDocument: it was changed or removed meanwhile; it says of the newest what the caller may see.
        """
        await self._require("update", document)
        try:
            return await self.store.put(document, body, expires=expires, tally=tally)
        except StaleDocument as stale:
            raise self._stale(document, stale) from None

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        """Remove it, with `expect` only in this revision; raises as `put` does. False if it was gone already."""
        await self._require("delete", document)
        try:
            return await self.store.delete(document, expect=expect, tally=tally)
        except StaleDocument as stale:
            raise self._stale(document, stale) from None

    async def page(
        self, parent: str = "", *, order: Order = "asc", after: str | None = None, limit: int
    ) -> DocumentPage:
        """At most `limit` (1 to 1,000) of a list's documents that may be read; `has_more` speaks of those alone.

        All of the list is read on the way to them: let the `parent` be what keeps the lists of many owners apart.

        Raises:
            NotFound: `after` is not in the list, or may not be read.
        """
        if after is not None:
            await self._check_after(after)
        readable: list[Document] = []
        more, size = True, limit + 1
        while more and len(readable) <= limit:
            page = await self._store_page(parent, order, after, min(size, MOST_PAGE))
            size = max(size, PAGE_SIZE)
            readable += filter(self._is_readable, page.documents)
            more = page.has_more and bool(page.documents)
            after = page.documents[-1].id if page.documents else after
        return DocumentPage(readable[:limit], len(readable) > limit)

    async def _store_page(self, parent: str, order: Order, after: str | None, limit: int) -> DocumentPage:
        asked_at = self.guard.now()
        try:
            return await self.store.page(self.collection, parent, order=order, after=after, limit=limit)
        except NotFound:
            await self.guard.pause(asked_at)
            raise self._missing(str(after), "after") from None

    async def _check_after(self, document_id: str) -> None:
        """What is hidden is no place to begin after: that would tell it from what is missing. The store knows the rest."""
        asked_at = self.guard.now()
        document = await self.store.get(self.collection, document_id)
        if document is not None and not self._is_readable(document):
            await self.guard.pause(asked_at)
            raise self._missing(document_id, "after")

    async def _require(self, action: Action, document: Document) -> None:
        asked_at = self.guard.now()
        if not self._is_readable(document):
            await self.guard.pause(asked_at)
            raise self._missing(document.id)
        self.guard.require(action, self._item(document))

    def _stale(self, document: Document, stale: StaleDocument) -> StaleDocument:
        newest = stale.document if stale.document is not None and self._is_readable(stale.document) else None
        failure = StaleDocument(document, newest)
        failure.current = None if newest is None else self.show(newest)
        return failure

    def _is_readable(self, document: Document) -> bool:
        return self.guard.allows("read", self._item(document))

    def _item(self, document: Document) -> Item:
        return Item(self.kind, document.id, document.owner)

    def _missing(self, document_id: str, param: str | None = None) -> NotFound:
        noun = self.noun or self.kind
        return NotFound(
            f"There is no {noun.replace('_', ' ')} `{shorten(document_id, MOST_SHOWN)}`.", param=param or f"{noun}_id"
        )
