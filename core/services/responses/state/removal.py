"""A conversation goes: it is hidden first, then loses its lock, its turns and the responses that were made in it, the session of an agent that it is, and is gone at last.

A run that goes on has lost its lease by then, and keeps nothing; one that has kept its turn before is found among the turns. Whoever is killed on
the way leaves a conversation that is hidden, to be deleted again.
"""

from contextlib import aclosing
from functools import partial
from typing import Final

from core.platform.concurrency import run_all
from core.services.agents.session_documents import remove_session
from core.services.responses.recording.records import RUN
from core.services.responses.recording.removing import remove_log, remove_run
from core.services.responses.state.keeping import removal
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import (
    CONVERSATION,
    LEASE,
    RESPONSE,
    TURN,
    ConversationRecord,
    ResponseRecord,
    Turn,
)
from core.stores.documents.port import Document, StaleDocument
from core.stores.documents.walking import walk_pages

AT_ONCE: Final = 8
TRIES: Final = 10


async def remove_conversation(state: StatePlace, conversation: Document) -> bool:
    """Remove it with all that is in it, whoever owns that; False where it was gone already."""
    marked = await _mark(state, conversation)
    if marked is None:
        return False
    if (lease := await state.store.get(LEASE, conversation.id)) is not None:
        await state.store.delete(lease)
    async with aclosing(walk_pages(state.store, RUN, conversation.id)) as pages:
        async for runs in pages:
            for run in runs:
                await remove_run(state.store, run, state.clock())
    more = True
    while more:
        more = await _remove_turns(state, conversation.id)
    record = ConversationRecord.read(marked.body)
    if record.agent:
        await remove_session(state, conversation.id)
    return await state.store.delete(marked, tally=removal(CONVERSATION, record.counted))


async def _mark(state: StatePlace, conversation: Document) -> Document | None:
    current: Document | None = conversation
    for _ in range(TRIES):
        if current is None or current.body.get("deleting"):
            return current
        try:
            return await state.store.put(current, {**current.body, "metadata": {}, "deleting": True})
        except StaleDocument as stale:
            current = stale.document
    return current


async def _remove_turns(state: StatePlace, conversation_id: str) -> bool:
    """Whether there were any."""
    documents = list[Document]()
    async with aclosing(state.threads.walk(conversation_id, order="asc", page=AT_ONCE)) as turns:
        async for document in turns:
            documents.append(document)
            if len(documents) == AT_ONCE:
                break
    await run_all([partial(_remove_turn, state, document) for document in documents], at_once=AT_ONCE)
    return bool(documents)


async def _remove_turn(state: StatePlace, document: Document) -> None:
    response_id = Turn.read(document.body).response
    response = await state.store.get(RESPONSE, response_id) if response_id else None
    if response is not None:
        record = ResponseRecord.read(response.body)
        own = record.places[-1].id
        if own != document.id and (turn := await state.store.get(TURN, own)) is not None:  # of a run that failed
            await state.store.delete(turn)
        await remove_log(state.store, response_id)
        await state.store.delete(response, tally=removal(RESPONSE, record.counted))
    await state.store.delete(document)
