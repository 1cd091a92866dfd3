"""Assembles the service of keys; nothing of it is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call, principal_of
from core.routing.guard import Guard
from core.services.parts import Parts
from core.stores.connect import COUNTERS, REGISTRY

if TYPE_CHECKING:
    from core.services.keys.router import KeysRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"keys": ...}`. Keys are read and written as the registry has them now: what a cache remembers may be what another replaced."""

    def keys(call: Call | None) -> "KeysRouter":
        from core.services.keys.changes import StoredKeys
        from core.services.keys.limits import KeySpending
        from core.services.keys.router import KeysRouter
        from core.services.keys.rules import KeyRules

        principal = principal_of(call)
        rules = KeyRules(Guard(parts.enforcement, principal), parts.names_that_count)
        stored = StoredKeys(parts.stores.get(REGISTRY), author=principal)
        spending = KeySpending(parts.stores.find(COUNTERS), parts.quota_shards)
        return KeysRouter(stored, rules, spending, {} if call is None else call.answer_headers)

    return {"keys": keys}
