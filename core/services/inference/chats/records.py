"""What is kept of a chat, and how it is shown.

    chat_completion    id = that of the answer    parent OWNER    {"answer", "messages", "metadata"}

Ids are the stack's own: those of upstreams may come twice. They begin with the time, so that those of one second are in their order.
"""

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final, cast

from core.apis.answers.chats import ChatMessage, StoredChat
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.stores.documents.port import Document

CHAT: Final = "chat_completion"
"""The collection, and the kind of which access rules are."""
COLLECTION: Final = "inference"  # as the run config names its store
KEPT_SECONDS: Final = 30 * 86_400
LONGEST_ID: Final = 100


def make_id(now: float) -> str:
    """`now` is in Unix seconds."""
    return f"chatcmpl-{int(now * 1000):012x}{token_hex(12)}"


def chat_body(answer: JsonObject, messages: Sequence[JsonObject], metadata: JsonObject) -> JsonObject:
    return {"answer": answer, "messages": list(messages), "metadata": metadata}


def show_chat(document: Document) -> StoredChat:
    body = document.body
    return cast("StoredChat", {**body["answer"], "metadata": body["metadata"], "input_messages": body["messages"]})


def show_messages(document: Document) -> list[ChatMessage]:
    """Their ids are that of the chat with their places."""
    messages: list[JsonObject] = document.body["messages"]
    return [_show(message, f"{document.id}-{place}") for place, message in enumerate(messages)]


def _show(message: JsonObject, identifier: str) -> ChatMessage:
    content: Any = message.get("content")
    parts = content if is_list(content) else None
    text = content if parts is None else "".join(str(to_object(part).get("text") or "") for part in parts)
    return cast("ChatMessage", {**message, "id": identifier, "content": text, "content_parts": parts})
