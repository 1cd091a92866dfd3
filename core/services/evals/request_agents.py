"""Agents that are there for one request: each is noted before it is made, so that the next who asks one removes those whose process died.

eval_agent    id = that of the agent    parent ""    owner = the caller    {}
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
import logging
from secrets import token_hex
import time
from typing import Final

from core.apis.evals import AgentCandidate
from core.errors import ApiError
from core.frame.callers import Call
from core.routing.guard import Guard
from core.services.evals.candidates import AskedAgent, agent_of, forget_agent, keep_agent
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, DocumentStore

NOTE: Final = "eval_agent"
LEFT_SECONDS: Final = 86_400
"""After which an agent is left by whoever made it: no request takes so long."""
MOST_SWEPT: Final = 20  # by one request

log = logging.getLogger(__name__)


@asynccontextmanager
async def agent_for_request(parts: Parts, candidate: AgentCandidate, call: Call) -> AsyncGenerator[AskedAgent]:
    """An agent of the caller's for as long as one request takes; raises InvalidRequest for a config that makes no sense."""
    store, agent_id = parts.stores.get(DOCUMENTS), agent_of(token_hex(16))
    await sweep_agents(parts, store)
    owner = Guard(parts.enforcement, call.principal).owner
    note = await store.create(Document(NOTE, agent_id, {}, owner=owner, created=int(time.time())))
    try:
        await keep_agent(parts, candidate, call, agent_id)
        yield AskedAgent(parts, candidate, agent_id)
    finally:
        with suppress(ApiError):  # it may fail as what was asked of it did; then the note stays
            await forget_agent(parts, agent_id, call)
            await store.delete(note)


async def sweep_agents(parts: Parts, store: DocumentStore) -> None:
    """Remove, as the stack itself, those that were left, with their sessions; what cannot be removed now is so by the next. Raises StateUnavailable."""
    last = time.time() - LEFT_SECONDS
    for note in (await store.page(NOTE, limit=MOST_SWEPT)).documents:
        if note.created > last:
            return
        try:
            await forget_agent(parts, note.id, None)
            await store.delete(note)
        except ApiError as failure:
            log.warning("agent %s, which an evaluation left, is not removed: %s", note.id, failure)
