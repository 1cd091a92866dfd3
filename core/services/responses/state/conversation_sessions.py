"""A response in a conversation: what it begins with, and where it is kept when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import Conflict, NotFound, StaleRevision
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.responses.contract import Item
from core.services.responses.history import Session
from core.services.responses.output import PREFIXES, make_id
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.leases import ConversationLease
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import TURN, Place, Turn, tail_of
from core.services.responses.state.sessions import ReadSession
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.responses.recording.codec import Beginning
    from core.services.responses.recording.writing import LogEnd, Recorder


@dataclass(slots=True)
class ConversationSession:
    """Of a response in a conversation, which `lease` keeps to it; `beside` is made with it, in the same transaction. `apart` is one that nothing of comes into the conversation."""

    place: ConversationPlace = field(repr=False)
    conversation: Document
    lease: ConversationLease
    context: Sequence[Item]
    number: int
    beside: Sequence[Document] = ()
    apart: bool = False

    @property
    def conversation_id(self) -> str:
        return self.conversation.id

    @property
    def tail(self) -> str:
        return tail_of(self.number)

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> "Recorder":
        from core.services.responses.recording.recorders import open_recorder  # late: what is not streamed has no log

        return open_recorder(self.place.state, beginning, new_items, request=request)

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None:
        await self.lease.stop()
        batches, runs = ([], []) if log is None else (log.batches, log.runs)
        state, identifier = self.place.state, self.conversation.id
        owner, beside = self.place.guest_of(self.conversation), [*batches, *self.beside]
        if self.apart or response.get("status") in {"failed", "cancelled"}:
            path, items = [Place(response["id"], 0)], [*new_items, *output]
            beside.append(self._mark(Turn([], 0, response["id"], owner=owner)))
        else:
            path = [Place(identifier, self.number)]
            items = [*rename_items(new_items, self.tail), *output]
            await self.place.prolong(self.conversation)
        turn = Turn(items, len(new_items), response["id"], owner=owner)
        try:
            await state.keep(response, path, turn, replacing=[self.lease.document, *runs], beside=beside)
        except (StaleRevision, Conflict):
            raise lost(identifier) from None
        self.lease.spend()

    async def lend(self, response_id: str, until: int) -> None:
        try:
            await self.lease.lend(response_id, until)
        except StaleRevision:
            raise lost(self.conversation.id) from None

    async def close(self) -> None:
        await self.lease.release()

    def _mark(self, turn: Turn) -> Document:
        """In the conversation, which is told nothing of a run that failed: so that it goes with it."""
        place = Place(self.conversation.id, self.number)
        return Document(TURN, place.id, turn.body(), place.thread, expires=self.place.state.item_end())


async def open_conversation(state: StatePlace, conversation_id: str, *, stores: bool, cuts: bool = True) -> Session:
    """Raises NotFound, ConversationLocked, PermissionDenied; without `cuts` InvalidRequest for what is too long."""
    place, threads = ConversationPlace(state), state.threads
    try:
        conversation = await state.conversation(conversation_id)
    except NotFound as missing:
        raise NotFound(missing.message, param="conversation") from None
    if not stores:
        context, _ = await threads.read_newest(conversation_id, cuts=cuts)
        return ReadSession(context, conversation_id)
    lease = await place.lock(conversation)
    async with undoing(lease.release):
        await place.require_there(conversation)  # whoever deletes it from now on takes the lease away
        await place.keep_for_run(conversation)
        context, number = await threads.read_newest(conversation_id, cuts=cuts)
    return ConversationSession(place, conversation, lease, context, number)


def rename_items(items: Sequence[Item], tail: str) -> list[Item]:
    """With ids by which the conversation finds them."""
    return [
        item if str(item.get("id", "")).endswith(tail) else {**item, "id": make_id(prefix_of(item), tail)}
        for item in items
    ]


def prefix_of(item: Item) -> str:
    return PREFIXES.get(item.get("type", ""), "item_")


def lost(conversation_id: str) -> Conflict:
    """The failure to raise where the lease is gone."""
    return Conflict(
        f"The conversation `{conversation_id}` was deleted, or taken over, while this response was made, which is not kept. Send the request "
        "again, if the conversation is still there.",
        param="conversation",
    )
