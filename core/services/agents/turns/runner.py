"""Runs the turns of one call on the engine of responses: each run of a turn is a response in the conversation that its session is."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import time
from typing import Final

from core.apis.agents import AgentTool, NewTurn, ResumedTurn
from core.apis.native import ToolConfig
from core.errors import InvalidRequest
from core.frame.streams import OwningStream
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.agents.contract import SessionPlace, TurnEvents
from core.services.agents.records import TurnRecord, iso
from core.services.agents.turn_documents import KeptTurn, first_part, next_part
from core.services.agents.turns.messages import Documents, read_messages, show_messages
from core.services.agents.turns.printing import TurnPrinter
from core.services.agents.turns.resuming import IN_TEXT, Resumed, check_context, read_answers
from core.services.agents.turns.sessions import TurnSession
from core.services.agents.turns.settings import groups_of, rounds_of, to_request, tool_settings_of
from core.services.agents.turns.steps import TOOLS, StepHead, TurnHead, is_open
from core.services.agents.turns.telling import tell
from core.services.agents.turns.wiring import Agent, TurnWiring
from core.services.responses.answer import Answer
from core.services.responses.contract import Item
from core.services.responses.items import read_input
from core.services.responses.printing.objects import begin_response
from core.services.responses.recording.codec import Beginning
from core.services.responses.requests import Context
from core.stores.documents.port import Document

OF_TURN: Final = {"toolgroups", "tool_config"}
"""What a turn says beside its agent, which holds when it is resumed too."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one run adds to a turn: `resumed` is one that goes on. `state` goes on to the next."""

    place: SessionPlace
    agent: Agent
    items: Sequence[Item] = field(repr=False)
    messages: Sequence[JsonObject] = field(repr=False)
    state: JsonObject = field(repr=False)
    resumed: Resumed | None = None
    streams: bool = False


class Turns:
    """Keeps `core.services.agents.contract.TurnRunner`. `clock` gives Unix seconds."""

    def __init__(self, wiring: TurnWiring, clock: Callable[[], float] = time.time) -> None:
        self._wiring = wiring
        self._clock = clock

    async def create_turn(self, place: SessionPlace, request: NewTurn) -> TurnEvents:
        agent = await self._equip(place, request.toolgroups, request.tool_config)
        items = read_messages(request.messages)
        items = await Documents(self._wiring.responses.fetch).add(items, request.documents or ())
        state = request.model_dump(include=OF_TURN, exclude_unset=True)
        messages, streams = show_messages(request.messages), request.stream is True
        return await self._begin(Part(place, agent, items, messages, state, streams=streams))

    async def resume_turn(self, place: SessionPlace, turn: KeptTurn, request: ResumedTurn) -> TurnEvents:
        resumed = read_answers(turn, request.tool_responses)
        messages: list[JsonObject] = turn.turn["input_messages"]
        began = NewTurn.model_validate({"messages": messages, **_settings_in(turn.state)})
        agent = await self._equip(place, began.toolgroups, began.tool_config)
        streams = request.stream is True
        return await self._begin(Part(place, agent, resumed.items, messages, turn.state, resumed, streams))

    async def _equip(
        self, place: SessionPlace, groups: Sequence[AgentTool] | None, tool_config: ToolConfig | None
    ) -> Agent:
        config = place.config
        settings = tool_settings_of(config, tool_config)
        return await self._wiring.equip(place.agent.id, config, groups_of(config, groups), settings)

    async def _begin(self, part: Part) -> TurnEvents:
        """The turn with the model asked. Raises what keeps it from that."""
        wiring, agent, place = self._wiring, part.agent, part.place
        shields = wiring.shields(agent.config, self._clock)
        request = to_request(agent.config, place.session.id, agent.id, agent.sampling, agent.settings)
        session = await wiring.open(request)
        async with undoing(session.close):
            if part.resumed is not None:
                check_context(session.context, part.resumed)
            new_items = read_input([*part.items], session.context)
            context = Context([*session.context, *new_items], len(session.context), session.tail)
            response = begin_response(request, session.conversation_id)
            printer = TurnPrinter(self._head(part, response["id"]), self._clock)
            run = await wiring.run(agent, request, context, printer.rounds)
            run.id = response["id"]
        keeper = TurnSession(session, printer, lambda turn: self._document(part, printer, turn, response["id"]))
        recorder = keeper.record_run(Beginning({**response}, ()), new_items) if part.streams else None
        answer = Answer(response, keeper, new_items, wiring.engine(shields).run(run), recorder)
        with _in_words_of(part):
            await answer.begin()
        earlier: Sequence[JsonObject] = ()
        if part.resumed is not None:
            earlier = part.resumed.turn.turn["steps"]
            printer.resume(_answered_step(part.resumed), part.resumed.calls, part.resumed.answers)
        events = tell(answer, printer, keeper, shields, earlier)
        return OwningStream(events, answer.close, lasts=answer.is_recorded)

    def _head(self, part: Part, response_id: str) -> TurnHead:
        rounds, session_id = rounds_of(part.agent.config), part.place.session.id
        if part.resumed is None:
            return TurnHead(response_id, response_id, session_id, part.messages, iso(self._clock()), most_rounds=rounds)
        turn = part.resumed.turn.turn
        before = int(part.state.get("rounds", 0))
        return TurnHead(turn["turn_id"], response_id, session_id, part.messages, turn["started_at"], before, rounds)

    def _document(self, part: Part, printer: TurnPrinter, turn: JsonObject, response_id: str) -> Document:
        """What is kept of the turn as this run has left it."""
        state, here = self._wiring.state, int(self._clock())
        owner, end = state.guard.owner, state.item_end()
        goes_on = {"rounds": printer.rounds, "step_id": printer.last_step.id, "asked_at": printer.latest}
        record = TurnRecord(turn, "completed", response_id)
        if is_open(turn):
            record = TurnRecord(turn, "awaiting_input", response_id, {**_settings_in(part.state), **goes_on})
        elif part.agent.settings.replaces and printer.may_go_on:  # calls may be in its text, which the caller reads
            state_of_text = {**_settings_in(part.state), **goes_on, IN_TEXT: True}
            record = TurnRecord(turn, "awaiting_input", response_id, state_of_text)
        if part.resumed is None:
            return first_part(record, here, owner, end)
        return next_part(part.resumed.turn, record, owner, end)


def _answered_step(resumed: Resumed) -> StepHead:
    """That of the client tools; it has the id of the model's step that called them, as in 0.2."""
    state = resumed.turn.state
    return StepHead(resumed.turn.turn["turn_id"], TOOLS, float(state["asked_at"]), str(state["step_id"]))


def _settings_in(state: JsonObject) -> JsonObject:
    return {name: state[name] for name in OF_TURN if name in state}


@contextmanager
def _in_words_of(part: Part) -> Generator[None]:
    """What the engine calls the input."""
    try:
        yield
    except InvalidRequest as refused:
        name = "messages" if part.resumed is None else "tool_responses"
        if refused.param == "input" or (refused.param or "").startswith("input["):
            refused.param = f"{name}{(refused.param or '').removeprefix('input')}"
        raise
