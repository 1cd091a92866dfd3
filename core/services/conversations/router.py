"""Conversations of one caller: made, shown, changed and deleted, with the items in them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from core.apis.conversations import ChangedConversation, IncludeQuery, NewConversation, NewItems
from core.apis.response_queries import InputItemsQuery
from core.apis.response_rules import check_include
from core.errors import Conflict, InvalidRequest, NotFound, StaleRevision
from core.frame.types import JsonObject
from core.services.agents.records import SESSION_KIND
from core.services.responses.contract import Item
from core.services.responses.items import read_input
from core.services.responses.state.conversation_sessions import lost, rename_items
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.pages import MOST_PAGE, page_of, size_of
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import (
    CONVERSATION,
    DELETED,
    TURN,
    ConversationRecord,
    Place,
    Turn,
    live,
    place_of_item,
    show_conversation,
    tail_of,
)
from core.services.responses.state.removal import remove_conversation
from core.services.responses.state.responses import Show
from core.stores.documents.port import Document, Order, StaleDocument

TURNS: Final = 12
"""Turns that a page of items reads at once."""
TRIES: Final = 10
BUSY: Final = "The conversation is being changed by other requests. Try again."


type Check = Callable[[Sequence[Item]], Awaitable[None]]
"""Raises InvalidRequest for an item that could not be kept."""


class ConversationsRouter:
    """Answers `core.apis.conversations.Conversations`."""

    def __init__(self, state: StatePlace, show: Show, check: Check) -> None:
        """`check` looks at new items that have a compaction among them."""
        self._state = state
        self._place = ConversationPlace(state)
        self._show = show
        self._check = check

    async def create(self, request: NewConversation) -> JsonObject:
        self._state.require_create(CONVERSATION)
        await self._check_sealed(request.items or ())

        def first_turn(conversation: Document) -> list[Document]:
            return [self._turn(conversation.id, 0, request.items)] if request.items else []

        document = await self._place.begin(request.metadata or {}, first_turn)
        return show_conversation(document)

    async def get(self, conversation_id: str) -> JsonObject:
        return show_conversation(await self._state.conversation(conversation_id))

    async def update(self, request: ChangedConversation, conversation_id: str) -> JsonObject:
        document = await self._state.conversation(conversation_id)
        self._state.require_update(document)
        for _ in range(TRIES):
            try:
                body = {**document.body, "metadata": request.metadata or {}}
                return show_conversation(await self._state.store.put(document, body))
            except StaleDocument:  # by who changes it too, or adds to it
                document = await self._state.conversation(conversation_id)
        raise Conflict(BUSY)

    async def delete(self, conversation_id: str) -> JsonObject:
        """Also what nobody has gone on deleting; a response that is made of it meanwhile is not kept."""
        document = await self._state.conversations.get(conversation_id)
        self._state.guard.require("delete", self._state.item(CONVERSATION, document))
        if ConversationRecord.read(document.body).agent:
            self._state.guard.require("delete", self._state.item(SESSION_KIND, document))
        if not await remove_conversation(self._state, document):
            raise NotFound(f"There is no conversation `{conversation_id}`.", param="conversation_id")
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}

    async def add_items(self, request: NewItems, conversation_id: str, *, query: IncludeQuery) -> JsonObject:
        check_include(query.include or ())
        conversation = await self._state.conversation(conversation_id)
        await self._check_sealed(request.items)
        lease = await self._place.lock(conversation)
        try:
            await self._place.require_there(conversation)
            number = await self._state.threads.find_next(conversation_id)
            turn = self._turn(conversation_id, number, request.items, self._place.guest_of(conversation))
            await self._place.prolong(conversation)
            await lease.stop()
            await self._state.store.create_all([turn], replacing=[lease.document])
            lease.spend()
        except (StaleRevision, Conflict):
            raise lost(conversation_id) from None
        finally:
            await lease.release()
        return page_of(self._show_all(turn.body["items"], query.include), has_more=False)

    async def list_items(self, conversation_id: str, *, query: InputItemsQuery) -> JsonObject:
        """Reads as many turns as it takes, and of the one with `after`."""
        check_include(query.include or ())
        await self._state.conversation(conversation_id)
        page, size = list[JsonObject](), 0
        async with aclosing(self._items(conversation_id, query.order, query.after)) as items:
            async for item in items:
                page.append(self._show(item, query.include or ()))
                size += size_of(page[-1])
                if len(page) > query.limit or (len(page) > 1 and size > MOST_PAGE):
                    break
        return page_of(page[: query.limit], has_more=len(page) > query.limit)

    async def get_item(self, conversation_id: str, item_id: str, *, query: IncludeQuery) -> JsonObject:
        check_include(query.include or ())
        await self._state.conversation(conversation_id)
        document = await self._turn_of(conversation_id, item_id, "item_id")
        item = next((item for item in live(document.body["items"]) if item.get("id") == item_id), None)
        if item is None:
            raise _no_item(item_id, "item_id")
        return self._show(item, query.include or ())

    async def delete_item(self, conversation_id: str, item_id: str) -> JsonObject:
        conversation = await self._state.conversation(conversation_id)
        self._state.require_update(conversation)
        for _ in range(TRIES):
            document = await self._turn_of(conversation_id, item_id, "item_id")
            items: list[Item] = document.body["items"]
            if item_id not in {item.get("id") for item in live(items)}:
                raise _no_item(item_id, "item_id")
            mark = {"type": DELETED, "id": item_id}
            rest = [mark if item.get("id") == item_id else item for item in items]
            try:
                await self._state.store.put(document, {**document.body, "items": rest})
            except StaleDocument:
                continue
            return show_conversation(conversation)
        raise Conflict(BUSY)

    async def _check_sealed(self, items: Sequence[JsonObject]) -> None:
        """Raises InvalidRequest for a compaction that no response could go on from."""
        if any(item.get("type") == "compaction" for item in items):
            await self._check(items)

    def _turn(
        self, conversation_id: str, number: int, items: Sequence[JsonObject], owner: JsonObject | None = None
    ) -> Document:
        whole = rename_items(read_input([*items], ()), tail_of(number))
        place = Place(conversation_id, number)
        body = Turn(whole, len(whole), owner=owner).body()
        return Document(TURN, place.id, body, conversation_id, expires=self._state.item_end())

    async def _items(self, conversation_id: str, order: Order, after: str | None) -> AsyncGenerator[Item]:
        """Those behind the item `after`, which may be deleted by now."""
        start: str | None = None
        if after is not None:
            document = await self._turn_of(conversation_id, after, "after")
            start, items = document.id, _in_order(document, order)
            place = next((place for place, item in enumerate(items) if item.get("id") == after), None)
            if place is None:
                raise _no_item(after, "after")
            for item in live(items[place + 1 :]):
                yield item
        walk = self._state.threads.walk(conversation_id, order=order, after=start, page=TURNS)
        async with aclosing(walk) as turns:
            async for document in turns:
                for item in live(_in_order(document, order)):
                    yield item

    async def _turn_of(self, conversation_id: str, item_id: str, param: str) -> Document:
        """The turn that the item is in, if it is anywhere: its id says which."""
        place = place_of_item(conversation_id, item_id)
        document = None if place is None else await self._state.store.get(TURN, place.id)
        if document is None:
            raise _no_item(item_id, param)
        return document

    def _show_all(self, items: Sequence[Item], include: Sequence[str] | None) -> list[JsonObject]:
        return [self._show(item, include or ()) for item in items]


def _in_order(document: Document, order: Order) -> list[Item]:
    items: list[Item] = document.body["items"]
    return items if order == "asc" else items[::-1]


def _no_item(item_id: str, param: str) -> NotFound | InvalidRequest:
    return NotFound(f"There is no item `{item_id[:80]}` in this conversation.", param=param)
