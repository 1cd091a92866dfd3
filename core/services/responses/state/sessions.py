"""What a response begins with, and where it is kept when it ends: a chain of responses, or a conversation."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.apis.responses import ResponseRequest
from core.errors import Conflict, InvalidRequest, NotFound, StaleRevision
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.responses.contract import Item
from core.services.responses.history import Session
from core.services.responses.output import PREFIXES, make_id
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.leases import ConversationLease
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE, TURN, Place, ResponseRecord, Turn, is_conversation, tail_of
from core.services.responses.state.threads import MOST_THREADS, MOST_TURNS
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.responses.recording.codec import Beginning
    from core.services.responses.recording.writing import LogEnd, Recorder

CONTINUABLE: Final = ("completed", "incomplete")
UNFINISHED: Final = "Response `{id}` has not ended yet. Get it until its status is `completed`, then continue from it."
NOT_DONE: Final = "Response `{id}` {status}, and cannot be continued. Continue from its `previous_response_id`, or send the whole input again."
BOTH: Final = "Give either previous_response_id or conversation: both say what was said before."


class ThreadHistory:
    """Keeps `core.services.responses.contract.History`."""

    def __init__(self, state: StatePlace) -> None:
        self._state = state

    async def open(self, request: ResponseRequest) -> Session:
        stores, cuts = request.store is not False, request.truncation == "auto"
        conversation_id = conversation_of(request.conversation)
        if request.previous_response_id is not None and conversation_id is not None:
            raise InvalidRequest(BOTH, param="previous_response_id")
        if stores:
            self._state.require_create(RESPONSE)
            await self._state.keeper.require_room(RESPONSE)
        if conversation_id is not None:
            place = ConversationPlace(self._state)
            return await open_conversation(place, conversation_id, stores=stores, cuts=cuts)
        previous = None
        if request.previous_response_id is not None:
            previous = await self._find(request.previous_response_id)
        path = [] if previous is None else ResponseRecord.read(previous.body).places
        context = await self._state.threads.read_context(path, cuts=cuts)
        return ChainSession(self._state, context, path, previous) if stores else ReadSession(context)

    async def read(self, previous_response_id: str | None, conversation: str | JsonObject | None) -> Sequence[Item]:
        """What was said before, for who makes no response of it. Raises as `open` does."""
        request = ResponseRequest.model_construct(
            model="", previous_response_id=previous_response_id, conversation=conversation, store=False
        )
        return (await self.open(request)).context

    async def _find(self, response_id: str) -> Document:
        """A response that can be continued."""
        try:
            document = await self._state.responses.get(response_id)
        except NotFound as missing:
            await self._refuse_unfinished(response_id)
            failure = NotFound(missing.message, param="previous_response_id")
            raise failure.quote(code="previous_response_not_found") from None
        status = ResponseRecord.read(document.body).response.get("status")
        if status not in CONTINUABLE:
            text = NOT_DONE if status in {"failed", "cancelled"} else UNFINISHED
            says = "has failed" if status == "failed" else "was cancelled"
            raise InvalidRequest(text.format(id=response_id, status=says), param="previous_response_id")
        return document

    async def _refuse_unfinished(self, response_id: str) -> None:
        """Raise InvalidRequest for one that is still made."""
        from core.services.responses.recording.running import (
            RunningResponses,  # late: nearly all that are named are kept
        )

        with suppress(NotFound):
            await RunningResponses(self._state).find(response_id)
            raise InvalidRequest(UNFINISHED.format(id=response_id), param="previous_response_id")


def conversation_of(value: str | JsonObject | None) -> str | None:
    """The id that a request names; raises InvalidRequest for what is none."""
    identifier = value.get("id") if isinstance(value, dict) else value
    if value is not None and not isinstance(identifier, str):
        raise InvalidRequest("conversation must be an id, or an object with an `id`.", param="conversation")
    return identifier


@dataclass(frozen=True, slots=True)
class ReadSession:
    """Of a response that is not kept: it leaves nothing anywhere."""

    context: Sequence[Item]
    conversation_id: str | None = None
    tail: str = ""

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> None: ...

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None: ...

    async def lend(self, response_id: str, until: int) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ChainSession:
    """Of a response that follows `previous`, at the end of `path`, or begins a thread."""

    state: StatePlace = field(repr=False)
    context: Sequence[Item]
    path: Sequence[Place]
    previous: Document | None
    conversation_id: str | None = None
    tail: str = ""

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> "Recorder":
        from core.services.responses.recording.opening import open_recorder  # late: what is not streamed has no log

        return open_recorder(self.state, beginning, new_items, self.path, request)

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None:
        batches, runs = ([], []) if log is None else (log.batches, log.runs)
        turn = Turn([*new_items, *output], len(new_items), response["id"])
        if (behind := self._behind()) is not None:
            try:
                path = [*self.path[:-1], behind]
                await self.state.keep(response, path, turn, replacing=runs, beside=batches, least=self._least())
            except Conflict:  # another response follows it there
                pass
            else:
                return
        branch = Place(response["id"], 0)
        if len(self.path) < MOST_THREADS:
            await self.state.keep(response, [*self.path, branch], turn, replacing=runs, beside=batches)
        else:
            copied = Turn(turn.items, turn.inputs, turn.response, self.context)
            await self.state.keep(response, [branch], copied, replacing=runs, beside=batches)

    async def lend(self, response_id: str, until: int) -> None: ...

    async def close(self) -> None: ...

    def _behind(self) -> Place | None:
        """The next place of the thread; None where another thread is to be begun.

        A thread is one owner's, and what is said beside a conversation never gets into it.
        """
        if self.previous is None or not self.state.is_own(self.previous):
            return None
        last = self.path[-1]
        if is_conversation(last.thread) or last.number + 1 >= MOST_TURNS:
            return None
        return Place(last.thread, last.number + 1)

    def _least(self) -> int | None:
        """No turn goes before those that it follows: its place would be taken by another."""
        return 0 if self.previous is None else self.previous.expires


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
        from core.services.responses.recording.opening import open_recorder

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


async def open_conversation(
    place: ConversationPlace, conversation_id: str, *, stores: bool, cuts: bool = True
) -> Session:
    """Raises NotFound, ConversationLocked, PermissionDenied; without `cuts` InvalidRequest for what is too long."""
    threads = place.state.threads
    try:
        conversation = await place.state.conversation(conversation_id)
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
