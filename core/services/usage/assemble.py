"""Assembles what reads the stack's accounts; nothing of it is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call, principal_of
from core.services.parts import Parts
from core.stores.connect import AUDIT

if TYPE_CHECKING:
    from core.services.usage.audit import AuditRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"audit": ...}`."""

    def audit(call: Call | None) -> "AuditRouter":
        from core.routing.guard import Guard
        from core.services.usage.audit import AuditRouter

        return AuditRouter(parts.stores.get(AUDIT), Guard(parts.enforcement, principal_of(call)))

    return {"audit": audit}
