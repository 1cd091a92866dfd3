"""Chat completions as a client asks for them, and those that were kept.

Sources: https://platform.openai.com/docs/api-reference/chat; Inference of Llama Stack 0.2.12 and 0.7.3, and of OGX 1.5.0.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, override

from pydantic import Field

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject, JsonStream, Query, Wire
from core.platform.json_values import is_object

if TYPE_CHECKING:
    from core.apis.answers.chats import ChatDeleted, ChatList, ChatMessageList, StoredChat

MOST_METADATA: Final = 16  # pairs
LONGEST_KEY: Final = 64
LONGEST_VALUE: Final = 512  # characters


class ChatMessagesQuery(Query):
    """A page of the messages that were asked; `after` is a message's id."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "asc"


class ChatsQuery(Query):
    """A page of the caller's own; `after` is a chat's id, `metadata` pairs that each of them has."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "asc"
    model: str | None = None
    metadata: dict[str, str] | None = None


class ChangedChat(Wire):
    """`metadata` takes the place of what was there."""

    metadata: dict[str, Any] | None

    @override
    def check_body(self) -> None:
        check_pairs(self.metadata)


def check_pairs(metadata: object) -> JsonObject:
    """The metadata, {} for none. Raises InvalidRequest unless it is at most 16 pairs of texts, which are not too long."""
    if metadata is None:
        return {}
    if not is_object(metadata) or len(metadata) > MOST_METADATA:
        raise InvalidRequest(f"metadata: must be an object of at most {MOST_METADATA} pairs.", param="metadata")
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > LONGEST_VALUE or len(key) > LONGEST_KEY:
            raise InvalidRequest(
                f"metadata: keys have at most {LONGEST_KEY} characters, and values are texts of at most {LONGEST_VALUE}.",
                param="metadata",
            )
    return metadata


class Chats(Protocol):
    """Chat completions over HTTP. Those are kept that say `store: true`, or all where the run config has a store for them.

    Of a chat that is not there, has expired, or may not be read, methods raise NotFound.
    """

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        """As `Inference` has it; one that is kept has an id of the stack's, and is there once it is answered.

        Raises:
            InvalidRequest: its metadata cannot be kept.
            PermissionDenied: it says `store: true`, and the caller may keep none.
        """
        ...

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        """The same, piece by piece; it is kept before the end is told, and not at all where it breaks, or its client leaves."""
        ...

    async def index(self, *, query: ChatsQuery) -> "ChatList": ...

    async def get(self, completion_id: str) -> "StoredChat": ...

    async def messages(self, completion_id: str, *, query: ChatMessagesQuery) -> "ChatMessageList": ...

    async def update(self, request: ChangedChat, completion_id: str) -> "StoredChat":
        """Raises PermissionDenied where the caller may not change it."""
        ...

    async def delete(self, completion_id: str) -> "ChatDeleted":
        """Raises PermissionDenied where the caller may not remove it."""
        ...
