"""Threads: turns in their order, read in as many queries as a context has threads, however long they are."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

from core.apis.responses import MOST_ITEMS
from core.platform.concurrency import run_all
from core.services.responses.contract import Item
from core.services.responses.state.records import TURN, Place, Turn, number_of
from core.stores.documents.port import Document, DocumentStore, Order
from core.stores.documents.walking import walk_pages

MOST_TURNS: Final = 500
"""Of a chain; a longer one goes on in another thread."""
MOST_THREADS: Final = 8
"""Of a context; where one more would be begun, what was said before is copied."""
PAGE: Final = 250
"""Turns that are read at once."""


class Threads:
    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    async def read_context(self, path: Sequence[Place]) -> list[Item]:
        """What was said up to the end of the path: the newest MOST_ITEMS items of it, the oldest first. What has expired is not in it."""
        threads = await run_all([partial(self._read_until, place) for place in path], at_once=MOST_THREADS)
        return [item for turns in threads for turn in turns for item in turn.context_items][-MOST_ITEMS:]

    async def read_newest(self, thread: str) -> tuple[list[Item], int]:
        """The newest MOST_ITEMS items of all, the oldest first, and the place of the next turn."""
        documents = await self._read_back(thread)
        items = [item for document in documents for item in Turn.read(document.body).context_items]
        return items[-MOST_ITEMS:], number_of(documents[-1]) + 1 if documents else 0

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

    async def _read_until(self, place: Place) -> list[Turn]:
        """Up to this place; of what comes after it in a chain nothing is read, unless turns before it have expired."""
        if place.number < MOST_TURNS:
            documents = (await self._store.page(TURN, place.thread, limit=place.number + 1)).documents
        else:
            documents = await self._read_back(place.thread, place.number)
        return [Turn.read(document.body) for document in documents if number_of(document) <= place.number]

    async def _read_back(self, thread: str, last: int | None = None) -> list[Document]:
        """The turns up to this place, the oldest first; from the newest back to the one with which there are MOST_ITEMS items."""
        documents, items = list[Document](), 0
        async with aclosing(self.walk(thread, order="desc")) as turns:
            async for document in turns:
                if last is None or number_of(document) <= last:
                    documents.append(document)
                    items += len(document.body["items"])
                if items >= MOST_ITEMS:
                    break
        return documents[::-1]
