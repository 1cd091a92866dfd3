"""Chats that are kept as they are answered: in one write, after the answer and before its end is told. A failure of it costs no answer."""

from contextlib import aclosing
from dataclasses import dataclass
import logging

from core.apis.chats import check_pairs
from core.apis.inference import ChatRequest, Inference
from core.errors import ApiError, PermissionDenied
from core.frame.streams import OwningStream
from core.frame.types import JsonObject, JsonStream
from core.routing.guard import Item
from core.services.inference.chats.collection import ChatCollection
from core.services.inference.chats.folding import FoldedChat
from core.services.inference.chats.records import CHAT, chat_body, make_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatDraft:
    """A chat that is to be kept under this id."""

    chats: ChatCollection
    request: ChatRequest
    metadata: JsonObject
    id: str

    async def keep(self, answer: JsonObject) -> None:
        """What cannot be kept was answered all the same."""
        try:
            await self.chats.create(self.id, chat_body(answer, self.request.messages, self.metadata))
        except ApiError as failure:
            log.warning("a chat is not kept: %s", failure)


def _draft(chats: ChatCollection, request: ChatRequest) -> ChatDraft | None:
    """None for a caller who may keep none and has not asked for it.

    Raises:
        InvalidRequest: its metadata cannot be kept.
        PermissionDenied: the caller asks for it, and may not.
    """
    extra = request.model_extra or {}
    draft = ChatDraft(chats, request, check_pairs(extra.get("metadata")), make_id(chats.clock()))
    try:
        chats.guard.require("create", Item(CHAT, draft.id, chats.guard.owner))
    except PermissionDenied:
        if extra.get("store") is True:
            raise
        return None
    return draft


async def answer_and_keep(chats: ChatCollection, inference: Inference, request: ChatRequest) -> JsonObject:
    """See `core.apis.chats.Chats.chat_completion`."""
    draft = _draft(chats, request)
    answer = await inference.chat_completion(request)
    if draft is not None:
        answer = {**answer, "id": draft.id}
        await draft.keep(answer)
    return answer


async def stream_and_keep(chats: ChatCollection, inference: Inference, request: ChatRequest) -> JsonStream:
    """See `core.apis.chats.Chats.stream_chat_completion`."""
    draft = _draft(chats, request)
    stream = await inference.stream_chat_completion(request)
    return stream if draft is None else OwningStream(_keep_pieces(draft, stream), stream.aclose)


async def _keep_pieces(draft: ChatDraft, stream: JsonStream) -> JsonStream:
    folded = FoldedChat()
    async with aclosing(stream):
        async for chunk in stream:
            chunk["id"] = draft.id
            folded.add(chunk)
            yield chunk
    answer = folded.answer()
    if answer is not None:
        await draft.keep(answer)
