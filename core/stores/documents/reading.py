"""Documents read from a DynamoDB table: one, or a page of a list, whose large bodies are in blobs."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from itertools import accumulate
import sys
from typing import TYPE_CHECKING, Final

from core.errors import StateUnavailable
from core.platform.concurrency import run_all
from core.platform.dynamodb_items import MOST_KEYS, Item, Items, Key
from core.stores.documents import items as layout
from core.stores.documents.codec import inflate, is_storable, not_in_list, parse, unpack
from core.stores.documents.items import ENDS, Layout
from core.stores.documents.large_bodies import LargeBodies
from core.stores.documents.port import Document, DocumentPage, Order, Place

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import GetItemInputTypeDef

VERSION: Final = 1
MOST_ENTRIES: Final = 1000  # of a query
AT_ONCE: Final = 8  # of a page's documents, whose blobs are read
PLACE_NAMES: Final = {f"#{name}": name for name in ("created", "parent", *ENDS)}


class _Taking:
    """The documents of a page whose bodies have at most so many bytes as JSON."""

    __slots__ = ("documents", "is_cut", "most", "size")

    def __init__(self, most: int) -> None:
        self.most = most
        self.documents = list[Document]()
        self.size = 0
        self.is_cut = False

    def fits(self, content: bytes) -> bool:
        """Whether there is room for it, which it takes."""
        self.is_cut = self.size + len(content) > self.most
        self.size += 0 if self.is_cut else len(content)
        return not self.is_cut

    def count_fitting(self, sizes: Iterable[int]) -> int:
        """How many of these are sure to be within it, if they are as large as JSON: the first that are not need not be read."""
        return sum(total <= self.most for total in accumulate(sizes, initial=self.size)) - 1


class Reads:
    """Those of one namespace of a table; `client` gives the table's, `now` the time in Unix seconds."""

    def __init__(
        self,
        items: Items,
        bodies: LargeBodies,
        keys: Layout,
        client: "Callable[[], AbstractAsyncContextManager[DynamoDBClient]]",
        now: Callable[[], int],
    ) -> None:
        self._items = items
        self._table = items.table
        self._bodies = bodies
        self._layout = keys
        self._client = client
        self._now = now

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
        start = None if after is None else await self._place(collection, parent, after)
        taking = _Taking(sys.maxsize if most_bytes is None else most_bytes)
        documents = taking.documents
        async with aclosing(self._entries(collection, parent, order, start, limit + 1)) as entries:
            while (
                len(documents) < limit
                and not taking.is_cut
                and (places := await _take(entries, min(limit - len(documents), MOST_KEYS)))
            ):
                await self._load(collection, parent, places, taking)
            more = taking.is_cut or bool(await _take(entries, 1))
        return DocumentPage(documents, more, taking.size, taking.is_cut)

    async def decode(self, collection: str, identifier: str, item: Item | None) -> Document | None:
        """The document of an item, if it is there and has not ended."""
        pair = await self._fetch(collection, identifier, item)
        return None if pair is None else layout.decode(collection, identifier, pair[0], await unpack(pair[1]))

    async def _fetch(self, collection: str, identifier: str, item: Item | None) -> tuple[Item, bytes] | None:
        """The item with its body as it is kept; where its blob is gone, the one that is there now."""
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            if not item or not layout.is_alive(item, self._now()):
                return None
            self._table.check_version(item, VERSION, "documents", StateUnavailable)
            pointer = layout.pointer_of(item)
            content = bytes(item["body"]["B"]) if pointer is None else await self._bodies.read(pointer)
            if content is not None:
                return item, content
            item = await self.read(self._layout.document_key(collection, identifier))
        raise StateUnavailable(self._table.unavailable(f"has lost the body of `{identifier}`").message)

    async def _place(self, collection: str, parent: str, after: str | Place) -> Key:
        """The key of the entry that this document has in the list, or had a moment ago; or of this place."""
        if not isinstance(after, str):
            return self._layout.entry_key(collection, parent, *after)
        key = self._layout.document_key(collection, after)
        item = await self.read(key, PLACE_NAMES) if is_storable(after) else None
        if item is None or item["parent"]["S"] != parent or not layout.is_remembered(item, self._now()):
            raise not_in_list(after)
        return self._layout.entry_key(collection, parent, int(item["created"]["N"]), after)

    async def _entries(
        self, collection: str, parent: str, order: Order, start: Key | None, most: int
    ) -> AsyncGenerator[Place]:
        """Of the list, those that have not ended; the first request asks for `most`."""
        partition = self._layout.entry_key(collection, parent, 0, "")["pk"]
        entries: Sequence[Item] = ()
        while not entries or start is not None:
            async with self._client():
                entries = await self._items.query(
                    "pk = :pk", {":pk": partition}, limit=most, start=start, forward=order == "asc"
                )
            for entry in entries:
                if layout.is_alive(entry, self._now()):
                    yield layout.place_of(entry)
            if len(entries) < most:
                return
            start = {name: entries[-1][name] for name in ("pk", "sk")}
            most = MOST_ENTRIES

    async def _load(self, collection: str, parent: str, places: Sequence[Place], taking: "_Taking") -> None:
        """Take the documents at these places, at most MOST_KEYS, in order, without those that have gone meanwhile."""
        keys = [self._layout.document_key(collection, identifier) for _, identifier in places]
        async with self._client():
            items = {item["pk"]["S"]: item for item in await self._items.get_all(keys)}
        listed = [items.get(key["pk"]["S"]) for key in keys]
        fitting = taking.count_fitting(map(layout.stored_size, listed))
        bodies = await run_all(
            (
                partial(self._fetch, collection, identifier, item)
                for (_, identifier), item in zip(places[:fitting], listed[:fitting], strict=True)
            ),
            at_once=AT_ONCE,
        )
        for place, body in zip(places, bodies, strict=False):
            if body is not None and not taking.is_cut:
                item, content = body[0], await inflate(body[1])
                if (item["parent"]["S"], int(item["created"]["N"])) == (parent, place[0]) and taking.fits(content):
                    taking.documents.append(layout.decode(collection, place[1], item, parse(content)))
        taking.is_cut = taking.is_cut or fitting < len(places)

    async def read(self, key: Key, names: Mapping[str, str] | None = None) -> Item | None:
        """The item, or of it the attributes with these `names` by their aliases."""
        request: GetItemInputTypeDef = {"TableName": self._table.name, "Key": key, "ConsistentRead": True}
        if names is not None:
            request["ProjectionExpression"] = ", ".join(names)
            request["ExpressionAttributeNames"] = names
        async with self._client() as client:
            answer = await client.get_item(**request)
        return answer.get("Item")


async def _take(places: AsyncGenerator[Place], count: int) -> list[Place]:
    """The next ones, at most `count`."""
    taken: list[Place] = []
    while len(taken) < count and (place := await anext(places, None)) is not None:
        taken.append(place)
    return taken
