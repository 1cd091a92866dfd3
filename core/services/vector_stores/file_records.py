"""The records of the files in one store: each change is one conditional write, which counts what it changes."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from core.errors import Conflict
from core.services.vector_stores.records import FILES, FileRecord, file_document_id, tallies_of
from core.services.vector_stores.stores import Store, StoreCollection
from core.stores.documents.port import Document, Order, StaleDocument

PAGE: Final = 100

type Change = Callable[[FileRecord | None], FileRecord | None]
"""From the record that is there, None for none, to the one that is to be; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Those of `store`, with what is being deleted."""

    stores: StoreCollection
    store: Store

    async def get(self, file_id: str) -> Document | None:
        document = await self.stores.store.get(FILES, file_document_id(self.store.id, file_id))
        # A path may say anything: the file `b:c` of the store `a` would be the file `c` of `a:b`.
        return None if document is None or document.parent != self.store.id else document

    async def change(self, file_id: str, change: Change, *, created: int | None = None) -> Document | None:
        """The document as it is afterwards, None for none. `change` is asked again where another writes at the same time.

        A new one is of now, or was `created` then (Unix seconds).
        """
        document = await self.get(file_id)
        while True:
            before = None if document is None else FileRecord.read(document.body)
            after = change(before)
            if after is None:
                return document
            try:
                if document is None:
                    return await self._create(file_id, after, created)
                return await self.put(document, after)
            except StaleDocument as stale:
                document = stale.document
            except Conflict:
                document = await self.get(file_id)

    async def put(self, document: Document, after: FileRecord) -> Document:
        """Write over the record as it was read; raises StaleDocument."""
        tally = tallies_of(self.store.id, FileRecord.read(document.body), after)
        return await self.stores.store.put(document, after.body(), tally=tally)

    async def remove(self, document: Document) -> None:
        """Remove the record as it was read; raises StaleDocument for one that was changed."""
        tally = tallies_of(self.store.id, FileRecord.read(document.body), None)
        await self.stores.store.delete(document, expect=document.revision, tally=tally)

    async def walk(self, order: Order, after: str | None) -> AsyncGenerator[Document]:
        """Those in the list after the file `after`, with what is being deleted; raises NotFound where that is not in it."""
        place = None if after is None else file_document_id(self.store.id, after)
        more = True
        while more:
            page = await self.stores.store.page(FILES, self.store.id, order=order, after=place, limit=PAGE)
            for document in page.documents:
                yield document
            place = page.documents[-1].id if page.documents else place
            more = page.has_more

    async def _create(self, file_id: str, record: FileRecord, created: int | None) -> Document:
        document = Document(
            FILES,
            file_document_id(self.store.id, file_id),
            record.body(),
            parent=self.store.id,
            owner=self.stores.guard.owner,
            created=int(self.stores.clock()) if created is None else created,
        )
        return await self.stores.store.create(document, tally=tallies_of(self.store.id, None, record))
