"""Conversations: items that responses add to, one after the other.

Source: https://platform.openai.com/docs/api-reference/conversations.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, override

from pydantic import Field

from core.apis.conversation_rules import check_items, check_metadata
from core.frame.types import JsonObject, Query, Wire

if TYPE_CHECKING:
    from core.apis.response_queries import InputItemsQuery

MOST_NEW_ITEMS: Final = 20
"""Items that one request adds."""


class NewConversation(Wire):
    items: Annotated[list[dict[str, Any]], Field(max_length=MOST_NEW_ITEMS)] | None = None
    metadata: dict[str, Any] | None = None

    @override
    def check_body(self) -> None:
        check_items(self.items)
        check_metadata(self.metadata)


class ChangedConversation(Wire):
    """`metadata` takes the place of what was there."""

    metadata: dict[str, Any] | None

    @override
    def check_body(self) -> None:
        check_metadata(self.metadata)


class NewItems(Wire):
    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_NEW_ITEMS)]

    @override
    def check_body(self) -> None:
        check_items(self.items)


class IncludeQuery(Query):
    include: list[str] | None = None


class Conversations(Protocol):
    """The caller's conversations: those of others are NotFound."""

    async def create(self, request: NewConversation) -> JsonObject: ...

    async def get(self, conversation_id: str) -> JsonObject: ...

    async def update(self, request: ChangedConversation, conversation_id: str) -> JsonObject: ...

    async def delete(self, conversation_id: str) -> JsonObject: ...

    async def add_items(self, request: NewItems, conversation_id: str, *, query: IncludeQuery) -> JsonObject:
        """Raises Conflict `conversation_locked` while a response is made of it."""
        ...

    async def list_items(self, conversation_id: str, *, query: "InputItemsQuery") -> JsonObject: ...

    async def get_item(self, conversation_id: str, item_id: str, *, query: IncludeQuery) -> JsonObject: ...

    async def delete_item(self, conversation_id: str, item_id: str) -> JsonObject:
        """Answers the conversation."""
        ...
