"""Chat completions over HTTP: asked of inference, and kept where that is wished."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.apis.inference import ChatRequest, Inference
from core.frame.types import JsonObject, JsonStream

if TYPE_CHECKING:
    from core.apis.answers.chats import ChatDeleted, ChatList, ChatMessageList, StoredChat
    from core.apis.chats import ChangedChat, ChatMessagesQuery, ChatsQuery
    from core.services.inference.chats.collection import ChatCollection


class ChatsRouter:
    """Answers `core.apis.chats.Chats`; `collection` is made for the first chat that is kept, or looked at."""

    def __init__(self, inference: Inference, collection: "Callable[[], ChatCollection]", *, keeps_all: bool) -> None:
        self._inference = inference
        self._collection = collection
        self._keeps_all = keeps_all

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        if not self._keeps(request):
            return await self._inference.chat_completion(request)
        from core.services.inference.chats.keeping import answer_and_keep  # late: few chats are kept

        return await answer_and_keep(self._collection(), self._inference, request)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        if not self._keeps(request):
            return await self._inference.stream_chat_completion(request)
        from core.services.inference.chats.keeping import stream_and_keep

        return await stream_and_keep(self._collection(), self._inference, request)

    async def index(self, *, query: "ChatsQuery") -> "ChatList":
        return await self._collection().index(query)

    async def get(self, completion_id: str) -> "StoredChat":
        return await self._collection().show(completion_id)

    async def messages(self, completion_id: str, *, query: "ChatMessagesQuery") -> "ChatMessageList":
        return await self._collection().messages(completion_id, query)

    async def update(self, request: "ChangedChat", completion_id: str) -> "StoredChat":
        return await self._collection().update(completion_id, request.metadata)

    async def delete(self, completion_id: str) -> "ChatDeleted":
        return await self._collection().delete(completion_id)

    def _keeps(self, request: ChatRequest) -> bool:
        return self._keeps_all or (request.model_extra or {}).get("store") is True
