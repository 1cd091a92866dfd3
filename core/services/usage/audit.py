"""The audit trail as one caller may read it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
import time
from typing import Any, Final, cast

from core.apis.answers.audit import AuditEntry, AuditPage
from core.apis.audit import AuditQuery
from core.config.policy import REGEX, resource_matcher
from core.errors import InvalidRequest
from core.frame.callers import CATEGORIES, Principal
from core.frame.types import JsonObject
from core.routing.guard import Guard, Item
from core.stores.audit.port import AuditStore, id_at

DAY: Final = 86_400  # seconds
USUAL_DAYS: Final = 30
MOST_DAYS: Final = 400
PAGE: Final = 500
MOST_READ: Final = 10_000  # entries for one answer: then the caller asks again
NOBODY: Final = {"principal": "", "vouched_by": "-", "attributes": {name: ["own:audit"] for name in CATEGORIES}}
"""Whose an entry is for rules about owners: no caller's, so that only those count which name the reader, or say nothing of owners."""

type Wanted = Callable[[JsonObject], bool]


class AuditRouter:
    """What `guard` lets its principal read; without one everything, as for the operator. `clock` is Unix time."""

    def __init__(self, store: AuditStore, guard: Guard | None, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._guard = guard
        self._clock = clock

    async def index(self, *, query: AuditQuery) -> AuditPage:
        since, before = self._range(query)
        matches = _wanted(query)
        rows: list[JsonObject] = []
        read, last = 0, ""
        async with aclosing(self._entries(since, before)) as entries:
            async for entry in entries:
                if matches(entry) and self._may_read(entry):
                    if len(rows) == query.limit:
                        return _page(rows, rows[-1]["id"])
                    rows.append(entry)
                read, last = read + 1, entry["id"]
                if read == MOST_READ:
                    return _page(rows, last)
        return _page(rows, None)

    async def _entries(self, since: int, before: str) -> AsyncGenerator[JsonObject]:
        """All of them from there on, newest first."""
        more = True
        while more:
            page = await self._store.page(since=since, before=before, limit=PAGE)
            for entry in page:
                yield entry
            more, before = len(page) == PAGE, page[-1]["id"] if page else before

    def _range(self, query: AuditQuery) -> tuple[int, str]:
        """From when on, in milliseconds, and before which id."""
        until = int(self._clock()) + 1 if query.until is None else query.until
        since = max(0, until - USUAL_DAYS * DAY) if query.since is None else query.since
        if since >= until:
            raise InvalidRequest("`until` must be after `since`; both are Unix seconds.", param="until")
        if until - since > MOST_DAYS * DAY:
            raise InvalidRequest(
                f"`since` and `until` may be at most {MOST_DAYS} days apart; ask for each part of a longer time.",
                param="since",
            )
        return since * 1000, min(query.page or id_at(until * 1000), id_at(until * 1000))

    def _may_read(self, entry: JsonObject) -> bool:
        if self._guard is None:
            return True
        principal = self._guard.principal
        if principal is not None and _is_by(entry["actor"], principal):
            return True
        return self._guard.allows("read", Item("audit", entry["id"], NOBODY))


def _is_by(actor: Mapping[str, str] | str, principal: Principal) -> bool:
    if isinstance(actor, str):
        return actor == "anonymous" and principal.anonymous
    return (actor["principal"], actor["vouched_by"]) == (principal.id, principal.vouched_by)


def _wanted(query: AuditQuery) -> Wanted:
    matches = None if query.entity is None else _matcher(query.entity)

    def wanted(entry: JsonObject) -> bool:
        actor: Any = entry["actor"]
        return (
            (query.actor is None or query.actor == (actor if isinstance(actor, str) else actor["principal"]))
            and (query.action is None or query.action == entry["action"])
            and (matches is None or matches(entry["entity"]))
        )

    return wanted


def _matcher(pattern: str) -> Callable[[str], bool]:
    fault = "a regular expression is for rules alone" if pattern.startswith(REGEX) else None
    try:
        matcher = resource_matcher(pattern)
    except ValueError as failure:
        fault, matcher = str(failure), None
    if fault is not None or matcher is None:
        raise InvalidRequest(f"`entity`: {fault}.", param="entity")
    return matcher


def _page(rows: list[JsonObject], next_page: str | None) -> AuditPage:
    data = cast("list[AuditEntry]", rows)
    return {"object": "list", "data": data, "has_more": next_page is not None, "next_page": next_page}
