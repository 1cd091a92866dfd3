"""What of a session follows its conversation: it stays as long, and goes with it."""

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from core.platform.concurrency import run_all
from core.routing.policy import Owner
from core.services.agents.records import SESSION, TURN, SessionRecord
from core.stores.documents.port import Document, DocumentStore, StaleDocument
from core.stores.documents.walking import walk_pages

if TYPE_CHECKING:
    from core.services.responses.state.place import StatePlace

AT_ONCE: Final = 8


async def prolong_session(store: DocumentStore, session_id: str, end: int) -> None:
    """Let it stay until `end`, in Unix seconds, as its conversation does by now."""
    document = await store.get(SESSION, session_id)
    while document is not None and document.expires is not None and document.expires < end:
        try:
            document = await store.put(document, document.body, expires=end)
        except StaleDocument as stale:
            document = stale.document


async def remove_turns_of(store: DocumentStore, session_id: str, is_of: Callable[[Owner | None], bool]) -> None:
    """Remove the turns of the session in which these owners have a part."""
    async with aclosing(walk_pages(store, TURN, session_id)) as pages:
        async for turns in pages:
            await run_all([partial(_remove_turn, store, turn, is_of) for turn in turns], at_once=AT_ONCE)


async def remove_session(state: "StatePlace", session_id: str) -> None:
    """Remove the session with its turns, whoever owns them: of a conversation to which nobody can add any more."""
    await remove_turns_of(state.store, session_id, lambda _: True)
    session = await state.store.get(SESSION, session_id)
    if session is None:
        return
    if provided_id := SessionRecord.read(session.body).provided_id:
        from core.services.agents.provided.removal import remove_provided_session  # late: few are

        await remove_provided_session(state, session.parent, provided_id)
    await state.store.delete(session)


async def _remove_turn(store: DocumentStore, turn: Document, is_of: Callable[[Owner | None], bool]) -> None:
    """Its parts go first: they are found by the turn itself."""
    parts = [part async for page in walk_pages(store, TURN, turn.id) for part in page]
    if any(is_of(part.owner) for part in (turn, *parts)):
        await run_all([partial(store.delete, part) for part in parts], at_once=AT_ONCE)
        await store.delete(turn)
