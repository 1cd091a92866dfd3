"""Threads: turns in their order, read in as many queries as a context has threads, however long they are."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from core.apis.response_settings import MOST_CONTEXT
from core.apis.responses import MOST_ITEMS
from core.errors import CONTEXT_LENGTH, InvalidRequest
from core.services.responses.contract import Item
from core.services.responses.state.records import TURN, Place, Turn, number_of, tail_of
from core.stores.documents.port import Document, DocumentStore, Order
from core.stores.documents.port import Place as ListPlace
from core.stores.documents.walking import walk_pages

MOST_TURNS: Final = 500
"""Of a chain; a longer one goes on in another thread."""
MOST_THREADS: Final = 8
"""Of a context; where one more would be begun, what was said before is copied."""
PAGE: Final = 250
"""Turns that are read at once."""
TOO_LONG: Final = (
    "What was said before this takes more than {most} MB with its images and files, which is as much as is told here. Ask "
    'for a response with `truncation: "auto"`, which leaves out the oldest of it, or begin anew, with what still matters in `input`.'
)


class Threads:
    """`most_bytes` bounds a context, as JSON."""

    def __init__(self, store: DocumentStore, most_bytes: int = MOST_CONTEXT) -> None:
        self._store = store
        self._most_bytes = most_bytes

    async def read_context(self, path: Sequence[Place], *, cuts: bool = True) -> list[Item]:
        """What was said up to the end of the path: the newest MOST_ITEMS items of it, the oldest first. What has expired is not in it.

        Of more than the bound the oldest turns are left out if `cuts`, and not read; without it, unless a summary takes their place, raises InvalidRequest.
        """
        return _items_of(await self._read_back(path, "" if cuts else "previous_response_id"))

    async def read_newest(self, thread: str, *, cuts: bool = True) -> tuple[list[Item], int]:
        """The same of all that was said in a thread, and the place of its next turn."""
        documents = await self._read_back([(thread, None)], "" if cuts else "conversation")
        number = number_of(documents[-1]) + 1 if documents else await self.find_next(thread)
        return _items_of(documents), number

    async def find_next(self, thread: str) -> int:
        """The place of its next turn."""
        newest = (await self._store.page(TURN, thread, order="desc", limit=1)).documents
        return number_of(newest[0]) + 1 if newest else 0

    async def get(self, place: Place, response_id: str = "") -> Turn | None:
        """The turn; None where it is gone, or where it is not the one of this response."""
        document = await self._store.get(TURN, place.id)
        turn = None if document is None else Turn.read(document.body)
        return turn if turn is not None and response_id in {"", turn.response} else None

    async def walk(
        self, thread: str, *, order: Order, after: str | None = None, page: int = PAGE
    ) -> AsyncGenerator[Document]:
        """The documents of its turns, behind the one with the id `after`."""
        async with aclosing(walk_pages(self._store, TURN, thread, order=order, after=after, size=page)) as pages:
            async for documents in pages:
                for document in documents:
                    yield document

    async def _read_back(self, path: Sequence[tuple[str, int | None]], param: str) -> list[Document]:
        """The turns up to the last place, the oldest first; from the newest back to the one with which there are MOST_ITEMS items.

        Raises InvalidRequest about `param` where there are more bytes, unless that is "".
        """
        documents, room, items = list[Document](), self._most_bytes, 0
        for thread, last in reversed(path):
            after: ListPlace | None = None if last is None else (0, f"{thread}.{tail_of(last + 1)}")
            limit, more = PAGE if last is None else min(PAGE, last + 1), True
            while more and items < MOST_ITEMS:
                page = await self._store.page(TURN, thread, order="desc", after=after, limit=limit, most_bytes=room)
                documents += page.documents
                if page.is_cut:
                    if param and not any(map(_has_summary, documents)):
                        raise too_long(self._most_bytes, param)
                    return documents[::-1]
                room -= page.size
                items += sum(len(document.body["items"]) for document in page.documents)
                more = page.has_more
                after = (0, page.documents[-1].id) if page.documents else after
        return documents[::-1]


def too_long(most_bytes: int, param: str) -> InvalidRequest:
    """The failure to raise for a context that has more bytes."""
    return InvalidRequest(TOO_LONG.format(most=most_bytes // 1_000_000), param=param).quote(code=CONTEXT_LENGTH)


def _items_of(documents: Sequence[Document]) -> list[Item]:
    return [item for document in documents for item in Turn.read(document.body).context_items][-MOST_ITEMS:]


def _has_summary(document: Document) -> bool:
    """Whether a run has made one of all that was before: of those that callers send, nobody knows yet what they stand for."""
    return any(item.get("type") == "compaction" for item in Turn.read(document.body).output)
