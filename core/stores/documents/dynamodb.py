"""Documents in one DynamoDB table, whose keys are the strings `pk` and `sk`.

    document   pk = [namespace#]doc#COLLECTION#ID        sk = document       birth, write, revision, created, parent, owner,
                                                                             body or blob, size, digest; until, expires
    entry      pk = [namespace#]docs#COLLECTION#PARENT   sk = created#ID     until, expires
    tallies    pk = [namespace#]doc#COLLECTION#ID        sk = tallies        a number for each name, as `n_NAME`

Ids and parents have `#` and `%` percent-encoded in `pk`; `created` has 12 digits in `sk`. A document comes and goes with its entry,
in one transaction. `until` is when it ends, exactly, by each reader's clock, and 0 for one that was deleted: what is left of it
until `expires`, the table's TTL, says where a page goes on. `birth` tells a document from a later one of the same id; by
`write` a writer knows its own, when the SDK has asked twice. What does not fit into an item is in a blob (`large_bodies`).
This is version 1, whose items have no `v`. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (400 KB an item).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import chain
import time
from typing import TYPE_CHECKING, Any, Final

from core.errors import StateUnavailable
from core.frame.types import JsonObject
from core.platform.dynamodb_items import CONDITION_FAILED, Item, Items
from core.platform.dynamodb_table import Table, number_value
from core.stores.documents import items as layout
from core.stores.documents.codec import (
    check_names,
    conflict,
    encode_owner,
    is_storable,
    pack,
)
from core.stores.documents.items import BODY, ENDS, Layout, Writes, Writing
from core.stores.documents.large_bodies import FindBlobs, LargeBodies
from core.stores.documents.port import (
    UNCHANGED,
    Document,
    DocumentPage,
    DocumentStore,
    Order,
    Place,
    StaleDocument,
    Tally,
    Unchanged,
)
from core.stores.documents.reading import Reads
from core.stores.documents.tallies import Addition, read_tallies

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import (
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )

PATIENCE: Final = 5.0  # seconds
ANSWER_SECONDS: Final = 2.0  # of one attempt, so that `PATIENCE` has room for a second
MOST_ITEM: Final = 350_000  # bytes of body and owner, of an item of at most 400 KB
DEFLATE: Final = 512  # bytes: an item is billed by the kilobyte


class DynamoDocuments:
    """A namespace of a table; `patience` is in seconds, of one request; making the client, which happens once, is not in it."""

    def __init__(
        self,
        items: Items,
        bodies: LargeBodies,
        *,
        namespace: str,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._items = items
        self._table = items.table
        self._bodies = bodies
        self._layout = Layout(namespace)
        self._writes = Writes(self._table.name, self._layout)
        self._reads = Reads(items, bodies, self._layout, self._client, self._now)
        self._patience = patience
        self._clock = clock

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        return (await self.create_all([document], tally=tally))[0]

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        """Remove the revisions that were read; where others are there, try again with those."""
        for document in documents:
            check_names(document)
        writings = [await self._prepare(document, document.body, document.expires) for document in documents]
        blobs, old = [writing.blob for writing in writings], list(replacing)
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            now = self._now()
            pairs = [self._writes.creation(*new, now) for new in zip(documents, writings, strict=True)]
            pairs += [self._writes.removal(document, now) for document in old]
            found = (await self._transact(blobs, tally, *chain(*pairs)))[::2]
            if not found or any(map(Writing.is_what, writings, found)):
                await self._remove_blobs(map(layout.blob_of, old))
                return list(map(Writing.begin, writings, documents))
            current = [
                await self._follow(document, item) for document, item in zip(old, found[len(blobs) :], strict=True)
            ]
            taken = [document for document, item in zip(documents, found, strict=False) if item is not None]
            if taken or None in current:
                await self._remove_blobs(blobs)
                raise StaleDocument(old[current.index(None)], None) if None in current else conflict(taken[0])
            old = [document for document in current if document is not None]
        raise StateUnavailable(self._items.busy().message)

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        return await self.create_all(documents)

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - what the record calls it
        if not is_storable(id):
            return None
        return await self._reads.decode(
            collection, id, await self._reads.read(self._layout.document_key(collection, id))
        )

    async def put(
        self,
        document: Document,
        body: JsonObject,
        *,
        expires: int | Unchanged | None = UNCHANGED,
        tally: Sequence[Tally] = (),
    ) -> Document:
        until = document.expires if isinstance(expires, Unchanged) else expires
        writing = await self._prepare(document, body, until)
        new = writing.revise(document, body, until)
        values = {**writing.values, "revision": number_value(new.revision), **layout.end_values(until)}
        change = self._writes.change(document, values, clear=(*BODY, *ENDS), now=self._now())
        if until == document.expires and not tally:
            current = await self._update(change)
        else:
            blobs, entry = [writing.blob], self._writes.put_entry(new)
            current = _first(await self._transact(blobs, tally, {"Update": change}, entry))
        if current is not None and not writing.is_in(current):
            await self._bodies.remove(writing.blob)
            raise StaleDocument(document, await self._reads.decode(document.collection, document.id, current))
        await self._bodies.remove(layout.blob_of(document))
        return new

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        """Remove the revision that was read; where another is there, try again with that one, if any will do."""
        current: Document | None = document
        if expect not in (None, document.revision):
            current = await self.get(document.collection, document.id)
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            if current is None or layout.birth_of(current) != layout.birth_of(document):
                return False
            if expect not in (None, current.revision):
                raise StaleDocument(document, current)
            item = _first(await self._transact([], tally, *self._writes.removal(current, self._now())))
            if item is None:
                await self._bodies.remove(layout.blob_of(current))
                return True
            current = await self._reads.decode(document.collection, document.id, item)
        raise StateUnavailable(self._items.busy().message)

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
        return await self._reads.page(collection, parent, order=order, after=after, limit=limit, most_bytes=most_bytes)

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        return read_tallies(await self._reads.read(self._layout.tally_key(collection, id)))

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        async with self._client() as client:
            await client.delete_item(TableName=self._table.name, Key=self._layout.tally_key(collection, id))

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        """Close the table's client; the blobs are their owner's to close."""
        await self._table.close()

    async def _prepare(self, document: Document, body: JsonObject, until: int | None) -> Writing:
        """The body as its item will have it; a large one is in its blob by then."""
        content = await pack(body, least=DEFLATE)
        if len(content) + len(encode_owner(document) or "") < self._bodies.least:
            return Writing.of(content)
        seconds = None if until is None else until - self._now()
        return Writing.of(await self._bodies.put(document.collection, content, seconds=seconds))

    async def _update(self, change: "UpdateTypeDef") -> Item | None:
        """Carry it out, or return what is there instead, {} for nothing."""
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            async with self._client() as client:
                try:
                    await client.update_item(**change)
                except client.exceptions.ConditionalCheckFailedException as refusal:
                    response: dict[str, Any] = dict(refusal.response)
                    item: Item = response.get("Item", {})
                    return item
                except client.exceptions.TransactionConflictException:
                    continue
            return None
        raise StateUnavailable(self._items.busy().message)

    async def _transact(
        self, blobs: Sequence[str], tally: Sequence[Tally], *writes: "TransactWriteItemTypeDef"
    ) -> list[Item | None]:
        """Carry them out with the tallies, or return for each write what is there instead, {} for nothing, None where its condition held.

        Where only a tally is exceeded, that is raised, and the `blobs` of the writes are removed.
        """
        additions = self._writes.additions(tally)
        async with self._client():
            reasons = await self._items.transact([*writes, *(addition.write for addition in additions)])
        found = list(map(_item_of, reasons[: len(writes)]))
        if reasons and found.count(None) == len(found):
            exceeded = list(filter(None, map(Addition.excess, additions, reasons[len(writes) :])))
            await self._remove_blobs(blobs)
            raise exceeded[0]
        return found

    async def _follow(self, document: Document, item: Item | None) -> Document | None:
        """The document as it is now, if `item` was found in its place; None where it is gone."""
        if item is None:
            return document
        current = await self._reads.decode(document.collection, document.id, item)
        return current if current is not None and layout.birth_of(current) == layout.birth_of(document) else None

    async def _remove_blobs(self, keys: Iterable[str]) -> None:
        for key in keys:
            await self._bodies.remove(key)

    def _client(self) -> AbstractAsyncContextManager["DynamoDBClient"]:
        return self._table.timed_client(self._patience, StateUnavailable)

    def _now(self) -> int:
        return int(self._clock())


def _item_of(reason: Mapping[str, Any]) -> Item | None:
    """What is there where a condition did not hold."""
    item: Item = reason.get("Item", {})
    return item if reason.get("Code") == CONDITION_FAILED else None


def _first(found: Sequence[Item | None]) -> Item | None:
    return found[0] if found else None


def connect(
    table: str,
    *,
    region: str | None,
    endpoint_url: str | None,
    namespace: str | None,
    blobs: FindBlobs = lambda: None,
) -> DocumentStore:
    """The documents in `table`, whose keys are the strings `pk` and `sk`; those too large for it are in `blobs`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, answer_seconds=ANSWER_SECONDS)
    return DynamoDocuments(Items(place), LargeBodies(blobs, least=MOST_ITEM), namespace=namespace or "")
