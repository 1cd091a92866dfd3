"""Assembles the service of batches; nothing of it is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS, JOBS, QUEUE

if TYPE_CHECKING:
    from core.apis.batches import Batches


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"batches": ...}`: of the first provider, where it runs batches itself, or of the jobs of the stack."""
    for kind in (DOCUMENTS, JOBS, QUEUE):  # connected here, they are warmed at init
        parts.stores.find(kind)

    def batches(call: Call | None) -> "Batches":
        provider_id, provider = next(iter(parts.providers("batches").items()), ("", None))
        if hasattr(provider, "create_batch"):  # not by the type: one of another package hands on what it is asked for
            from core.services.batches.provided import ProvidedBatches

            return ProvidedBatches(parts, provider_id, provider, call)
        from core.services.batches.router import BatchesRouter

        return BatchesRouter(parts, call)

    return {"batches": batches}
