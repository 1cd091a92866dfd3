"""What a principal keeps of responses and conversations, and what it has added to conversations of others."""

from contextlib import aclosing
from functools import partial

from core.routing.policy import owner_list
from core.services.agents.session_documents import remove_turns_of
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.parts import Parts
from core.services.responses.recording.records import RUN
from core.services.responses.recording.removing import remove_log, remove_run
from core.services.responses.state.extracts import read_conversation, read_response, read_run, read_share
from core.services.responses.state.keeping import DAYS, NAMES, owner_tally, removal
from core.services.responses.state.place import STORE, StatePlace
from core.services.responses.state.records import (
    CONVERSATION,
    EMPTY,
    GUEST,
    LEASE,
    RESPONSE,
    TURN,
    ResponseRecord,
    Turn,
    is_conversation,
)
from core.services.responses.state.removal import remove_conversation
from core.stores.documents.port import Document, StaleDocument
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for documents."""
    has_place = parts.stores.find_collection(STORE) is not None
    return partial(_pieces, StatePlace.of(parts, None)) if has_place else None


async def _pieces(state: StatePlace, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(state.store, CONVERSATION, owner):
        yield [
            Piece(
                "conversations",
                partial(_remove_conversation, state, document),
                read=partial(read_conversation, state, document),
            )
            for document in documents
        ]
    async for documents in walk_pages(state.store, LEASE, owner):  # in conversations of others
        yield [Piece("", partial(state.store.delete, document)) for document in documents]
    async for documents in walk_pages(state.store, GUEST, owner):
        yield [
            Piece("", partial(_leave, state, estate, document), read=partial(read_share, state, estate, document))
            for document in documents
        ]
    async for documents in walk_pages(state.store, RUN, owner):  # before what they would become
        yield [
            Piece("responses", partial(_remove_run, state, document), read=partial(read_run, state, document))
            for document in documents
        ]
    async for documents in walk_pages(state.store, RESPONSE, owner):
        yield [
            Piece("responses", partial(_remove_response, state, document), read=partial(read_response, state, document))
            for document in documents
        ]
    async for documents in walk_pages(state.store, DAYS, owner):
        yield [Piece("", partial(_remove_day, state, document)) for document in documents]
    yield [Piece("", partial(_forget_tallies, state, owner))]


async def _remove_conversation(state: StatePlace, document: Document) -> bool:
    await remove_conversation(state, document)
    return True


async def _remove_response(state: StatePlace, document: Document) -> bool:
    """With its turn, unless that is in a conversation, where `_leave` finds it."""
    record = ResponseRecord.read(document.body)
    place = record.places[-1]
    turn = None if is_conversation(place.thread) else await state.store.get(TURN, place.id)
    if turn is not None:
        await state.store.delete(turn)
    await remove_log(state.store, document.id)
    await state.store.delete(document, tally=removal(RESPONSE, record.counted))
    return True


async def _remove_run(state: StatePlace, document: Document) -> bool:
    await remove_run(state.store, document, state.clock())
    return True


async def _leave(state: StatePlace, estate: Estate, guest: Document) -> bool:
    """Take out of a conversation of somebody else's what the principal has added; whoever adds to it is not held up."""
    conversation_id = guest.id.partition(":")[0]
    async with aclosing(state.threads.walk(conversation_id, order="asc")) as turns:
        async for document in turns:
            if estate.has(Turn.read(document.body).owner):
                try:
                    await state.store.put(document, EMPTY)
                except StaleDocument:
                    return False
    await remove_turns_of(state.store, conversation_id, estate.has)
    async with aclosing(walk_pages(state.store, RUN, conversation_id)) as pages:
        async for runs in pages:
            for run in runs:
                if estate.has(run.owner):
                    await remove_run(state.store, run, state.clock())
    await state.store.delete(guest)
    return True


async def _remove_day(state: StatePlace, document: Document) -> bool:
    await state.store.delete(document)
    for kind in NAMES:
        await state.store.drop_tallies(kind, f"day:{document.id}")
    return True


async def _forget_tallies(state: StatePlace, owner: str) -> bool:
    """Unless the principal has made something meanwhile, which is counted."""
    for kind in NAMES:
        if not (await state.store.page(kind, owner, limit=1)).documents:
            await state.store.drop_tallies(kind, owner_tally(owner))
    return True
