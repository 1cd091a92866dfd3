"""Assembles the services of scoring; nothing of them is imported before they are asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import JOBS, QUEUE

if TYPE_CHECKING:
    from core.services.scoring.router import ScoringRouter
    from core.services.scoring.scorers import FunctionLookup


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"scoring": ..., "row_scoring": ...}`."""
    for kind in (JOBS, QUEUE):  # connected here, they are warmed at init
        parts.stores.find(kind)
    functions = parts.registries["scoring_function"]

    def row_scoring(call: Call | None) -> "FunctionLookup":
        from core.services.scoring.scorers import FunctionLookup

        return FunctionLookup(functions(call), parts.providers("scoring"), call)

    def scoring(call: Call | None) -> "ScoringRouter":
        from core.services.scoring.router import ScoringRouter

        return ScoringRouter(parts, row_scoring(call), call)

    return {"scoring": scoring, "row_scoring": row_scoring}
