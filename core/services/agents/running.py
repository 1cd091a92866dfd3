"""Who runs the turns of a call's agents."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.frame.callers import Call
from core.services.agents.contract import TurnRunner
from core.services.parts import Parts

if TYPE_CHECKING:
    from core.apis.sealing import DataKeys


def runner_of(parts: Parts, call: Call | None, data_keys: "Callable[[], DataKeys]") -> TurnRunner:
    """The runner of the call; `data_keys` are the stack's."""
    from core.services.agents.turns.runner import Turns
    from core.services.agents.turns.wiring import TurnWiring

    return Turns(TurnWiring(parts, call, data_keys))
