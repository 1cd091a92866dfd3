"""Assembles the service of evaluations; nothing of it is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS, JOBS, QUEUE

if TYPE_CHECKING:
    from core.apis.evals import Evals


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"evals": ...}`."""
    for kind in (DOCUMENTS, JOBS, QUEUE):  # connected here, they are warmed at init
        parts.stores.find(kind)

    def evals(call: Call | None) -> "Evals":
        from core.services.evals.router import EvalsRouter

        return EvalsRouter(parts, call)

    return {"evals": evals}
