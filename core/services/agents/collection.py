"""The documents of agents and of their sessions as one caller has them."""

from dataclasses import dataclass, replace
from typing import Final

from core.errors import Conflict, LimitReached, NotFound
from core.frame.callers import principal_of
from core.frame.types import JsonObject
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.agents.provided.provider import ProvidedAgents
from core.services.agents.records import (
    AGENT,
    AGENTS,
    PREFIX,
    SESSION,
    SESSION_KIND,
    AgentRecord,
    SessionRecord,
    show_agent,
    show_session,
)
from core.services.responses.output import make_id
from core.services.responses.state.conversations import ConversationPlace
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import CONVERSATION
from core.stores.documents.port import Document, DocumentStore, Tally, TallyExceeded

MOST_NAME: Final = 512  # characters of a value of metadata


@dataclass(frozen=True, slots=True)
class AgentCollection:
    """`state` is the caller's."""

    state: StatePlace

    @property
    def store(self) -> DocumentStore:
        """That of conversations and responses: what is kept together is written together."""
        return self.state.store

    @property
    def agents(self) -> GuardedDocuments:
        """Those that the caller may see, of everybody; with those that are being deleted."""
        return GuardedDocuments(self.store, self.state.guard, AGENT, AGENT, show_agent, self.state.clock)

    @property
    def sessions(self) -> GuardedDocuments:
        """Those that the caller may see, of every agent."""
        state = self.state
        return GuardedDocuments(self.store, state.guard, SESSION, SESSION_KIND, show_session, state.clock, SESSION_KIND)

    async def create(self, config: JsonObject, agent_id: str = "") -> Document:
        """Under an id of its own where none is given.

        Raises PermissionDenied, Conflict where the id is taken, LimitReached where the caller may keep no more, and what a
        provider that runs agents raises.
        """
        state = self.state
        state.require_create(AGENT)
        most = state.parts.keep_limits(principal_of(state.call)).agents
        record = AgentRecord(config, counted=most is not None)
        provided = ProvidedAgents.find(state.parts, state.call)
        if provided is not None:
            provided_id = await provided.create_agent(config)
            record = replace(record, provider=provided.id, provided_id=provided_id)
        tally = [] if most is None else [Tally(AGENT, tally_id(state.owner), {AGENTS: 1}, {AGENTS: most})]
        try:
            return await self.agents.create(agent_id or make_id(PREFIX), record.body(), parent=state.owner, tally=tally)
        except (TallyExceeded, Conflict) as refusal:
            if provided is not None:
                await provided.delete_agent(record.provided_id)
            if isinstance(refusal, Conflict):
                raise
            raise LimitReached("max_agents", f"You may keep {most} agents, and have as many. Delete some.") from None

    async def get(self, agent_id: str) -> Document:
        """Raises NotFound also for one that the caller may not read, or that is being deleted."""
        asked_at = self.state.guard.now()
        document = await self.agents.get(agent_id)
        if AgentRecord.read(document.body).deleting:
            await self.state.guard.pause(asked_at)
            raise _no_agent(agent_id)
        return document

    async def begin_session(self, agent: Document, name: str) -> Document:
        """A session, and the conversation that it is. Raises NotFound where the agent was deleted meanwhile, else what `ConversationPlace.begin` raises."""
        state = self.state
        state.guard.require("create", Item(SESSION_KIND, "", state.guard.owner))
        metadata: JsonObject = {"agent_id": agent.id, "session_name": name[:MOST_NAME]}
        record, provided_id = AgentRecord.read(agent.body), ""
        if record.provider:
            provided = ProvidedAgents.of(state.parts, state.call, record.provider)
            provided_id = await provided.create_session(record.provided_id, name)
        body = SessionRecord(name, provided_id).body()

        def beside(conversation: Document) -> list[Document]:
            owner, created, end = conversation.owner, conversation.created, conversation.expires
            return [Document(SESSION, conversation.id, body, agent.id, owner, created, expires=end)]

        conversation = await ConversationPlace(state).begin(metadata, beside, agent=agent.id)
        if not await self._is_there(agent):  # whoever deletes it from now on finds the session
            from core.services.responses.state.removal import remove_conversation  # late: it is a race

            await remove_conversation(state, conversation)
            raise _no_agent(agent.id)
        return beside(conversation)[0]

    async def session(self, agent_id: str, session_id: str) -> Document:
        """The session of this agent; raises NotFound also for one that the caller may not read."""
        asked_at = self.state.guard.now()
        document = await self.sessions.get(session_id)
        if document.parent != agent_id:
            await self.state.guard.pause(asked_at)
            raise NotFound(f"There is no session `{session_id[:100]}`.", param="session_id")
        return document

    async def whole_session(self, agent_id: str, session_id: str) -> Document:
        """As `session`; raises NotFound also for one whose conversation is being deleted."""
        document = await self.session(agent_id, session_id)
        conversation = await self.store.get(CONVERSATION, session_id)
        if conversation is None or conversation.body.get("deleting"):
            raise NotFound(f"There is no session `{session_id}`.", param="session_id")
        return document

    async def _is_there(self, agent: Document) -> bool:
        newest = await self.store.get(AGENT, agent.id)
        return newest is not None and not newest.body.get("deleting")


def tally_id(owner: str) -> str:
    """Under which the agents in the list of this owner are counted."""
    return f"owner:{owner}"


def _no_agent(agent_id: str) -> NotFound:
    return NotFound(f"There is no agent `{agent_id[:100]}`.", param="agent_id")
