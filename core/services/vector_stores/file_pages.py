"""A page of a list of files: after one, or before one, and of those in a status alone."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from core.apis.answers.vector_stores import VectorStoreFileList
from core.apis.vector_stores import ListFilesQuery
from core.errors import InvalidRequest, NotFound
from core.services.vector_stores.file_shapes import show_file
from core.services.vector_stores.records import FileRecord
from core.stores.documents.port import Document, Order

type Walk = Callable[[Order, str | None], AsyncGenerator[Document]]
"""The documents of a list in an order, after the one of this file."""


async def page_of(walk: Walk, query: ListFilesQuery) -> tuple[list[Document], bool]:
    """At most `limit` of those that are not being deleted, in the order of the query, and whether there are more.

    Raises:
        NotFound: where it is to begin is not in the list.
    """
    if query.after is not None and query.before is not None:
        raise InvalidRequest("A page is `after` a file or `before` one, not both.", param="before")
    backwards = query.before is not None
    order: Order = query.order if not backwards else ("asc" if query.order == "desc" else "desc")
    start = query.before if backwards else query.after
    documents: list[Document] = []
    try:
        async with aclosing(walk(order, start)) as every:
            async for document in every:
                record = FileRecord.read(document.body)
                if not record.deleting and query.filter in {None, record.status}:
                    documents.append(document)
                if len(documents) > query.limit:
                    break
    except NotFound:
        param = "before" if backwards else "after"
        raise NotFound(f"There is no file `{start}` in this list.", param=param) from None
    has_more = len(documents) > query.limit
    documents = documents[: query.limit]
    return (documents[::-1] if backwards else documents), has_more


def show_page(documents: list[Document], *, has_more: bool) -> VectorStoreFileList:
    """The shape on the wire."""
    data = [show_file(document) for document in documents]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
