"""Assembles what reads the stack's accounts; nothing of it is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call, principal_of
from core.services.parts import Parts
from core.stores.connect import AUDIT

if TYPE_CHECKING:
    from core.services.usage.audit import AuditRouter
    from core.services.usage.organization import OrganizationRouter
    from core.services.usage.reading import UsageReader
    from core.services.usage.spending import SpendingRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"audit": ..., "spending": ..., "organization": ...}`."""

    def audit(call: Call | None) -> "AuditRouter":
        from core.routing.guard import Guard
        from core.services.usage.audit import AuditRouter

        return AuditRouter(parts.stores.get(AUDIT), Guard(parts.enforcement, principal_of(call)))

    def spending(call: Call | None) -> "SpendingRouter":
        from core.services.inference.price_list import DATED
        from core.services.usage.spending import SpendingRouter

        headers = {} if call is None else call.answer_headers
        return SpendingRouter(_reader(parts, call), headers, retention_days=parts.usage.retention_days, dated=DATED)

    def organization(call: Call | None) -> "OrganizationRouter":
        from core.services.usage.organization import OrganizationRouter

        return OrganizationRouter(_reader(parts, call), retention_days=parts.usage.retention_days)

    return {"audit": audit, "spending": spending, "organization": organization}


def _reader(parts: Parts, call: Call | None) -> "UsageReader":
    """What this call's caller may read; raises StateUnavailable where nothing is counted."""
    from core.errors import StateUnavailable
    from core.quota.identity import identity
    from core.routing.guard import Guard
    from core.services.usage.access import Access
    from core.services.usage.key_names import KeyNames
    from core.services.usage.reading import UsageReader
    from core.stores.connect import REGISTRY, USAGE

    store = parts.stores.find(USAGE)
    if store is None:
        raise StateUnavailable(
            "This stack counts no usage: its run config has neither `server.usage` nor `server.quota`."
        )
    access = Access(Guard(parts.enforcement, principal_of(call)), "" if call is None else identity(call))
    return UsageReader(store, access, KeyNames(parts.stores.get(REGISTRY)))
