"""The record of a run whose log begins."""

from collections.abc import Sequence

from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.stores.documents.port import Document, Tally


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
