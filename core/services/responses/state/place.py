"""Where one caller's responses and conversations are kept: the store, the policy before it, the limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import TYPE_CHECKING, Final, Self

from core.apis.response_settings import ResponseSettings
from core.errors import NotFound
from core.frame.callers import Call, principal_of
from core.frame.types import JsonObject
from core.routing.guard import Item
from core.routing.policy import same_owner
from core.services.parts import CallerState, Parts
from core.services.responses.settings import settings_of
from core.services.responses.state.keeping import DAY, Keeper, move
from core.services.responses.state.records import (
    CONVERSATION,
    RESPONSE,
    TURN,
    ConversationRecord,
    Place,
    ResponseRecord,
    Turn,
    is_conversation,
    show_conversation,
)
from core.services.responses.state.threads import Threads
from core.stores.documents.port import Document, DocumentStore

if TYPE_CHECKING:
    from core.routing.documents import GuardedDocuments

STORE: Final = "responses"
"""The one place of all this state: what is kept together is written together."""


@dataclass(frozen=True, slots=True)
class StatePlace(CallerState):
    """`clock` gives Unix seconds."""

    settings: ResponseSettings
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, parts: Parts, call: Call | None) -> Self:
        """With the settings of the run config."""
        return cls(parts, call, settings_of(parts))

    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.collection(STORE)

    @property
    def threads(self) -> Threads:
        return Threads(self.store, self.settings.most_context)

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.store, self.owner, self.parts.keep_limits(principal_of(self.call)), self.clock)

    @property
    def responses(self) -> "GuardedDocuments":
        """Those that the caller may see, of everybody."""
        from core.routing.documents import GuardedDocuments  # late: a response that follows nothing reads none

        return GuardedDocuments(self.store, self.guard, RESPONSE, RESPONSE, _show_response, self.clock)

    @property
    def conversations(self) -> "GuardedDocuments":
        """With those that are being deleted."""
        from core.routing.documents import GuardedDocuments

        return GuardedDocuments(self.store, self.guard, CONVERSATION, CONVERSATION, show_conversation, self.clock)

    async def conversation(self, conversation_id: str) -> Document:
        """The conversation; raises NotFound also for one that the caller may not read, or that is being deleted."""
        asked_at = self.guard.now()
        document = await self.conversations.get(conversation_id)
        if ConversationRecord.read(document.body).deleting:
            await self.guard.pause(asked_at)
            raise NotFound(f"There is no conversation `{conversation_id}`.", param="conversation_id")
        return document

    async def is_there(self, conversation: Document) -> bool:
        """Whether it is still the one that was read, and not being deleted."""
        newest = await self.store.get(CONVERSATION, conversation.id)
        return newest is not None and newest.created == conversation.created and not newest.body.get("deleting")

    @staticmethod
    def item(kind: str, document: Document) -> Item:
        """As the access policy sees it."""
        return Item(kind, document.id, document.owner)

    def require_create(self, kind: str) -> None:
        """Raise PermissionDenied unless the caller may make one, before it has cost anything."""
        self.guard.require("create", Item(kind, "", self.guard.owner))

    def require_update(self, conversation: Document) -> None:
        """Raise PermissionDenied unless the caller may add to it, or change it."""
        self.guard.require("update", Item(CONVERSATION, conversation.id, conversation.owner))

    def is_own(self, document: Document) -> bool:
        return document.parent == self.owner and same_owner(document.owner, self.guard.owner)

    async def keep(
        self,
        response: JsonObject,
        path: Sequence[Place],
        turn: Turn,
        *,
        replacing: Sequence[Document] = (),
        beside: Sequence[Document] = (),
        least: int | None = 0,
    ) -> None:
        """Make the response and its turn, at the end of the path, and what is `beside` it, in place of `replacing`: all of it or nothing.

        It stays as long as the settings say, but not less long than until `least`, in Unix seconds, None for ever.

        Raises:
            Conflict: the place is taken.
            StaleDocument: what is to be replaced is gone.
            LimitReached: the caller may keep no more.
        """
        expires, place = self._end(least), path[-1]
        counted = self.keeper.tallies_of(RESPONSE, expires)
        before = [name for document in replacing for name in document.body.get("counted", ())]
        record = ResponseRecord(response, path, counted)
        created: int = response["created_at"]
        document = Document(
            RESPONSE, response["id"], record.body(), self.owner, self.guard.owner, created, expires=expires
        )
        end = self.item_end() if is_conversation(place.thread) else expires
        turn_document = Document(TURN, place.id, turn.body(), place.thread, expires=end)
        documents = [document, turn_document, *beside]
        if before:  # a run in the background, which has its place
            await self.keeper.open_day(counted)
            await self.store.create_all(documents, replacing=replacing, tally=move(RESPONSE, before, counted))
            return
        await self.keeper.write(
            RESPONSE, counted, lambda tally: self.store.create_all(documents, replacing=replacing, tally=tally)
        )

    def item_end(self) -> int | None:
        """When what is added now to a conversation is gone, in Unix seconds."""
        seconds = self.settings.conversation_seconds
        return None if seconds is None else int(self.clock()) + seconds

    def response_end(self) -> int | None:
        """When a response that is kept now is gone, in Unix seconds."""
        return self._end(0)

    def log_end(self) -> int | None:
        """When what is written now of a run is gone: some time after its response would be."""
        end = self.response_end()
        return None if end is None else end + DAY

    def _end(self, least: int | None) -> int | None:
        seconds = self.settings.response_seconds
        return None if seconds is None or least is None else max(least, int(self.clock()) + seconds)


def _show_response(document: Document) -> JsonObject:
    return {"id": document.id}
