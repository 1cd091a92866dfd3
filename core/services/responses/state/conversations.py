"""A conversation as those who add to it have it: its lock, how long it stays, and who else has added to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from core.errors import Conflict, ConversationLocked, NotFound
from core.frame.types import JsonObject
from core.services.responses.output import make_id
from core.services.responses.state.keeping import DAY, move
from core.services.responses.state.leases import ConversationLease
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import CONVERSATION, GUEST, ConversationRecord
from core.stores.documents.port import Document, StaleDocument

TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class ConversationPlace:
    """`state` is the caller's."""

    state: StatePlace

    async def begin(
        self,
        metadata: JsonObject,
        beside: Callable[[Document], Sequence[Document]] = lambda _: (),
        *,
        agent: str = "",
    ) -> Document:
        """Make a conversation of the caller's, in one transaction with what is `beside` it; `agent` is whose session it is.

        Raises:
            PermissionDenied: the caller may make none.
            LimitReached: it may keep no more.
        """
        state, end = self.state, self.end()
        state.require_create(CONVERSATION)
        counted = state.keeper.tallies_of(CONVERSATION, end)
        body = ConversationRecord(metadata, counted=counted, agent=agent).body()
        now = int(state.clock())
        conversation = Document(CONVERSATION, make_id("conv_"), body, state.owner, state.guard.owner, now, expires=end)
        documents = [conversation, *beside(conversation)]
        conversation, *_ = await state.keeper.write(
            CONVERSATION, counted, lambda tally: state.store.create_all(documents, tally=tally)
        )
        return conversation

    async def lock(self, conversation: Document) -> ConversationLease:
        """Keep others from adding to it.

        Raises:
            PermissionDenied: the caller may not add to it.
            ConversationLocked: another does.
        """
        state = self.state
        state.require_update(conversation)
        if self.guest_of(conversation) is not None:
            await self._note_guest(conversation)
        try:
            return await self._take(conversation)
        except ConversationLocked:
            from core.services.responses.background.lapsing import free_conversation  # late: few are locked

            if not await free_conversation(state, conversation.id):
                raise
        return await self._take(conversation)

    async def _take(self, conversation: Document) -> ConversationLease:
        state = self.state
        until = None if state.call is None else state.call.until
        return await ConversationLease.take(state, conversation.id, until)

    async def require_there(self, conversation: Document) -> None:
        """Raise NotFound where it was deleted since it was read."""
        if not await self.state.is_there(conversation):
            raise NotFound(f"There is no conversation `{conversation.id}`.", param="conversation_id")

    def guest_of(self, conversation: Document) -> JsonObject | None:
        """The caller as the owner of what it adds, where the conversation is somebody else's."""
        return None if self.state.is_own(conversation) else self.state.guard.owner

    async def prolong(self, conversation: Document, *, least: int = 0) -> None:
        """Let it stay as long as what is added to it now, and at least until `least`, in Unix seconds; written once a day at most.

        Where it is changed or deleted meanwhile, whoever adds to it learns that by the lease.
        """
        end = self.end()
        current: Document | None = conversation
        for _ in range(TRIES):
            if current is None or end is None or (current.expires or 0) >= max(end - DAY, least):
                return
            record = ConversationRecord.read(current.body)
            keeper = replace(self.state.keeper, owner=current.parent)  # whoever adds to it
            counted = keeper.names_until(end) if record.counted else []
            body = {**current.body, "counted": counted}
            await keeper.open_day(counted)
            tally = move(CONVERSATION, record.counted, counted)
            if (
                record.agent
            ):  # before its conversation: whoever is killed between the two leaves no conversation without its session
                from core.services.agents.session_documents import prolong_session  # late: few are sessions

                await prolong_session(self.state.store, current.id, end)
            try:
                await self.state.store.put(current, body, expires=end, tally=tally)
            except StaleDocument as stale:
                current = stale.document
            else:
                return

    async def keep_for_run(self, conversation: Document) -> None:
        """Let it be there when a run that begins now has ended."""
        await self.prolong(conversation, least=int(self.state.clock()) + DAY)

    def end(self) -> int | None:
        """When a conversation to which something is added now is gone: a day after that, so that not each addition is a write."""
        end = self.state.item_end()
        return None if end is None else end + DAY

    async def _note_guest(self, conversation: Document) -> None:
        """So that what it adds is found where all that it keeps is to be removed."""
        owner = self.state.owner
        identifier = f"{conversation.id}:{sha256(owner.encode()).hexdigest()}"
        if await self.state.store.get(GUEST, identifier) is None:
            try:
                await self.state.store.create(Document(GUEST, identifier, {}, owner, self.state.guard.owner))
            except Conflict:  # another request was quicker
                return
