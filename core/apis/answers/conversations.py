"""Conversations and their items as a client gets them; times are Unix seconds."""

from typing import Any, Literal, TypedDict

from core.frame.types import JsonObject


class Conversation(TypedDict):
    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, Any]


class ConversationDeleted(TypedDict):
    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ConversationItem(TypedDict):
    """One of OpenAI's items, by its `type`."""

    id: str
    type: str


class ConversationItemList(TypedDict):
    """A page."""

    object: Literal["list"]
    data: list[JsonObject]
    first_id: str
    last_id: str
    has_more: bool
