"""What a principal keeps of the API `responses`: its prompts, responses, conversations and agents."""

from functools import partial

from core.services.agents.erasing import erase as agents
from core.services.erasure import Erase, Estate, Pieces
from core.services.parts import Parts
from core.services.prompts.erasing import erase as prompts
from core.services.responses.state.erasing import erase as state


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for any of it."""
    erasers = [found for make in (prompts, state, agents) if (found := make(parts)) is not None]
    return partial(_pieces, erasers) if erasers else None


async def _pieces(erasers: list[Erase], estate: Estate) -> Pieces:
    for erase_some in erasers:
        async for pieces in erase_some(estate):
            yield pieces
