"""A run of which somebody has the log: a worker that goes on with it, or whoever ends it in the place of one that is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import Conflict
from core.frame.types import JsonObject
from core.services.responses.contract import Event, Events, Item, RunEnded
from core.services.responses.engine.failures import watch
from core.services.responses.history import Session
from core.services.responses.printing.objects import end_response
from core.services.responses.recording.codec import Ending
from core.services.responses.recording.folding import RunState, read_state
from core.services.responses.recording.log import RunCancelled, RunLog, RunOver
from core.services.responses.recording.records import RunRecord
from core.services.responses.recording.writing import Recorder
from core.services.responses.state.conversation_sessions import ConversationSession, lost
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.leases import ConversationLease
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.services.responses.state.sessions import ChainSession
from core.stores.documents.port import Document

TRIES: Final = 5


class RunGone(Exception):
    """Nothing can be kept of it: its conversation was deleted."""


@dataclass(frozen=True, slots=True)
class RunHold:
    """`progress` is all that its log has, and what is noted since."""

    state: StatePlace
    document: Document
    record: RunRecord
    progress: RunState
    recorder: Recorder

    @classmethod
    async def take(cls, state: StatePlace, document: Document, holder: str = "") -> "RunHold":
        """From now on whoever had it writes nothing more. Raises RunOver where it has ended."""
        run_log = RunLog(state.store, document.id, document.expires, holder=holder, clock=state.clock)
        await run_log.take()
        progress = await read_state(run_log)
        if progress.beginning is None:  # it is being removed
            raise RunOver
        recorder = Recorder(run_log, progress.beginning, None, document)
        return cls(state, document, RunRecord.read(document.body), progress, recorder)

    def note(self, event: Event) -> None:
        self.recorder.note(event)
        self.progress.note(event)

    def read(self, events: Events) -> Events:
        """The events, which end, and are closed, where the log is another's: raises RunLost then."""
        return watch(events, self.recorder.alarm, lambda: self.recorder.loss or RunOver())

    def break_off(self) -> None:
        """End the items that are open: of those no more comes."""
        for event in self.progress.break_off():
            self.note(event)

    async def end(self, session: Session, ended: RunEnded) -> JsonObject:
        """Keep the response as it has ended, and the end of its log with it; a cancellation comes too late by then.

        Raises:
            RunLost: another has it.
            RunGone: it cannot be kept.
            ApiError: it was not kept now, and may be ended again.
        """
        self.break_off()
        await self.recorder.stop()
        response, output = self.progress.show(), self.progress.output
        end_response(response, ended, output)
        fields = {name: value for name, value in response.items() if name != "output"}
        for _ in range(TRIES):
            ending = self.recorder.end(Ending(ended, response["completed_at"]))
            try:
                await session.finish(fields, self.record.input, output, ending)
            except Conflict:
                loss = await self.recorder.find_loss()
                if loss is None:
                    raise RunGone from None
                if not isinstance(loss, RunCancelled):
                    raise loss from None
            else:
                return response
        raise RunOver


async def adopt_session(state: StatePlace, record: RunRecord) -> ConversationSession | ChainSession:
    """What the run began with, as of now, of whoever goes on with it. Of a conversation it has the lease that was lent for the response.

    Raises NotFound where its conversation is gone, Conflict where it is another's.
    """
    if record.conversation is None:
        previous_id = record.response.get("previous_response_id")
        previous = await state.store.get(RESPONSE, previous_id) if previous_id else None
        return ChainSession(state, await state.threads.read_context(record.places), record.places, previous)
    place, response_id = ConversationPlace(state), record.response["id"]
    conversation = await state.conversation(record.conversation)
    lease = await ConversationLease.adopt(state, conversation.id, response_id)
    if lease is None:
        raise lost(conversation.id)
    context: Sequence[Item]
    context, number = await state.threads.read_newest(conversation.id)
    return ConversationSession(place, conversation, lease, context, number)
