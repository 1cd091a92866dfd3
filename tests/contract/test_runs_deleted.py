"""A run that is cancelled by one while another removes it, and one that nobody ends as it is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, override

import pytest

from core.errors import Conflict, NotFound
from core.frame.types import JsonObject
from core.services.responses.recording import running
from core.services.responses.recording.codec import END, Beginning, encode
from core.services.responses.recording.log import LOG, RunLog
from core.services.responses.recording.opening import begin_run
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.recording.removing import remove_log
from core.services.responses.recording.running import RunningResponses
from core.services.responses.state.place import StatePlace
from core.stores.documents.port import Document, DocumentPage, DocumentStore
from tests.parts.thread_state import Caller, CountedStore, Kept

ID = "resp_" + "0" * 48


@dataclass
class RemovingStore(CountedStore):
    """In which somebody ends the run just before its end is written, and removes it then."""

    has_ended: bool = False

    @override
    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        for document in documents:
            if document.collection == LOG and any(entry[0] == END for entry in document.body["entries"]):
                self.has_ended = True
                await self.store.create(replace(document, body=document.body | {"by": "another"}))
                raise Conflict("taken")
        return await self.store.create_soon(documents)

    @override
    async def page(self, collection: str, parent: str = "", **how: Any) -> DocumentPage:
        if self.has_ended and (run := await self.store.get(RUN, ID)) is not None:
            await self.store.delete(run)
            await remove_log(self.store, ID)
        return await self.store.page(collection, parent, **how)


async def begun(state: StatePlace, status: str, **more: JsonObject) -> Document:
    response: JsonObject = {"id": ID, "created_at": int(state.clock()), "status": status, "output": [], **more}
    batch = RunLog(state.store, ID, None, clock=state.clock).make(encode([Beginning(response, ())]))
    return await begin_run(state, RunRecord(response, state.owner, background=status == "queued"), batch)


async def test_one_that_is_removed_as_it_is_cancelled_is_not_there(ada: Caller, thread_store: DocumentStore) -> None:
    ada = replace(ada, kept=Kept(RemovingStore(thread_store)))
    run = await begun(ada.state, "queued")
    with pytest.raises(NotFound):
        await RunningResponses(ada.state).cancel(run)


async def test_one_that_is_deleted_while_who_has_it_says_nothing_is_gone(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "WAIT_SECONDS", 0)
    state = ada.state
    run = await begun(state, "in_progress")
    assert await RunningResponses(state).delete(run)
    assert await state.store.get(RUN, ID) is None
    assert [batch.has(END) for batch in await RunLog(state.store, ID, None).read()] == [True]
