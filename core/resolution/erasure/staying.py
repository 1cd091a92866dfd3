"""What a deletion leaves, and why; of that, an export has what is about the principal: entries of the audit trail."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
import time
from typing import Any, Final

from core.frame.types import JsonObject
from core.resolution.erasure.sources import Source
from core.resolution.protection import API_KEY
from core.resolution.stack import Stack
from core.services.erasure import Estate, Piece, Pieces
from core.services.extracts import Extract, extract_lines
from core.stores.audit.port import AuditStore, id_at
from core.stores.connect import AUDIT

STAYS: Final = (
    (
        "audit entries",
        "who changed what and when, with ids, is the record of administration: nobody writes or deletes it",
    ),
    (
        "usage, summed",
        "its numbers stay under the client `erased`, without its name, so that totals of teams and models do not change",
    ),
    ("logs and traces", "they end with their retention; they have ids of callers where that is configured"),
    ("backups", "point-in-time recovery and copies are the operator's; what is restored is to be deleted again"),
)
"""What, and why."""
FIRST: Final = 1_767_225_600_000  # 2026-01-01 in Unix milliseconds: no stack has older entries
PAGE: Final = 500
DAY: Final = 86_400_000


def records(stack: Stack) -> Iterator[Source]:
    """What is about the principal and yet not its to delete: for exports alone."""
    yield Source("audit", partial(audit_entries, stack.stores.get(AUDIT)))


async def audit_entries(store: AuditStore, estate: Estate) -> Pieces:
    """One piece, where there are any; they are read twice."""
    count = 0
    async for _ in _entries(store, estate):
        count += 1
    if count:
        yield [Piece("audit entries", _keep, count, read=partial(_read, store, estate))]


async def _read(store: AuditStore, estate: Estate) -> Extract:
    async for file in extract_lines("entries.jsonl", _entries(store, estate)):
        yield file


async def _entries(store: AuditStore, estate: Estate) -> AsyncGenerator[JsonObject]:
    """By the principal, or about it, as about its key; newest first."""
    more, before = True, id_at(int(time.time() * 1000) + DAY)  # clocks differ
    while more:
        page = await store.page(since=FIRST, before=before, limit=PAGE)
        for entry in page:
            if _concerns(entry, estate):
                yield entry
        more, before = len(page) == PAGE, page[-1]["id"] if page else before


def _concerns(entry: JsonObject, estate: Estate) -> bool:
    principal = estate.principal
    actor: Any = entry["actor"]
    if not isinstance(actor, str) and (actor["principal"], actor["vouched_by"]) == (principal.id, principal.vouched_by):
        return True
    return principal.vouched_by == API_KEY and entry["entity"] == f"key::{principal.id}"


async def _keep() -> bool:
    """Nobody deletes it."""
    return False
