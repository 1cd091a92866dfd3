"""Answers `core.apis.agents.Agents` for one caller."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from core.apis.agents import AgentConfig, PartQuery, SessionQuery
from core.errors import Conflict, NotFound
from core.frame.types import JsonObject, JsonStream
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.agents.collection import AgentCollection
from core.services.agents.contract import SessionPlace, TurnEvents, TurnRunner
from core.services.agents.lists import part_of
from core.services.agents.records import AGENT, SESSION_KIND, TURN, AgentRecord, show_agent, show_session
from core.services.agents.turn_documents import KeptTurn, read_turn
from core.services.responses.state.pages import MOST_PAGE, size_of
from core.services.responses.state.records import CONVERSATION
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages

if TYPE_CHECKING:
    from core.apis.agents import NewAgent, NewSession, NewTurn, ResumedTurn

AGENTS_URL: Final = "/v1/agents"
SESSIONS_URL: Final = "/v1/agents/{agent_id}/sessions"
"""The path of the route, as 0.2 answers it."""
PAGE: Final = 100


class AgentsRouter:
    def __init__(self, agents: AgentCollection, runner: Callable[[AgentRecord], TurnRunner]) -> None:
        self._agents = agents
        self._runner = runner

    async def create(self, request: "NewAgent") -> JsonObject:
        document = await self._agents.create(request.agent_config.model_dump(exclude_unset=True))
        return {"agent_id": document.id}

    async def keep(self, request: "NewAgent", agent_id: str) -> None:
        """As `create`, for the stack itself, which chose the id: whoever comes again changes nothing."""
        try:
            await self._agents.get(agent_id)
        except NotFound:
            with suppress(Conflict):
                await self._agents.create(request.agent_config.model_dump(exclude_unset=True), agent_id)

    async def index(self, *, query: PartQuery) -> JsonObject:
        """The caller's own."""
        documents = _walk(self._agents.agents, self._agents.state.owner)
        async with aclosing(documents):
            agents = (show_agent(document) async for document in documents if not document.body.get("deleting"))
            return await part_of(agents, query, AGENTS_URL)

    async def get(self, agent_id: str) -> JsonObject:
        return show_agent(await self._agents.get(agent_id))

    async def delete(self, agent_id: str) -> None:
        """Also what nobody has gone on deleting."""
        from core.services.agents.removal import remove_agent  # late, here and below: few requests delete

        document = await self._agents.agents.get(agent_id)
        self._agents.state.guard.require("delete", Item(AGENT, agent_id, document.owner))
        if not await remove_agent(self._agents.state, document):
            raise NotFound(f"There is no agent `{agent_id}`.", param="agent_id")

    async def create_session(self, request: "NewSession", agent_id: str) -> JsonObject:
        agent = await self._agents.get(agent_id)
        return {"session_id": (await self._agents.begin_session(agent, request.session_name)).id}

    async def sessions(self, agent_id: str, *, query: PartQuery) -> JsonObject:
        agent = await self._agents.get(agent_id)
        documents = _walk(self._agents.sessions, agent.id)
        async with aclosing(documents):
            return await part_of((show_session(document) async for document in documents), query, SESSIONS_URL)

    async def get_session(self, agent_id: str, session_id: str, *, query: SessionQuery) -> JsonObject:
        await self._agents.get(agent_id)
        session = await self._agents.whole_session(agent_id, session_id)
        turn_ids = None if query.turn_ids is None else set(query.turn_ids)
        return show_session(session, await self._turns(session_id, turn_ids))

    async def delete_session(self, agent_id: str, session_id: str) -> None:
        from core.services.agents.removal import remove_whole_session

        session, guard = await self._agents.session(agent_id, session_id), self._agents.state.guard
        for kind in (SESSION_KIND, CONVERSATION):
            guard.require("delete", Item(kind, session_id, session.owner))
        await remove_whole_session(self._agents.state, session_id)

    async def create_turn(self, request: "NewTurn", agent_id: str, session_id: str) -> JsonObject:
        return await _last_turn(await self._begin(request, agent_id, session_id))

    async def stream_turn(self, request: "NewTurn", agent_id: str, session_id: str) -> JsonStream:
        return await self._begin(request, agent_id, session_id)

    async def get_turn(self, agent_id: str, session_id: str, turn_id: str) -> JsonObject:
        return (await self._turn(agent_id, session_id, turn_id)).turn

    async def resume_turn(self, request: "ResumedTurn", agent_id: str, session_id: str, turn_id: str) -> JsonObject:
        return await _last_turn(await self._resume(request, agent_id, session_id, turn_id))

    async def stream_resumed_turn(
        self, request: "ResumedTurn", agent_id: str, session_id: str, turn_id: str
    ) -> JsonStream:
        return await self._resume(request, agent_id, session_id, turn_id)

    async def get_step(self, agent_id: str, session_id: str, turn_id: str, step_id: str) -> JsonObject:
        turn = (await self._turn(agent_id, session_id, turn_id)).turn
        step = next((step for step in turn["steps"] if step["step_id"] == step_id), None)
        if step is None:
            raise NotFound(f"There is no step `{step_id[:100]}` in this turn.", param="step_id")
        return {"step": step}

    async def _begin(self, request: "NewTurn", agent_id: str, session_id: str) -> TurnEvents:
        place = await self._place(agent_id, session_id)
        return await self._runner_of(place).create_turn(place, request)

    async def _resume(self, request: "ResumedTurn", agent_id: str, session_id: str, turn_id: str) -> TurnEvents:
        place = await self._place(agent_id, session_id)
        turn = await read_turn(self._agents.store, await self._first_part(session_id, turn_id))
        return await self._runner_of(place).resume_turn(place, turn, request)

    def _runner_of(self, place: SessionPlace) -> TurnRunner:
        return self._runner(AgentRecord.read(place.agent.body))

    async def _place(self, agent_id: str, session_id: str) -> SessionPlace:
        """Where the caller may make turns."""
        agent = await self._agents.get(agent_id)
        session = await self._agents.session(agent_id, session_id)
        self._agents.state.guard.require("update", Item(SESSION_KIND, session_id, session.owner))
        return SessionPlace(agent, AgentConfig.model_validate(AgentRecord.read(agent.body).config), session)

    async def _turn(self, agent_id: str, session_id: str, turn_id: str) -> KeptTurn:
        await self._agents.get(agent_id)
        await self._agents.whole_session(agent_id, session_id)
        return await read_turn(self._agents.store, await self._first_part(session_id, turn_id))

    async def _first_part(self, session_id: str, turn_id: str) -> Document:
        document = await self._agents.store.get(TURN, turn_id)
        if document is None or document.parent != session_id:
            raise NotFound(f"There is no turn `{turn_id[:100]}` in this session.", param="turn_id")
        return document

    async def _turns(self, session_id: str, turn_ids: set[str] | None) -> list[JsonObject]:
        """The newest that fit an answer, the oldest first."""
        turns, size = list[JsonObject](), 0
        async with aclosing(walk_pages(self._agents.store, TURN, session_id, order="desc", size=PAGE)) as pages:
            async for documents in pages:
                for document in documents:
                    if turn_ids is None or document.id in turn_ids:
                        turns.append((await read_turn(self._agents.store, document)).turn)
                        size += size_of(turns[-1])
                    if size > MOST_PAGE:
                        return _in_order(turns[:-1] or turns)
        return _in_order(turns)


async def _walk(documents: GuardedDocuments, parent: str) -> AsyncGenerator[Document]:
    """Those of the list that may be read, the oldest first."""
    after, more = None, True
    while more:
        page = await documents.page(parent, after=after, limit=PAGE)
        for document in page.documents:
            yield document
            after = document.id
        more = page.has_more


async def _last_turn(events: TurnEvents) -> JsonObject:
    """The turn that the last event has."""
    turn: JsonObject = {}
    async with aclosing(events):
        async for event in events:
            turn = event["event"]["payload"].get("turn", turn)
    return turn


def _in_order(turns: list[JsonObject]) -> list[JsonObject]:
    return sorted(turns, key=lambda turn: str(turn["started_at"]))
