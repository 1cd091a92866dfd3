"""Lists of documents, walked to their end."""

from collections.abc import AsyncGenerator
from typing import Final

from core.stores.documents.port import Document, DocumentStore, Order, Place

PAGE: Final = 100
"""Documents that are read at once."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of their bodies; one that is larger is read alone."""


async def walk_pages(
    store: DocumentStore,
    collection: str,
    parent: str = "",
    *,
    order: Order = "asc",
    after: str | Place | None = None,
    size: int = PAGE,
) -> AsyncGenerator[list[Document]]:
    """Every page of the list, behind the document `after`; those of a page may be deleted before the next is asked for. Raises as `DocumentStore.page` does."""
    more = True
    while more:
        page = await store.page(collection, parent, order=order, after=after, limit=size, most_bytes=MOST_BYTES)
        if page.is_cut and not page.documents:
            page = await store.page(collection, parent, order=order, after=after, limit=1)
        yield page.documents
        after = page.documents[-1].id if page.documents else after
        more = page.has_more
