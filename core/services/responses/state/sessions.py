"""What a response begins with, and where it is kept when it ends: a chain of responses, or a conversation."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from core.apis.responses import ResponseRequest
from core.errors import Conflict, InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.services.responses.contract import Item
from core.services.responses.history import Session
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE, Place, ResponseRecord, Turn, is_conversation
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
            from core.services.responses.state.conversation_sessions import open_conversation  # late: many are in none

            return await open_conversation(self._state, conversation_id, stores=stores, cuts=cuts)
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


class ReadSession:
    """Of a response that is not kept: it leaves nothing anywhere."""

    __slots__ = ("context", "conversation_id", "tail")

    def __init__(self, context: Sequence[Item], conversation_id: str | None = None) -> None:
        self.context = context
        self.conversation_id = conversation_id
        self.tail = ""

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> None: ...

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: "LogEnd | None" = None
    ) -> None: ...

    async def lend(self, response_id: str, until: int) -> None: ...

    async def close(self) -> None: ...


class ChainSession:
    """Of a response that follows `previous`, at the end of `path`, or begins a thread. A plain class, as the one before: a dataclass costs a cold start more."""

    __slots__ = ("context", "conversation_id", "path", "previous", "state", "tail")

    def __init__(
        self, state: StatePlace, context: Sequence[Item], path: Sequence[Place], previous: Document | None
    ) -> None:
        self.state = state
        self.context = context
        self.path = path
        self.previous = previous
        self.conversation_id: str | None = None
        self.tail = ""

    def record_run(self, beginning: "Beginning", new_items: Sequence[Item], request: str = "") -> "Recorder":
        from core.services.responses.recording.recorders import open_recorder  # late: what is not streamed has no log

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
