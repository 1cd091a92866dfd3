"""Agents as callers of one store have them, without a model: a turn says the last message again, in capitals.

A message that begins with `call` calls a client tool of each of the names behind it.
"""

from dataclasses import dataclass
from typing import Any

from core.apis.agents import NewAgent, NewSession, NewTurn, PartQuery, ResumedTurn, SessionQuery
from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.agents.collection import AgentCollection
from core.services.agents.contract import SessionPlace, TurnEvents
from core.services.agents.records import TurnRecord, iso
from core.services.agents.router import AgentsRouter
from core.services.agents.turn_documents import KeptTurn, first_part, next_part
from core.services.responses.items import read_input
from core.services.responses.output import make_id
from core.services.responses.printing.objects import begin_response
from core.services.responses.state.conversation_sessions import ConversationSession
from core.services.responses.state.place import StatePlace
from core.services.responses.state.sessions import ThreadHistory
from core.stores.documents.port import Document
from tests.parts.thread_state import Caller, user

CONFIG: JsonObject = {"model": "m", "instructions": "You help."}


@dataclass(frozen=True)
class RepeatingRunner:
    """Keeps a turn as any runner does: beside the response that it is."""

    state: StatePlace

    async def create_turn(self, place: SessionPlace, request: NewTurn) -> TurnEvents:
        return self._events(place, request.messages[-1].content, None, request)

    async def resume_turn(self, place: SessionPlace, turn: KeptTurn, request: ResumedTurn) -> TurnEvents:
        return self._events(place, request.tool_responses[-1].content, turn, None)

    async def _events(
        self, place: SessionPlace, text: str, kept: KeptTurn | None, request: NewTurn | None
    ) -> TurnEvents:
        wanted = ResponseRequest.model_validate({"model": place.config.model, "conversation": place.session.id})
        session = await ThreadHistory(self.state).open(wanted)
        assert isinstance(session, ConversationSession)
        try:
            response = begin_response(wanted, session.conversation_id)
            response |= {"status": "completed", "created_at": int(self.state.clock())}
            turn = self._turn(place, text, response["id"], request)
            session.beside = [self._part(turn, response["id"], kept)]
            answer = {**user(text.upper()), "role": "assistant", "id": make_id("msg_", session.tail)}
            record = {name: value for name, value in response.items() if name != "output"}
            await session.finish(record, read_input([user(text)], session.context), [answer])
        finally:
            await session.close()
        whole = turn if kept is None else kept.turn | turn | {"steps": [*kept.turn["steps"], *turn["steps"]]}
        awaits = bool(turn["output_message"]["tool_calls"])
        yield {
            "event": {"payload": {"event_type": "turn_awaiting_input" if awaits else "turn_complete", "turn": whole}}
        }

    def _turn(self, place: SessionPlace, text: str, turn_id: str, request: NewTurn | None) -> JsonObject:
        names = text.split()[1:] if text.startswith("call") else []
        calls = [{"call_id": name, "tool_name": name, "arguments": {}, "arguments_json": "{}"} for name in names]
        said = {"role": "assistant", "content": text.upper(), "stop_reason": "end_of_turn", "tool_calls": calls}
        now = iso(self.state.clock())
        step = {"step_id": make_id("step_"), "step_type": "inference", "started_at": now, "completed_at": now}
        turn: JsonObject = {
            "steps": [step | {"turn_id": turn_id, "model_response": said}],
            "output_message": said,
            "completed_at": now,
        }
        if request is None:
            return turn
        messages = [message.model_dump(exclude_unset=True) for message in request.messages]
        begun = {"turn_id": turn_id, "session_id": place.session.id, "input_messages": messages}
        return {**begun, "output_attachments": [], "started_at": now, **turn}

    def _part(self, turn: JsonObject, response: str, kept: KeptTurn | None) -> Document:
        awaits = bool(turn["output_message"]["tool_calls"])
        record = TurnRecord(turn, "awaiting_input" if awaits else "completed", response)
        owner, end = self.state.guard.owner, self.state.item_end()
        if kept is not None:
            return next_part(kept, record, owner, end)
        return first_part(record, int(self.state.clock()), owner, end)


@dataclass
class AgentCaller(Caller):
    """A caller who has agents too."""

    @property
    def agents(self) -> AgentsRouter:
        return AgentsRouter(AgentCollection(self.state), lambda _: RepeatingRunner(self.state))

    async def make(self, **config: Any) -> str:
        """A new agent; its id."""
        made = await self.agents.create(NewAgent.model_validate({"agent_config": {**CONFIG, **config}}))
        return str(made["agent_id"])

    async def begin(self, agent: str, name: str = "s") -> str:
        """A new session; its id."""
        return str((await self.agents.create_session(NewSession(session_name=name), agent))["session_id"])

    async def turn(self, agent: str, session: str, text: str) -> JsonObject:
        request = NewTurn.model_validate({"messages": [{"role": "user", "content": text}]})
        return await self.agents.create_turn(request, agent, session)

    async def resume(self, agent: str, session: str, turn: str, text: str) -> JsonObject:
        answer = {"call_id": "f", "tool_name": "f", "content": text}
        request = ResumedTurn.model_validate({"tool_responses": [answer]})
        return await self.agents.resume_turn(request, agent, session, turn)

    async def session(self, agent: str, session: str, *turn_ids: str) -> JsonObject:
        query = SessionQuery(turn_ids=list(turn_ids) or None)
        return await self.agents.get_session(agent, session, query=query)

    async def sessions(self, agent: str, **query: int) -> JsonObject:
        return await self.agents.sessions(agent, query=PartQuery(**query))

    async def listed(self, **query: int) -> JsonObject:
        return await self.agents.index(query=PartQuery(**query))
