"""What the router of agents works with, out of the parts of a stack and for one call."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.frame.callers import Call
from core.services.agents.collection import AgentCollection
from core.services.agents.records import AgentRecord
from core.services.agents.router import AgentsRouter
from core.services.parts import Parts
from core.services.responses.state.place import StatePlace

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys
    from core.services.agents.contract import TurnRunner


def agents_of(parts: Parts, call: Call | None, data_keys: "Callable[[], DataKeys]") -> AgentsRouter:
    """The surface `agents` of a call."""
    state = StatePlace.of(parts, call)

    def runner(agent: AgentRecord) -> "TurnRunner":
        if agent.provider:
            from core.services.agents.provided.runner import ProvidedRunner

            return ProvidedRunner(state)
        from core.services.agents.running import runner_of  # late: much of what is asked is no turn

        return runner_of(parts, call, data_keys)

    return AgentsRouter(AgentCollection(state), runner)
