"""What a turn is made with, out of the parts of a stack and for one call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from core.apis.agents import AgentConfig
from core.errors import ApiError, InvalidRequest
from core.frame.callers import Call
from core.services.agents.turns.settings import (
    Sampling,
    ToolSettings,
    UsedGroup,
    client_tools_of,
    instructions_of,
    rounds_of,
    sampling_of,
)
from core.services.agents.turns.shielding import CallShields
from core.services.agents.turns.shields import NO_SAFETY, TurnShields
from core.services.agents.turns.tools import TurnTools, find_tools
from core.services.parts import Parts, surface_for
from core.services.responses.contract import Engine, Item, Run, RunTools
from core.services.responses.engine.messages import teller_in
from core.services.responses.engine.rounds import RoundEngine
from core.services.responses.guardrails import GuardedEngine
from core.services.responses.requests import Context
from core.services.responses.settings import settings_of
from core.services.responses.state.conversation_sessions import ConversationSession
from core.services.responses.state.place import StatePlace
from core.services.responses.state.sessions import ThreadHistory
from core.services.responses.tools.surfaces import surfaces_of
from core.services.responses.wiring import Wiring

if TYPE_CHECKING:
    from core.apis.responses import ResponseRequest
    from core.apis.sealing import DataKeys


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent for one turn: its config, with what the turn says too."""

    id: str
    config: AgentConfig
    sampling: Sampling
    settings: ToolSettings
    tools: TurnTools = field(repr=False)


@dataclass(frozen=True, slots=True)
class TurnWiring:
    parts: Parts
    call: Call | None
    data_keys: "Callable[[], DataKeys]"

    @property
    def state(self) -> StatePlace:
        return StatePlace.of(self.parts, self.call)

    @property
    def responses(self) -> Wiring:
        return Wiring(self.parts, self.call, self.data_keys)

    async def equip(self, id_: str, config: AgentConfig, uses: Sequence[UsedGroup], settings: ToolSettings) -> Agent:
        """The agent with its tools listed. Raises InvalidRequest, NotFound and ToolServerFailed, by the config's paths."""
        sampling, functions, surfaces = sampling_of(config), client_tools_of(config), surfaces_of(self.parts, self.call)
        tools = await find_tools(functions, uses, surfaces.tools, surfaces.secrets)
        return Agent(id_, config, sampling, settings, tools)

    async def open(self, request: "ResponseRequest") -> ConversationSession:
        """The session, locked. Raises NotFound, ConversationLocked, PermissionDenied, LimitReached."""
        try:
            return cast("ConversationSession", await ThreadHistory(self.state).open(request))
        except ApiError as failure:
            if failure.param == "conversation":
                failure.param = "session_id"
            raise

    async def run(self, agent: Agent, request: "ResponseRequest", context: Context, rounds: int) -> Run:
        """What the engine is to do, where the model was asked `rounds` times before."""
        wiring, tools = self.responses, cast("RunTools", agent.tools)
        if settings_of(self.parts).compaction.threshold is not None or any(map(_is_compaction, context.items)):
            from core.services.responses.compaction.opening import open_for_run  # late: few contexts have one

            context, tools = await open_for_run(wiring.compactor(), request, context, tools)
        items = await wiring.attachments().read(context.items, context.kept_count)
        return Run(
            model=agent.config.model,
            context=items,
            tools=tools,
            instructions=instructions_of(agent.config, agent.settings, agent.tools.definitions) or None,
            chat=agent.sampling.chat,
            additions=agent.sampling.additions,
            tool_choice=agent.settings.choice,
            max_rounds=max(1, rounds_of(agent.config) - rounds),
            kept_count=context.kept_count,
            tail=context.tail,
        )

    def engine(self, shields: TurnShields | None) -> Engine:
        """The stack's own, whatever the model's provider could do."""
        inference, tell = surface_for(self.parts, "inference", self.call), teller_in(self.parts.vector_stores)
        engine = RoundEngine(inference, self.call, tell=tell)
        return engine if shields is None else CallShields(GuardedEngine(engine, shields), shields)

    def shields(self, config: AgentConfig, clock: Callable[[], float]) -> TurnShields | None:
        """None for an agent that has none. Raises InvalidRequest where the stack has none."""
        before, behind = config.input_shields or (), config.output_shields or ()
        if not before and not behind:
            return None
        safety = surface_for(self.parts, "safety", None if self.call is None else self.call.cause())
        if safety is None:
            path = f"agent_config.{'input' if before else 'output'}_shields"
            raise InvalidRequest(f"{path}: {NO_SAFETY}", param=path)
        return TurnShields(safety, before, behind, clock)


def _is_compaction(item: Item) -> bool:
    return item.get("type") == "compaction"
