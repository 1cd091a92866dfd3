"""The audit trail in tests: a change, and every entry of a store."""

from typing import Final

from core.frame.types import JsonObject
from core.stores.audit.entry import Change
from core.stores.audit.port import LATEST, AuditStore, id_at

CHANGE: Final = Change(None, "create", "configuration::1", None, {"version": 1})
"""For stores whose tests are not about it."""


async def read_trail(store: AuditStore) -> list[JsonObject]:
    """All of it, oldest first."""
    return (await store.page(since=0, before=id_at(LATEST), limit=10_000))[::-1]
