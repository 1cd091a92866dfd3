"""What writes the log of a run that begins now."""

from collections.abc import Sequence

from core.services.responses.contract import Item
from core.services.responses.recording.codec import Beginning
from core.services.responses.recording.log import RunLog
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.recording.writing import Recorder
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE, Place
from core.stores.documents.port import Document, Tally


def open_recorder(
    state: StatePlace, beginning: Beginning, new_items: Sequence[Item], path: Sequence[Place] = (), request: str = ""
) -> Recorder:
    """Of a run of the caller's, which follows the response at the end of `path`, or is in a conversation; `request` is sealed."""
    streams, durable = beginning.streams, beginning.durable
    counted = state.keeper.tallies_of(RESPONSE, state.log_end())
    record = RunRecord(
        beginning.response,
        state.owner,
        new_items,
        path,
        streams=streams,
        durable=durable,
        request=request,
        counted=counted,
    )
    run_log = RunLog(state.store, beginning.response["id"], state.log_end(), clock=state.clock)
    return Recorder(run_log, beginning, lambda batch: begin_run(state, record, batch))


async def begin_run(state: StatePlace, record: RunRecord, batch: Document) -> Document:
    """Make the record with the first batch of the log. From here on it counts as a response that its owner keeps.

    Raises:
        Conflict: it is there.
        LimitReached: its owner may keep no more.
    """
    documents = [run_document(state, record), batch]

    async def write(tally: Sequence[Tally]) -> list[Document]:
        if tally or record.background:  # of which its caller is told that it will be carried out
            return await state.store.create_all(documents, tally=tally)
        return await state.store.create_soon(documents)

    document, *_ = await state.keeper.write(RESPONSE, record.counted, write)
    return document


def run_document(state: StatePlace, record: RunRecord) -> Document:
    """A new record of a run of the caller's."""
    identifier, created = record.response["id"], record.response["created_at"]
    parent, owner = record.conversation or state.owner, state.guard.owner
    return Document(RUN, identifier, record.body(), parent, owner, created, expires=state.log_end())
