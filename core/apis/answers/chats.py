"""Chat completions that were kept, as a client gets them."""

from typing import Any, Literal, TypedDict

from core.apis.answers.inference import ChatCompletion


class StoredChat(ChatCompletion):
    """The answer as it was given, with what was asked."""

    metadata: dict[str, str]
    input_messages: list[dict[str, Any]]


class ChatList(TypedDict):
    """A page; ids are "" where it is empty."""

    object: Literal["list"]
    data: list[StoredChat]
    first_id: str
    last_id: str
    has_more: bool


class ChatMessage(TypedDict):
    """A message that was asked; `content` is its text, and `content_parts` are there where it had parts."""

    id: str
    role: str
    content: str | None
    content_parts: list[dict[str, Any]] | None


class ChatMessageList(TypedDict):
    """A page; ids are "" where it is empty."""

    object: Literal["list"]
    data: list[ChatMessage]
    first_id: str
    last_id: str
    has_more: bool


class ChatDeleted(TypedDict):
    object: Literal["chat.completion.deleted"]
    id: str
    deleted: Literal[True]
