"""What the contract suite of DocumentStore runs over, in this process and in others (it must pickle)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
import itertools
import os
from pathlib import Path
import random
from typing import Any, override

from pydantic_core import to_json

from core.platform.dynamodb_items import Items
from core.platform.dynamodb_table import Table
from core.platform.retry import Backoff
from core.stores.blobs import local as blobs_local
from core.stores.documents import sqlite as documents_sqlite
from core.stores.documents.codec import conflict, not_in_list
from core.stores.documents.dynamodb import MOST_ITEM, DynamoDocuments
from core.stores.documents.large_bodies import LargeBodies
from core.stores.documents.port import (
    GRACE,
    UNCHANGED,
    Document,
    DocumentPage,
    DocumentStore,
    Order,
    StaleDocument,
    Tally,
    TallyExceeded,
    Unchanged,
)
from core.stores.documents.port import Place as ListPlace
from tests.contract.crew import together
from tests.contract.places import Place

PATIENCE = 60.0  # seconds: a slow machine is no failure
BACKOFF = Backoff(0.002, 0.1, tries=1000)
KINDS = ("sqlite", "dynamodb")
NOW = 1_800_000_000
LARGE = 1_200_000  # characters of a body that deflates to half of it, more than an item takes
LEAST, BEYOND = 10_000, 60_000  # what goes to the blobs where it need not take long, and a body that does


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Documenting(Place[DocumentStore]):
    blobs: str = ""
    least: int = MOST_ITEM

    @override
    def connect(
        self,
        namespace: str = "",
        *,
        clock: Callable[[], float] = Clock(),  # noqa: B008 - never moved
    ) -> DocumentStore:
        if self.endpoint is None:
            return documents_sqlite.connect(self.place, namespace=namespace, patience=PATIENCE, clock=clock)
        items = Items(Table(self.place, region=None, endpoint_url=self.endpoint, answer_seconds=PATIENCE), BACKOFF)
        bodies = LargeBodies(partial(blobs_local.connect, self.blobs), least=self.least)
        return DynamoDocuments(items, bodies, namespace=namespace, patience=PATIENCE, clock=clock)


def blob_keys(folder: str | Path) -> set[str]:
    """Of the blobs in the directory."""
    return {
        str(path.relative_to(folder)).removesuffix("~")
        for path in Path(folder).rglob("*")
        if path.is_file() and "~partial" not in path.parts
    }


class MemoryDocuments:
    """What DocumentStore promises, as plainly as it can be said; it forgets nothing that is deleted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._documents: dict[tuple[str, str], tuple[Document, int | None]] = {}  # and when it is, or was, deleted
        self._births = itertools.count()
        self._tallies: dict[tuple[str, str], dict[str, int]] = {}

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        return (await self.create_all([document], tally=tally))[0]

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        for document in replacing:
            current = await self.get(document.collection, document.id)
            if current is None or current.tag != document.tag:
                raise StaleDocument(document, None)
        for document in documents:
            if await self.get(document.collection, document.id) is not None:
                raise conflict(document)
        self._add(tally)
        for document in replacing:
            await self.delete(document)
        return [self._keep(replace(document, revision=1, tag=str(next(self._births)))) for document in documents]

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        return await self.create_all(documents)

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002
        document, gone = self._documents.get((collection, id), (None, None))
        return document if document and gone is None and self._has_time(document) else None

    async def put(
        self,
        document: Document,
        body: dict[str, Any],
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        current = await self.get(document.collection, document.id)
        if current is None or (current.tag, current.revision) != (document.tag, document.revision):
            raise StaleDocument(document, current)
        until = current.expires if isinstance(expires, Unchanged) else expires
        self._add(tally)
        return self._keep(replace(current, body=body, revision=current.revision + 1, expires=until))

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        current = await self.get(document.collection, document.id)
        if current is None or current.tag != document.tag:
            return False
        if expect not in (None, current.revision):
            raise StaleDocument(document, current)
        self._add(tally)
        self._documents[document.collection, document.id] = current, int(self._clock())
        return True

    async def page(
        self,
        collection: str,
        parent: str = "",
        *,
        order: Order = "asc",
        after: str | ListPlace | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> DocumentPage:
        start = None if isinstance(after, str) else after
        if isinstance(after, str):
            place, gone = self._documents.get((collection, after), (None, None))
            gone = gone if gone is not None or place is None else place.expires
            if place is None or place.parent != parent or (gone is not None and self._clock() >= gone + GRACE):
                raise not_in_list(after)
            start = place.created, place.id
        documents = [
            document
            for document, gone in self._documents.values()
            if gone is None and (document.collection, document.parent) == (collection, parent)
            and self._has_time(document)
        ]  # fmt: skip
        documents.sort(key=lambda document: (document.created, document.id), reverse=order == "desc")
        if start is not None:
            documents = [
                one
                for one in documents
                if (one.created, one.id) != start and ((one.created, one.id) > start) == (order == "asc")
            ]
        sizes = [*itertools.accumulate(len(to_json(one.body)) for one in documents[:limit])]
        fitting = [size for size in sizes if most_bytes is None or size <= most_bytes]
        is_cut = len(fitting) < len(sizes)
        return DocumentPage(
            documents[: len(fitting)], len(documents) > len(fitting), fitting[-1] if fitting else 0, is_cut
        )

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        return dict(self._tallies.get((collection, id), {}))

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        self._tallies.pop((collection, id), None)

    def warm(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _add(self, tally: Sequence[Tally]) -> None:
        sums = {key: dict(numbers) for key, numbers in self._tallies.items()}
        for one in tally:
            numbers = sums.setdefault((one.collection, one.id), {})
            for name, change in one.changes.items():
                value = numbers.get(name, 0)
                numbers[name] = value + change
                if change > 0 and numbers[name] > one.most.get(name, numbers[name]):
                    raise TallyExceeded(one, name, value)
        self._tallies = sums

    def _keep(self, document: Document) -> Document:
        self._documents[document.collection, document.id] = document, None
        return document

    def _has_time(self, document: Document) -> bool:
        return document.expires is None or document.expires > self._clock()


def body_of(number: int, size: int = 0) -> dict[str, Any]:
    """A body that shows whether it is whole: its parts follow from its number."""
    text = random.Random(number).randbytes(size // 2).hex()  # noqa: S311 - what does not deflate to less than half
    return {"number": number, "text": text, "digest": sha256(text.encode()).hexdigest(), "end": number}


def check_whole(document: Document) -> int:
    """The number of a body of `body_of`."""
    body = document.body
    assert body["number"] == body["end"]
    assert sha256(body["text"].encode()).hexdigest() == body["digest"]
    number: int = body["number"]
    return number


async def retry_put(
    store: DocumentStore, collection: str, identifier: str, change: Callable[[int], dict[str, Any]]
) -> int:
    """Write over whatever revision is there, until it is done; the number of those that were stale."""
    document = await store.get(collection, identifier)
    stale = 0
    while document is not None:
        try:
            await store.put(document, change(document.body["number"] + 1))
        except StaleDocument as newer:
            document, stale = newer.document, stale + 1
            await asyncio.sleep(random.uniform(0, 0.01 * stale))  # noqa: S311 - those who met would meet again
        else:
            return stale
    raise AssertionError("it is gone")


def share_document(documenting: Documenting, writers: int, readers: int, times: int, size: int) -> int:
    """In a process of a crew: writers count the document up, so many times each, and readers read it, until it is at its end.

    A reader sees it whole each time, and never an older one after a newer. Returns how many tries of a write were stale.
    """
    return asyncio.run(_share_document(documenting, writers, readers, times, size))


async def _share_document(documenting: Documenting, writers: int, readers: int, times: int, size: int) -> int:
    async with documenting.opened() as store:
        await store.get("notes", "warm")
        await together()

        async def write() -> int:
            return sum(
                [await retry_put(store, "notes", "n", lambda number: body_of(number, size)) for _ in range(times)]
            )

        async def read() -> int:
            number, last = 0, (await store.get("notes", "last") or Document("", "", {"number": 0})).body["number"]
            while number < last:
                document = await store.get("notes", "n")
                assert document is not None
                before, number = number, check_whole(document)
                assert number >= before
                assert document.revision == number + 1
            return 0

        work = [write() for _ in range(writers)] + [read() for _ in range(readers)]
        return sum(await asyncio.gather(*work))


def write_for_ever(documenting: Documenting, seed: int, size: int) -> None:
    """In a process that is killed: make, change and remove documents, large and small."""
    asyncio.run(_write_for_ever(documenting, seed, size))


async def _write_for_ever(documenting: Documenting, seed: int, size: int) -> None:
    async with documenting.opened() as store:
        for number in itertools.count(seed * 1000):
            document = await store.create(
                Document("notes", f"{os.getpid()}-{number}", body_of(number, size), "list", created=NOW + number)
            )
            document = await store.put(document, body_of(number + 1, size if number % 2 else 0))
            document = await store.put(document, body_of(number + 2, size), expires=NOW + 10**6)
            if number % 3:
                assert await store.delete(document)


def count_for_ever(documenting: Documenting, seed: int) -> None:
    """In a process that is killed: make, change and remove documents, each with what it is worth in the tallies."""
    asyncio.run(_count_for_ever(documenting, seed))


async def _count_for_ever(documenting: Documenting, seed: int) -> None:
    async with documenting.opened() as store:
        for number in itertools.count(seed * 1000):
            await change_counted(store, f"{os.getpid()}-{number}", number)


async def change_counted(store: DocumentStore, identifier: str, number: int) -> None:
    """Make a document in `list`, change it and, of every other number, remove it: `sum` is over the documents' numbers."""
    document = await store.create(
        Document("counted", identifier, {"number": 2}, "list", created=NOW), tally=[worth("list", 1, 2)]
    )
    document = await store.put(document, {"number": 7}, tally=[worth("list", 0, 5)])
    if number % 2:
        assert await store.delete(document, expect=document.revision, tally=[worth("list", -1, -7)])


def worth(identifier: str, number: int, value: int, **most: int) -> Tally:
    """What a document adds to the numbers of its list."""
    changes = {name: change for name, change in (("count", number), ("sum", value)) if change}
    return Tally("counted", identifier, changes, most)
