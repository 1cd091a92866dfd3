"""A run that nobody has any more is ended by whoever looks at it: its log first, then its response is kept as what it came to."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from core.errors import Conflict, NotFound
from core.frame.types import JsonObject
from core.services.responses.contract import RunEnded
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import Ending
from core.services.responses.recording.folding import RunState, read_state
from core.services.responses.recording.log import RunLog, RunLost
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.state.leases import ConversationLease
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE, TURN, Place, ResponseRecord, Turn
from core.services.responses.state.threads import MOST_THREADS
from core.stores.documents.port import Document

GONE: Final[JsonObject] = {
    "code": "server_error",
    "message": "The server that ran this response ended before it did. Send the request again.",
}


def log_of(state: StatePlace, response_id: str) -> RunLog:
    """As one reads it, or ends it."""
    return RunLog(state.store, response_id, state.log_end(), clock=state.clock)


async def settle(state: StatePlace, run: Document) -> RunState:
    """The state of a run; where nobody has it any more, it has ended by then. Raises StateUnavailable."""
    log = log_of(state, run.id)
    now = await read_state(log)
    if now.next and now.is_silent(state.clock()) and not await _goes_on(state, run, now):
        now = await end_log(log, now)
    if now.beginning is not None and now.ending is not None and await state.store.get(RUN, run.id) is not None:
        await keep_ended(state, run, now)
    return now


async def _goes_on(state: StatePlace, run: Document, now: RunState) -> bool:
    """Whether a worker has it, or gets it now."""
    if not RunRecord.read(run.body).durable or now.is_cancelled:
        return False
    from core.services.responses.background.lapsing import look_after  # late: nearly no run lapses

    return await look_after(state, run, now)


async def end_log(log: RunLog, now: RunState) -> RunState:
    """End the log of a run that has lapsed, or was cancelled before anybody took it; what another has written there meanwhile stands. The state after that."""
    log.next = now.next
    end = RunEnded("cancelled" if now.is_cancelled else "failed", now.usage, error=None if now.is_cancelled else GONE)
    with suppress(RunLost):
        await log.append([*now.break_off(), Ending(end)])
    return await read_state(log)


async def keep_ended(state: StatePlace, run: Document, now: RunState) -> None:
    """Keep the response of a run whose log has ended, in place of its record; it is counted where that was.

    In a conversation it leaves a mark there, as every run that failed: where another run has the conversation, it is kept another time.
    """
    if now.ending is None:
        raise ValueError("a log without its end")
    record, output, own = RunRecord.read(run.body), now.output, Place(run.id, 0)
    response = {**record.response}
    end_response(response, now.ending.event, output, now.ending.completed_at)
    del response["output"]
    path = [*record.places, own] if len(record.places) < MOST_THREADS else [own]
    owner = None if record.conversation is None else run.owner
    turn = Turn([*record.input, *output], len(record.input), run.id, owner=None if owner is None else {**owner})
    body, end = ResponseRecord(response, path, record.counted).body(), state.response_end()
    documents = [
        Document(RESPONSE, run.id, body, record.owner_list, run.owner, run.created, expires=end),
        Document(TURN, own.id, turn.body(), own.thread, expires=end),
    ]
    with suppress(Conflict, NotFound):  # another was quicker, or has the conversation
        if record.conversation is None:
            await state.store.create_all(documents, replacing=[run])
        else:
            await _keep_in_conversation(state, run, documents, record.conversation)


async def _keep_in_conversation(
    state: StatePlace, run: Document, documents: Sequence[Document], conversation_id: str
) -> None:
    lease = await ConversationLease.adopt(state, conversation_id, run.id)
    lease = lease or await ConversationLease.inherit(state, conversation_id)
    lease = lease or await ConversationLease.take(state, conversation_id, None)
    try:
        place = Place(conversation_id, await state.threads.find_next(conversation_id))
        mark = Turn([], 0, run.id, owner=None if run.owner is None else {**run.owner})
        document = Document(TURN, place.id, mark.body(), conversation_id, expires=state.item_end())
        await lease.stop()
        await state.store.create_all([*documents, document], replacing=[run, lease.document])
        lease.spend()
    finally:
        await lease.release()
