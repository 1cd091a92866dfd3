"""Agents and sessions go, with all that is below them; whoever is killed on the way leaves what is hidden, to be deleted again."""

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final

from core.platform.concurrency import run_all
from core.services.agents.collection import tally_id
from core.services.agents.provided.provider import ProvidedAgents
from core.services.agents.records import AGENT, AGENTS, SESSION, AgentRecord
from core.services.agents.session_documents import remove_session
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import CONVERSATION
from core.services.responses.state.removal import remove_conversation
from core.stores.documents.port import Document, StaleDocument, Tally
from core.stores.documents.walking import walk_pages

AT_ONCE: Final = 4
TRIES: Final = 10


async def remove_agent(state: StatePlace, agent: Document) -> bool:
    """Remove it with its sessions, whoever owns them; False where it was gone already."""
    marked = await _mark(state, agent)
    if marked is None:
        return False
    async with aclosing(walk_pages(state.store, SESSION, agent.id)) as pages:
        async for sessions in pages:
            await run_all([partial(remove_whole_session, state, session.id) for session in sessions], at_once=AT_ONCE)
    record = AgentRecord.read(marked.body)
    if record.provider and (provided := ProvidedAgents.find(state.parts, state.call, record.provider)) is not None:
        await provided.delete_agent(record.provided_id)
    tally = [Tally(AGENT, tally_id(agent.parent), {AGENTS: -1})] if record.counted else []
    return await state.store.delete(marked, tally=tally)


async def remove_whole_session(state: StatePlace, session_id: str) -> bool:
    """Remove the session with its conversation; False where that was gone already."""
    conversation = await state.store.get(CONVERSATION, session_id)
    if conversation is not None and await remove_conversation(state, conversation):
        return True
    await remove_session(state, session_id)  # whose conversation has expired before it
    return False


async def _mark(state: StatePlace, agent: Document) -> Document | None:
    """Hide it, with nothing left of what it says."""
    current: Document | None = agent
    for _ in range(TRIES):
        if current is None or current.body.get("deleting"):
            return current
        record = replace(AgentRecord.read(current.body), config={}, deleting=True)
        try:
            return await state.store.put(current, record.body())
        except StaleDocument as stale:
            current = stale.document
    return current
