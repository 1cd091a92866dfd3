"""Runs turns by a provider of agents: in the session's conversation, which is locked meanwhile and has what was said."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from core.apis.agents import NewTurn, ResumedTurn
from core.apis.responses import ResponseRequest
from core.errors import UpstreamFailed
from core.frame.streams import OwningStream
from core.frame.types import JsonObject, JsonStream
from core.platform.concurrency import undoing
from core.platform.json_values import is_object
from core.services.agents.contract import SessionPlace, TurnEvents
from core.services.agents.provided.provider import ProvidedAgents
from core.services.agents.provided.turns import check_turn, input_of, output_of, translate, usage_in
from core.services.agents.records import AgentRecord, SessionRecord, TurnRecord, TurnStatus, iso
from core.services.agents.turn_documents import KeptTurn, first_part, next_part
from core.services.agents.turns.resuming import check_context, read_answers
from core.services.responses.contract import RunEnded, Usage
from core.services.responses.items import read_input
from core.services.responses.native.charging import PackageMeter
from core.services.responses.output import Output
from core.services.responses.printing.objects import begin_response, end_response
from core.services.responses.state.conversation_sessions import ConversationSession
from core.services.responses.state.place import StatePlace
from core.services.responses.state.sessions import ThreadHistory
from core.stores.documents.port import Document


@dataclass(slots=True)
class TurnRun:
    """A turn on its way: its response, the session that keeps it, and what it goes on from."""

    session: ConversationSession
    response: JsonObject
    messages: Sequence[JsonObject]
    started_at: str
    meter: PackageMeter
    before: KeptTurn | None = None
    reported: Usage | None = None
    charged: Usage | None = None

    @property
    def turn_id(self) -> str:
        return self.response["id"] if self.before is None else self.before.document.id

    def note(self, usage: Usage | None) -> None:
        """What one of the events says of its tokens."""
        if usage is not None:
            self.reported = usage if self.reported is None else self.reported + usage

    def charge(self) -> Usage:
        """What was used; the caller is charged once."""
        if self.charged is None:
            self.charged = self.meter.charge(self.reported)
        return self.charged

    def whole(self, turn: JsonObject) -> JsonObject:
        """The turn, which begins as it was kept."""
        if self.before is None:
            return {"started_at": self.started_at} | turn
        before = self.before.turn
        same = {name: before[name] for name in ("input_messages", "started_at")}
        return turn | same | {"steps": [*before["steps"], *turn["steps"][len(before["steps"]) :]]}


class ProvidedRunner:
    """Keeps `TurnRunner`; `state` is the caller's."""

    def __init__(self, state: StatePlace) -> None:
        self._state = state

    async def create_turn(self, place: SessionPlace, request: NewTurn) -> TurnEvents:
        body = request.model_dump(exclude_unset=True, exclude={"stream"})
        run = await self._begin(place, body["messages"])
        async with undoing(run.session.close):
            provided, ids = self._provided(place)
            events = await provided.stream_turn(*ids, body)
        return OwningStream(self._follow(events, run, provided.id), run.session.close)

    async def resume_turn(self, place: SessionPlace, turn: KeptTurn, request: ResumedTurn) -> TurnEvents:
        resumed = read_answers(turn, request.tool_responses)
        answers = [*resumed.answers]
        run = await self._begin(place, answers, turn)
        async with undoing(run.session.close):
            check_context(run.session.context, resumed)
            provided, ids = self._provided(place)
            events = await provided.stream_resumed_turn(*ids, str(turn.state.get("turn_id")), answers)
        return OwningStream(self._follow(events, run, provided.id), run.session.close)

    async def _begin(
        self, place: SessionPlace, messages: Sequence[JsonObject], before: KeptTurn | None = None
    ) -> TurnRun:
        fields: Any = {"model": place.config.model, "conversation": place.session.id}
        request = ResponseRequest.model_validate(fields)
        session = cast("ConversationSession", await ThreadHistory(self._state).open(request))
        response = begin_response(request, session.conversation_id)
        provider_id = AgentRecord.read(place.agent.body).provider
        meter = PackageMeter.begin(self._state.call, place.config.model, provider_id)
        return TurnRun(session, response, messages, iso(self._state.clock()), meter, before)

    def _provided(self, place: SessionPlace) -> tuple[ProvidedAgents, tuple[str, str]]:
        """The provider of the agent, and its own ids of agent and session."""
        agent = AgentRecord.read(place.agent.body)
        provided = ProvidedAgents.of(self._state.parts, self._state.call, agent.provider)
        return provided, (agent.provided_id, SessionRecord.read(place.session.body).provided_id)

    async def _follow(self, events: JsonStream, run: TurnRun, provider_id: str) -> TurnEvents:
        """The provider's events; the one with the turn is told when that is kept."""
        ids, is_kept = {"turn_id": run.turn_id, "session_id": run.session.conversation_id}, False
        try:
            async with aclosing(events):
                async for event in events:
                    run.note(usage_in(event))
                    own = translate(event, ids, provider_id)
                    if is_object(turn := own["event"]["payload"].get("turn")):
                        whole = run.whole(check_turn(turn | ids, provider_id))
                        await self._keep(run, whole, event["event"]["payload"]["turn"].get("turn_id"))
                        own["event"]["payload"]["turn"], is_kept = whole, True
                    yield own
        finally:
            run.charge()
            await run.session.close()
        if not is_kept:
            raise UpstreamFailed(f"Provider `{provider_id}` ended without a turn.")

    async def _keep(self, run: TurnRun, turn: JsonObject, provided_id: object) -> None:
        places, output = Output(tail=run.session.tail), list[JsonObject]()
        for item in output_of(turn):
            places.add(item)
            output.append(item)
        end_response(run.response, RunEnded("completed", run.charge()), output)
        record = {name: value for name, value in run.response.items() if name != "output"}
        run.session.beside = [self._part(run, turn, provided_id)]
        await run.session.finish(record, read_input(input_of(run.messages), run.session.context), output)

    def _part(self, run: TurnRun, turn: JsonObject, provided_id: object) -> Document:
        owner, end = self._state.guard.owner, self._state.item_end()
        status: TurnStatus = "awaiting_input" if turn["output_message"].get("tool_calls") else "completed"
        state = {"turn_id": provided_id}
        if run.before is None:
            record = TurnRecord(turn, status, run.response["id"], state)
            return first_part(record, int(self._state.clock()), owner, end)
        before = len(run.before.turn["steps"])
        record = TurnRecord(turn | {"steps": turn["steps"][before:]}, status, run.response["id"], state)
        return next_part(run.before, record, owner, end)
