"""The audit trail in tests: a change, and every entry of a store."""

import time
from typing import Final

from core.frame.types import JsonObject
from core.stores.audit.entry import Change
from core.stores.audit.port import AuditStore, id_at

DAY: Final = 86_400_000  # milliseconds
CHANGE: Final = Change(None, "create", "configuration::1", None, {"version": 1})
"""For stores whose tests are not about it."""


async def read_trail(store: AuditStore) -> list[JsonObject]:
    """What was noted of today and the days beside it, oldest first: a store may ask once for each month."""
    now = int(time.time() * 1000)
    return (await store.page(since=now - DAY, before=id_at(now + DAY), limit=10_000))[::-1]
