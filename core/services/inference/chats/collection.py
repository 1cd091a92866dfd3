"""Kept chats as one caller has them: listed, read, changed and deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import time
from typing import Any, Final

from pydantic_core import to_json

from core.apis.answers.chats import ChatDeleted, ChatList, ChatMessageList, StoredChat
from core.apis.chats import ChatMessagesQuery, ChatsQuery
from core.errors import NotFound
from core.frame.content import MOST_IN_ANSWER
from core.frame.types import JsonObject
from core.routing.documents import GuardedDocuments
from core.services.inference.chats.records import (
    CHAT,
    COLLECTION,
    KEPT_SECONDS,
    LONGEST_ID,
    show_chat,
    show_messages,
)
from core.services.parts import CallerState
from core.stores.documents.port import Document, DocumentStore

PAGE: Final = 20  # documents that are read at once: each may be large
MOST_READ: Final = 2_000
"""That one list looks at for those that it is about."""


@dataclass(frozen=True, slots=True)
class ChatCollection(CallerState):
    @staticmethod
    def clock() -> float:
        """Unix seconds."""
        return time.time()

    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.collection(COLLECTION)

    @property
    def documents(self) -> GuardedDocuments:
        """Those that the caller may see, of everybody."""
        return GuardedDocuments(
            self.store, self.guard, CHAT, CHAT, lambda document: dict(show_chat(document)), noun="chat completion"
        )

    async def create(self, chat_id: str, body: JsonObject) -> None:
        """Raises PermissionDenied, and DocumentTooLarge and StateUnavailable as the store does."""
        expires = int(self.clock()) + KEPT_SECONDS
        await self.documents.create(chat_id, body, parent=self.owner, expires=expires)

    async def find(self, chat_id: str) -> Document:
        """Raises NotFound also for one that the caller may not read."""
        if len(chat_id) > LONGEST_ID or not chat_id.isascii() or not chat_id.isprintable():
            raise NotFound(f"There is no chat completion `{chat_id[:LONGEST_ID]}`.", param="completion_id")
        return await self.documents.get(chat_id)

    async def show(self, chat_id: str) -> StoredChat:
        return show_chat(await self.find(chat_id))

    async def index(self, query: ChatsQuery) -> ChatList:
        """A page; it ends early where an answer has no room for more, or so many were looked at."""
        rows, after, more, read = list[Document](), query.after, True, 0
        while more and len(rows) <= query.limit and read < MOST_READ:
            page = await self.documents.page(self.owner, order=query.order, after=after, limit=PAGE)
            rows += [document for document in page.documents if _is_of(document, query)]
            after = page.documents[-1].id if page.documents else after
            more, read = page.has_more, read + len(page.documents)
        data = _fitting([show_chat(document) for document in rows[: query.limit]])
        first, last = _ends(data)
        return {
            "object": "list",
            "data": data,
            "first_id": first,
            "last_id": last,
            "has_more": more or len(rows) > len(data),
        }

    async def messages(self, chat_id: str, query: ChatMessagesQuery) -> ChatMessageList:
        messages = show_messages(await self.find(chat_id))
        ordered = messages if query.order == "asc" else messages[::-1]
        names = [message["id"] for message in ordered]
        if query.after is not None and query.after not in names:
            raise NotFound(f"The chat completion has no message `{query.after[:LONGEST_ID]}`.", param="after")
        rest = ordered if query.after is None else ordered[names.index(query.after) + 1 :]
        data = _fitting(rest[: query.limit])
        first, last = _ends(data)
        return {
            "object": "list",
            "data": data,
            "first_id": first,
            "last_id": last,
            "has_more": len(rest) > len(data),
        }

    async def update(self, chat_id: str, metadata: dict[str, Any] | None) -> StoredChat:
        document = await self.find(chat_id)
        body = {**document.body, "metadata": metadata or {}}
        await self.documents.put(document, body)
        return show_chat(replace(document, body=body))

    async def delete(self, chat_id: str) -> ChatDeleted:
        if not await self.documents.delete(await self.find(chat_id)):
            raise NotFound(f"There is no chat completion `{chat_id}`.", param="completion_id")
        return {"object": "chat.completion.deleted", "id": chat_id, "deleted": True}


def _is_of(document: Document, query: ChatsQuery) -> bool:
    body, pairs = document.body, query.metadata or {}
    if query.model is not None and body["answer"].get("model") != query.model:
        return False
    return all(body["metadata"].get(key) == value for key, value in pairs.items())


def _fitting[T: Mapping[str, Any]](data: Sequence[T]) -> list[T]:
    """The first of them, as many as one answer has room for; at least one, if there is one."""
    fitting, size = list[T](), 0
    for element in data:
        size += len(to_json(element, inf_nan_mode="null"))
        if fitting and size > MOST_IN_ANSWER:
            break
        fitting.append(element)
    return fitting


def _ends(data: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The ids of a page's first and last."""
    return (data[0]["id"], data[-1]["id"]) if data else ("", "")
