"""Assembles the service of webhooks; nothing of it is imported before it is asked."""

from functools import cache
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS

if TYPE_CHECKING:
    from core.services.webhooks.router import WebhooksRouter
    from core.services.webhooks.secrets import SecretSealer


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"webhooks": ...}`."""
    parts.stores.find(DOCUMENTS)  # connected here, it is warmed at init

    @cache
    def sealer() -> "SecretSealer":
        from core.services.webhooks.secrets import sealer_of

        return sealer_of(parts)

    def webhooks(call: Call | None) -> "WebhooksRouter":
        from core.services.webhooks.collection import EndpointCollection
        from core.services.webhooks.router import WebhooksRouter
        from core.services.webhooks.sending import provider_of

        return WebhooksRouter(EndpointCollection(parts, call), lambda: provider_of(parts), sealer)

    return {"webhooks": webhooks}
